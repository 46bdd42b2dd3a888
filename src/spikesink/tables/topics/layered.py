"""Token 0 layer by layer, and where learned valves close (2603.17771 Figs 7, 12, 13)."""

from typing import Any

import polars as pl

READS = ("layers", "valve_strength")


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Token 0's norm and its values' against those of early tokens, and V-scale's theta over the depth of the model.

    Without learned valves there is no theta.
    """
    table = tables["layers"]
    return {
        "token0_over_early": (table["stream_token0"] / table["stream_early_mean"]).mean(),
        "value_norm_token0": (table["value_raw_token0"] / table["value_raw_early_mean"]).median(),
        **thetas(tables["valve_strength"]),
    }


def thetas(valves: pl.DataFrame) -> dict[str, float | None]:
    if "theta" not in valves.columns:
        return {}
    valves = valves.filter(pl.col("path") == "value")
    places = valves["layer"].unique().sort()
    third = max(1, len(places) // 3)
    ends = {"theta_early": places[:third], "theta_late": places[-third:]}
    return {name: valves.filter(pl.col("layer").is_in(ends[name].implode()))["theta"].mean() for name in ends}
