"""Perplexities of a model that is quantised, streamed or edited (2603.17771 rebuttal; 2309.17453; 2402.17762)."""

from typing import Any

import polars as pl

READS = ("streaming", "interventions")
INTERVENTIONS = ("none", "zero_spike", "mean_spike", "zero_median", "mask_sink", "mask_other")


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Perplexities on held-out text with the smallest cache, and with spikes or sinks taken away.

    ``spikesink.measures.questions.streaming`` and ``interventions`` say what was done.
    """
    changed = tables["interventions"]
    changed = changed.filter(pl.col("start") == changed["start"][0])
    by_intervention = dict(changed.group_by("intervention").agg(pl.col("perplexity").mean()).iter_rows())
    return streaming(tables["streaming"]) | {
        f"intervention_{name}": by_intervention.get(name) for name in INTERVENTIONS
    }


def streaming(table: pl.DataFrame) -> dict[str, Any]:
    if table.is_empty():
        return {"streaming_window": None, "streaming_with_first": None}
    smallest = table.filter(pl.col("cache") == table["cache"].min())
    nll = pl.col("nll_nats").sum() / pl.col("tokens").sum()
    perplexities = dict(smallest.group_by("start").agg(nll.exp()).iter_rows())
    return {"streaming_window": perplexities[0], "streaming_with_first": perplexities[max(perplexities)]}
