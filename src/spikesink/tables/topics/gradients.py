"""Where gradients gather, by which path, and whether attention predicts it (2603.17771 Def 1, Theorem 1, Figs 1, 2)."""

from typing import Any

import polars as pl

from spikesink.tables.collecting.measured import ratio

READS = ("gradients", "value_gradient_bounds")
PATHS = ("query", "key", "value")
ROUNDING = 1e-6


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Gradients at token 0 against those at later positions, and the bounds of Theorem 1.

    A bound holds where it does up to a relative error of ROUNDING.
    """
    by_position = tables["gradients"]
    first = by_position.filter(pl.col("position") == 0).select(pl.col(PATHS).mean()).row(0, named=True)
    later = by_position.filter(pl.col("position") > 0).select(pl.col(PATHS).mean()).row(0, named=True)
    found = {f"{path}_gradient_token0": ratio(first[path], later[path]) for path in PATHS}
    bounds = tables["value_gradient_bounds"]
    above = pl.col("actual") >= pl.col("lower") * (1 - ROUNDING)
    below = pl.col("actual") <= pl.col("upper") * (1 + ROUNDING)
    if "value_uniform" in by_position.columns:  # studies that were published before have no null
        at_0, after = (
            by_position.filter(choice)["value_uniform"].mean()
            for choice in (pl.col("position") == 0, pl.col("position") > 0)
        )
        found["value_gradient_token0_uniform"] = ratio(at_0, after)
    return found | {
        "value_over_key_token0": ratio(first["value"], first["key"]),
        "theorem_1_lower_pct": 100 * bounds.select(above.mean()).item(),
        "theorem_1_upper_pct": 100 * bounds.select(below.mean()).item(),
        "mass_gradient_correlation": within_layers(bounds),
    }


def within_layers(bounds: pl.DataFrame) -> float | None:
    """Rank correlation over a layer's heads of attention and squared value gradient, mean over layers.

    Layers differ in the size of their gradients, of which Proposition 1 says nothing. Over the heads of all layers
    together the correlation of SmolLM2 is negative, though it is positive in most of its layers.
    """
    of_layers = bounds.group_by("block", maintain_order=True).agg(found=pl.corr("mass", "actual", method="spearman"))
    return of_layers["found"].fill_nan(None).mean()
