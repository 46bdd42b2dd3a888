"""A second test of what variants do to sinks: a mixed model of logit sink mass, with heads in layers in seeds.

The sink ratio counts heads above a threshold, so that a small shift of the mass moves it much. The logarithm of the
odds of a head's sink mass has no threshold. Its model has a fixed effect of the variant, and random effects of the
seed, of the layer in the seed, and of the head in the layer. Within a variant all runs have equally many layers and
heads. In such a balanced design the estimate of the variant's effect is the difference of the seeds' means, and its
standard error that of these means, so that no iteration is needed: the test is that of
``spikesink.tables.statistics.change``.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.contracts import HEADS
from spikesink.tables.inputs import read_table
from spikesink.tables.statistics.change import change_of
from spikesink.tables.statistics.intervals import Estimate, p_value
from spikesink.tables.statistics.multiplicity import holm

SMALLEST_MASS = 1e-4
"""Masses are kept this far from 0 and 1, where the logit is infinite."""


class Effect(NamedTuple):
    """The change of a variant's mean logit sink mass against the baseline."""

    variant: str
    change: Estimate
    p: float | None
    p_holm: float | None


def read_heads(folders: Iterable[Path]) -> pl.DataFrame:
    """The heads of all runs that finished, each run once, from the collected tables of ablations."""
    names = ("variant", "seed", "status", "layer", "block", "head", "sink_mass")
    columns = {name: HEADS[name] for name in names}
    remedy = "collect every ablation again"
    tables = [read_table(folder / "heads.parquet", columns, remedy, may_be_empty=True) for folder in folders]
    usable = (pl.col("status") == FINISHED) & pl.col("sink_mass").is_finite()
    return pl.concat(tables).unique(maintain_order=True).filter(usable)


def effects(heads: pl.DataFrame) -> list[Effect]:
    """For every variant but the baseline, its effect on logit sink mass, with p values corrected by Holm."""
    means = means_by_seed(heads)
    base = means.pop(BASELINE, {})
    changes = {variant: change_of(values, base) for variant, values in means.items() if base}
    p_values = [p_value(found, 0.0) for found in changes.values()]
    return [
        Effect(variant, found.estimate(), p, corrected)
        for (variant, found), p, corrected in zip(changes.items(), p_values, holm(p_values), strict=True)
    ]


def means_by_seed(heads: pl.DataFrame) -> dict[str, dict[int, float]]:
    """Mean logit sink mass over the heads of each run, by variant and seed."""
    table = heads.with_columns(logit(pl.col("sink_mass")).alias("logit"))
    found: dict[str, dict[int, float]] = {}
    rows = table.group_by("variant", "seed", maintain_order=True).agg(pl.col("logit").mean())
    for variant, seed, mean in rows.iter_rows():
        found.setdefault(variant, {})[seed] = mean
    return found


def logit(mass: pl.Expr) -> pl.Expr:
    kept = mass.clip(SMALLEST_MASS, 1 - SMALLEST_MASS)
    return (kept / (1 - kept)).log()


def components(heads: pl.DataFrame, variant: str = BASELINE) -> Mapping[str, float] | None:
    """The standard deviations between seeds, between layers in a seed, and between heads in a layer, of one variant.

    They are the estimates of the balanced nested analysis of variance, which are those of restricted maximum likelihood
    where none is negative; a negative one is 0. None with fewer than two seeds, layers or heads.
    """
    rows = heads.filter(pl.col("variant") == variant).with_columns(logit(pl.col("sink_mass")).alias("logit"))
    groups = rows.group_by("seed", "block", maintain_order=True).agg(pl.col("logit"))
    table = [groups.filter(pl.col("seed") == seed)["logit"].to_list() for seed in groups["seed"].unique()]
    shape = {(len(seed), *(len(layer) for layer in seed)) for seed in table}
    if len(shape) != 1 or len(table) < 2 or len(table[0]) < 2 or len({len(layer) for layer in table[0]}) != 1:
        return None
    values = np.array(table)
    _, layers, count = values.shape
    if count < 2:
        return None
    within = values.var(axis=2, ddof=1).mean()
    between_layers = count * values.mean(axis=2).var(axis=1, ddof=1).mean()
    between_seeds = count * layers * values.mean(axis=(1, 2)).var(ddof=1)
    return {
        "seeds": math.sqrt(max(0.0, (between_seeds - between_layers) / (count * layers))),
        "layers": math.sqrt(max(0.0, (between_layers - within) / count)),
        "heads": math.sqrt(within),
    }
