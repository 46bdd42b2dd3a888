"""Whether sink tokens and spike tokens are the same tokens (2603.05498 Sec 3)."""

from typing import Any

import polars as pl

READS = ("sink_and_spike_tokens",)


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Shares of sink tokens and of spike tokens in each other, in percent; None where there are no such tokens."""
    table = tables["sink_and_spike_tokens"]
    later = table.filter(pl.col("position") > 0)
    sinks, spikes, both = (table[name].sum() for name in ("sinks", "spikes", "both"))
    return {
        "sink_tokens_that_spike": percent(both, sinks),
        "spike_tokens_that_sink": percent(both, spikes),
        "same_tokens": overlap(table),
        "same_tokens_later": overlap(later),
        "sink_tokens_later": percent(later["sinks"].sum(), sinks),
        "spike_tokens_later": percent(later["spikes"].sum(), spikes),
    }


def overlap(table: pl.DataFrame) -> float | None:
    """Tokens that are both, of those that are either (Jaccard's index), in percent."""
    both = table["both"].sum()
    return percent(both, table["sinks"].sum() + table["spikes"].sum() - both)


def percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
