"""When sinks, gradient sinks and spikes come in training, and what depends on what (2603.17771, title and reviews)."""

from typing import Any

import polars as pl


def training(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """From the snapshots of a run; None where there are none.

    onset_sink, onset_gradient_sink, onset_spike   step from which the first head has it for the rest of training
    sink_activation_correlation   correlation of the attention on token 0 with token 0's norm, both as logarithms, over
                                  blocks and snapshots, without each block's mean
    sink_activation_partial       the same, given the gradient of token 0's value
    """
    names = {
        "sink_mass": "onset_sink",
        "gradient_sink_ratio": "onset_gradient_sink",
        "token0_over_early": "onset_spike",
    }
    correlations = {"correlation": "sink_activation_correlation", "partial_correlation": "sink_activation_partial"}
    found, tests = tables["onsets"], tables["independence"]
    if found.is_empty():
        return dict.fromkeys([*names.values(), *correlations.values()])
    test = tests.filter((pl.col("x") == "sink") & (pl.col("y") == "activation") & pl.col("within_blocks"))
    return {name: found.filter(pl.col("quantity") == quantity)["onset"].min() for quantity, name in names.items()} | {
        name: test[column].first() for column, name in correlations.items()
    }
