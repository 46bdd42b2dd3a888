"""How branches reshape the gradient that passes: Bloat, Compress, Change (2603.17771 Theorem 2, Figs 3, 10, 11)."""

from typing import Any

import polars as pl

BRANCHES = ("attention", "feed_forward")
ROUNDING = 1e-4
QUANTITIES = ("bloat", "compress", "change")


def reshaped(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """For each branch, attention and feed_forward; columns have no unit.

    bloat_slope_*, compress_slope_*, change_slope_*   slope of the logarithm against that of the input norm, over points
                                                      (sequence, position, block), within blocks
    bloat_token0_*                                    median Bloat at token 0 over the median at the positions after it
    change_median_*                                   median Change over all points

    theorem_2_pct is the share of points of both branches whose Compress stays within Theorem 2's bound,
    |gamma|_inf / rms(h), in %; None where the pre-norm is no RMSNorm.
    """
    points = tables["reshaping"]
    slopes = tables["reshaping_slopes"].filter(pl.col("block").is_null() & pl.col("group").is_null())
    within = {
        (branch, name): slope for branch, name, slope in slopes.select("branch", "quantity", "slope_within").rows()
    }
    found = {f"{name}_slope_{branch}": within.get((branch, name)) for name in QUANTITIES for branch in BRANCHES}
    for branch in BRANCHES:
        members = points.filter(pl.col("branch") == branch)
        at_0, after = (
            members.filter(choice)["bloat"].median() for choice in (pl.col("position") == 0, pl.col("position") > 0)
        )
        found[f"bloat_token0_{branch}"] = at_0 / after if at_0 is not None and after else None
        found[f"change_median_{branch}"] = members["change"].median()
    within_bound = pl.col("compress") <= pl.col("compress_bound").cast(pl.Float64) * (1 + ROUNDING)
    share = points.select(within_bound.mean()).item()
    return found | {"theorem_2_pct": None if share is None else 100 * share}
