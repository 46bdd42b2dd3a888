"""How branches reshape the gradient that passes: Bloat, Compress, Change (2603.17771 Theorem 2, Figs 3, 10, 11)."""

from typing import Any

import polars as pl

from spikesink.tables.collecting.measured import ratio

READS = ("reshaping",)
BRANCHES = ("attention", "feed_forward")
ROUNDING = 1e-4


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """How much more the branches let through at token 0, and how often Theorem 2's bound holds.

    The bound, |gamma|_inf / rms(h), holds where it does up to a relative error of ROUNDING. None where the norm before
    the branch is no RMSNorm.
    """
    points = tables["reshaping"]
    found = {}
    for branch in BRANCHES:
        members = points.filter(pl.col("branch") == branch)
        at_0, after = (
            members.filter(choice)["bloat"].median() for choice in (pl.col("position") == 0, pl.col("position") > 0)
        )
        found[f"bloat_token0_{branch}"] = ratio(at_0, after)
    within_bound = pl.col("compress") <= pl.col("compress_bound").cast(pl.Float64) * (1 + ROUNDING)
    share = points.select(within_bound.mean()).item()
    return found | {"theorem_2_pct": None if share is None else 100 * share}
