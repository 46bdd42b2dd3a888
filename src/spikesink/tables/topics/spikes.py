"""Where the spike is written and removed, in which channels and tokens (2603.05498 Sec 3, Fig 1, Tables 1 and 2)."""

from typing import Any

import polars as pl

READS = ("lifecycle", "spike_channels", "delimiter_probe")


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """The spike's life, from the roles of the blocks in ``lifecycle``.

    Without a spike the lists are empty, and nothing is said of step blocks.
    """
    lifecycle = tables["lifecycle"]
    found: dict[str, Any] = {}
    for role in ("step_up", "step_down"):
        members = lifecycle.filter(pl.col("role") == role)
        found[f"{role}_blocks"] = as_text(members["block"])
        found[f"{role}_share"] = members["share"].sum() if len(members) else None
    plateau = lifecycle.filter(pl.col("role") == "plateau")["output_maximum"].max()
    return found | {
        "plateau_output": None if plateau is None else plateau / lifecycle["after"].max(),
        "spike_channels": channels_of(tables["spike_channels"]),
        **self_attention(tables["delimiter_probe"]),
    }


def channels_of(table: pl.DataFrame) -> str | None:
    """The spike's channels; none of them without a spike, whose table has neither rows nor columns."""
    if table.is_empty():
        return ""
    return as_text(table["channel"]) if "channel" in table.columns else None


def as_text(values: pl.Series) -> str:
    return ", ".join(map(str, values))


def self_attention(probe: pl.DataFrame) -> dict[str, float | None]:
    names = {True: "self_attention_spike", False: "self_attention_other"}
    if "self_attention" not in probe.columns:  # the step-up block has no attention before it
        return {}
    last = probe.filter(pl.col("block") == probe["block"].max())
    weighted = (pl.col("self_attention") * pl.col("occurrences")).sum() / pl.col("occurrences").sum()
    means = dict(last.group_by("spikes").agg(weighted).iter_rows())
    return {name: means.get(spikes) for spikes, name in names.items()}
