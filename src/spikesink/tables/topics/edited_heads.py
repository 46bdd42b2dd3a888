"""In how many heads does the sink grow when the spike is taken away? (2603.05498 and 2402.17762)"""

from typing import Any

import polars as pl

READS = ("intervention_heads",)
INTERVENTIONS = ("zero_spike", "zero_equal_norm")


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Percent of the heads after the changed block with more attention on position 0 than in the model left alone."""
    heads = tables["intervention_heads"]
    heads = heads.filter((pl.col("start") == heads["start"][0]) & pl.col("after_block"))
    keys = ["attention_block", "head"]
    alone = heads.filter(pl.col("intervention") == "none").select(*keys, alone="sink_mass")
    found = {}
    for name in INTERVENTIONS:
        pairs = heads.filter(pl.col("intervention") == name).join(alone, on=keys)
        share = pairs.select((pl.col("sink_mass") > pl.col("alone")).mean()).item()
        found[f"intervention_sink_raised_pct_{name}"] = None if share is None else 100 * share
    return found
