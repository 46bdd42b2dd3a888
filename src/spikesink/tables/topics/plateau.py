"""How the norm before a block changes the spike (2603.05498 Eq 23-25, Fig 5)."""

from typing import Any

import polars as pl

READS = ("lifecycle", "normalisation", "normalised_channels")


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """The token at position 0 behind the norms of the plateau.

    The plateau goes from the last step-up block to the first step-down block after it or, without one, to the final
    norm. Behind a BOS all sequences have the same token at position 0, so cosines and variation are of text without it.
    Without a step-up block there are no columns.
    """
    blocks = {
        role: tables["lifecycle"].filter(pl.col("role") == role)["block"].to_list() for role in ("step_up", "step_down")
    }
    if not blocks["step_up"]:
        return {}
    first, last = min(blocks["step_up"]), max(blocks["step_up"])
    end = min((block for block in blocks["step_down"] if block > last), default=None)
    plateau = (pl.col("block") > last) & (pl.col("block") <= end if end else True)
    table, channels = tables["normalisation"], tables["normalised_channels"]
    trained = table.filter((pl.col("start") == table["start"][0]) & plateau)
    energy = dict(trained.group_by("group").agg(pl.col("energy_top").mean()).iter_rows())
    text = table.filter((pl.col("start") == "text") & (pl.col("group") == "spike"))
    cosines = dict(text.select("block", "cosine").iter_rows())
    leading = channels.filter((pl.col("start") == "text") & (pl.col("rank") == 1) & plateau)
    second = channels.filter((pl.col("start") == "text") & (pl.col("rank") == 2) & plateau)
    return {
        "normalised_share_of_bound": trained.filter(pl.col("group") == "spike")["share_of_bound"].max(),
        "normalised_energy_spike": energy["spike"],
        "normalised_energy_other": energy.get("others"),
        "spike_cosine_before": cosines[first],
        "spike_cosine_after": cosines[last + 1],
        "spike_channel_variation": (leading["std"] / leading["mean"].abs()).mean(),
        "spike_channel_ratio_variation": (second["ratio_std"] / second["ratio"].abs()).mean(),
    }
