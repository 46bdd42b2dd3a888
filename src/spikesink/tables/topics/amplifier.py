"""The step-up block as a quadratic amplifier of one direction (2603.05498 Eq 15-22, Figs 2, 3, 4, 8)."""

from typing import Any

import polars as pl

READS = ("amplifier_alignment", "amplifier_spectrum", "amplifier_norms", "silu_identity", "first_token_value_output")
ALIGNED = ("eigenvalue", "second", "cosine", "error_quadratic", "error_rank_one")


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """The first step-up block and its leading channel; without a spike, those that come closest.

    The leading channel k is the one to which the block adds most. A model without SwiGLU has no columns, nor has one
    whose SwiGLU only removes the spike.
    """
    alignment, silu = tables["amplifier_alignment"], tables["silu_identity"]
    if not alignment.is_empty():
        alignment = alignment.filter(pl.col("role") != "step_down")
    if alignment.is_empty():
        return {}
    block, channel, spike = alignment.select("block", "channel", "group").row(0)
    own = alignment.filter((pl.col("block") == block) & (pl.col("channel") == channel)).select("group", *ALIGNED)
    groups = {row["group"]: row for row in own.iter_rows(named=True)}
    means = silu.filter(pl.col("block") == block).group_by("group").agg(pl.col("cosine", "norm_ratio").mean())
    silu_of = {group: values for group, *values in means.select("group", "cosine", "norm_ratio").iter_rows()}
    nothing: tuple[None, None] = (None, None)
    norms = tables["amplifier_norms"]
    own_norm = norms.filter((pl.col("block") == block) & (pl.col("channel") == channel))["norm"].item()
    return {
        "eigenvalue": groups[spike]["eigenvalue"],
        "second": groups[spike]["second"],
        "cosine_spike": groups[spike]["cosine"],
        "cosine_other": groups.get("other", {}).get("cosine"),
        "quadratic_error_spike": groups[spike]["error_quadratic"],
        "rank_one_error_spike": groups[spike]["error_rank_one"],
        "eigenvalue_ratio_ordinary": ordinary_ratio(tables["amplifier_spectrum"], block),
        "amplifier_norm_over_median": own_norm / norms["norm"].median(),
        "silu_cosine_spike": silu_of[spike][0],
        "silu_cosine_other": silu_of.get("other", nothing)[0],
        "silu_norm_ratio_spike": silu_of[spike][1],
        "first_token_cosine": first_token_cosine(tables["first_token_value_output"]),
    }


def ordinary_ratio(spectrum: pl.DataFrame, block: int) -> float | None:
    ordinary = spectrum.filter((pl.col("block") == block) & (pl.col("group") == "ordinary"))
    largest = pl.col("eigenvalue").abs().top_k(2)
    ratios = ordinary.group_by("channel").agg(ratio=largest.max() / largest.min())
    return ratios["ratio"].median()


def first_token_cosine(maps: pl.DataFrame) -> float | None:
    if "cosine_output" not in maps.columns:  # no attention block before maps position 0 linearly
        return None
    spike = maps.filter((pl.col("block") == maps["block"].max()) & (pl.col("group") != "all"))
    return spike["cosine_output"].first()
