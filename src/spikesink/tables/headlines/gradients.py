"""Where gradients gather, by which path, and whether attention predicts it (2603.17771 Def 1, Theorem 1, Figs 1, 2)."""

from typing import Any

import polars as pl

PATHS = ("query", "key", "value")
ROUNDING = 1e-6


def gradients(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Columns without a unit, and a share in %.

    gradient_sink_ratio, _quartile1, _quartile3    R_GS(0) over attention blocks (Definition 1)
    query_, key_, value_gradient_token0            gradient norm at token 0 behind the projection over the mean over
                                                   later positions, of means over blocks (Fig 2)
    value_over_key_token0                          the value's gradient norm at token 0 over the key's
    theorem_1_lower_pct, theorem_1_upper_pct       heads in % whose squared value gradient at token 0 is at least
                                                   Theorem 1's lower bound, and at most its upper bound
    mass_gradient_correlation                      rank correlation over heads of the attention on token 0 with the
                                                   gradient of its value (Proposition 1)
    """
    ratio, by_position = tables["gradient_sink_ratio"]["ratio"].drop_nulls(), tables["gradients"]
    found = {
        f"gradient_sink_ratio{suffix}": ratio.quantile(share, "linear")
        for suffix, share in (("", 0.5), ("_quartile1", 0.25), ("_quartile3", 0.75))
    }
    first = by_position.filter(pl.col("position") == 0).select(pl.col(PATHS).mean()).row(0, named=True)
    later = by_position.filter(pl.col("position") > 0).select(pl.col(PATHS).mean()).row(0, named=True)
    found |= {f"{path}_gradient_token0": quotient(first[path], later[path]) for path in PATHS}
    bounds = tables["value_gradient_bounds"]
    above = pl.col("actual") >= pl.col("lower") * (1 - ROUNDING)
    below = pl.col("actual") <= pl.col("upper") * (1 + ROUNDING)
    return found | {
        "value_over_key_token0": quotient(first["value"], first["key"]),
        "theorem_1_lower_pct": 100 * bounds.select(above.mean()).item(),
        "theorem_1_upper_pct": 100 * bounds.select(below.mean()).item(),
        "mass_gradient_correlation": bounds.select(pl.corr("mass", "actual", method="spearman")).item(),
    }


def quotient(numerator: float | None, denominator: float | None) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None
