"""What the norm before a block makes of the spike (2603.05498 Eq 23-25, Fig 5)."""

from typing import Any

import polars as pl

COLUMNS = (
    "normalised_share_of_bound",
    "normalised_energy_spike",
    "normalised_energy_other",
    "spike_cosine_before",
    "spike_cosine_after",
    "spike_channel_variation",
)


def normalised(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """The token at position 0 behind the norms of the plateau: from the last step-up block to the first step-down block
    or, without one, the final norm.

    normalised_share_of_bound   its largest entry over the norm's bound, sqrt(D) for RMSNorm (Eq 23), the largest
    normalised_energy_spike     share of its squared norm in its three (measures.spike_channels) largest channels, mean
                                over tokens and blocks (Eq 24); _other: of the tokens at all other positions
    spike_cosine_before         mean cosine between pairs of such tokens of different sequences, behind the norm of the
                                first step-up block (Fig 5)
    spike_cosine_after          the same behind the norm after the last step-up block
    spike_channel_variation     standard deviation over mean of their leading channel, mean over blocks (Eq 25)

    Columns have no unit. Behind a BOS all sequences have the same token at position 0, so the last three are of text
    without it. All are None without a step-up block.
    """
    blocks = {
        role: tables["lifecycle"].filter(pl.col("role") == role)["block"].to_list() for role in ("step_up", "step_down")
    }
    if not blocks["step_up"]:
        return dict.fromkeys(COLUMNS)
    first, last = min(blocks["step_up"]), max(blocks["step_up"])
    end = min((block for block in blocks["step_down"] if block > last), default=None)
    plateau = (pl.col("block") > last) & (pl.col("block") <= end if end else True)
    table, channels = tables["normalisation"], tables["normalised_channels"]
    trained = table.filter((pl.col("start") == table["start"][0]) & plateau)
    energy = dict(trained.group_by("group").agg(pl.col("energy_top").mean()).iter_rows())
    text = table.filter((pl.col("start") == "text") & (pl.col("group") == "spike"))
    cosines = dict(text.select("block", "cosine").iter_rows())
    leading = channels.filter((pl.col("start") == "text") & (pl.col("rank") == 1) & plateau)
    values = (
        trained.filter(pl.col("group") == "spike")["share_of_bound"].max(),
        energy["spike"],
        energy.get("others"),
        cosines[first],
        cosines[last + 1],
        (leading["std"] / leading["mean"].abs()).mean(),
    )
    return dict(zip(COLUMNS, values, strict=True))
