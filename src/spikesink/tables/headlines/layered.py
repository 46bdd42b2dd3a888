"""Token 0 layer by layer, and where learned valves close (2603.17771 Figs 7, 12, 13)."""

from typing import Any

import polars as pl


def layered(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Means over layers.

    sink_rate_pct              heads and sequences whose attention on position 0 exceeds measures.sink_epsilon, in %
    token0_stream, token0_attention, token0_feed_forward   L2 norm at token 0 of the residual stream after the layer and
                               of what its branches add, in the stream's magnitude (Fig 7: x_out, r_attn, r_mlp)
    value_norm_token0          norm of token 0's values over the mean of tokens 1 to 15, median over layers (Fig 12)
    theta_early, theta_late    V-scale's learned log factor, mean over heads of the first and of the last third of its
                               layers (Fig 13); None without learned valves
    """
    table = tables["layers"]
    sites = ("stream", "attention", "feed_forward")
    return {
        "sink_rate_pct": 100 * table["sink_rate"].mean(),
        **{f"token0_{site}": table[f"{site}_token0"].mean() for site in sites},
        "value_norm_token0": (table["value_raw_token0"] / table["value_raw_early_mean"]).median(),
        **thetas(tables["valve_strength"]),
    }


def thetas(valves: pl.DataFrame) -> dict[str, float | None]:
    if "theta" not in valves.columns:
        return {"theta_early": None, "theta_late": None}
    valves = valves.filter(pl.col("path") == "value")
    places = valves["layer"].unique().sort()
    third = max(1, len(places) // 3)
    ends = {"theta_early": places[:third], "theta_late": places[-third:]}
    return {name: valves.filter(pl.col("layer").is_in(ends[name].implode()))["theta"].mean() for name in ends}
