"""A variant and the baseline where they predict equally well: from the courses of two runs of equal seed."""

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from spikesink.quantities.of_equal_loss import BY_SIDE
from spikesink.study.names import BASELINE

TAKEN = {
    "step": ("step", 1.0, False),
    "sink_ratio": ("sink_share", 100.0, False),
    "sink_mass_mean": ("sink_mass", 1.0, False),
    "spike_over_median": ("spike_over_median", 1.0, True),
}
"""By quantity: its column in measures/course.parquet, its factor, and whether it is interpolated by its logarithm."""


def with_equal_loss(rows: list[dict[str, Any]], courses: Mapping[tuple[str, int], pl.DataFrame]) -> None:
    """Put the quantities at equal loss into the rows of variants; ``courses`` are by variant and seed.

    A row stays without them where the losses do not compare, because the context, the BOS or the positions that count
    differ: behind a BOS the first token is scored with nothing before it.
    """
    settings = ("sequence_length", "bos", "loss_window_first", "loss_window_last")
    baselines = {row["seed"]: row for row in rows if row["variant"] == BASELINE}
    for row in rows:
        base = baselines.get(row["seed"])
        own, other = courses.get((row["variant"], row["seed"])), courses.get((BASELINE, row["seed"]))
        if row["variant"] == BASELINE or own is None or other is None:
            continue
        if all(row[name] == base[name] for name in settings):
            row |= at_equal_loss(own, other)


def at_equal_loss(own: pl.DataFrame, other: pl.DataFrame) -> dict[str, float]:
    """The quantities of a variant and of the baseline, from the courses of both.

    The loss is the higher of the two final ones. The side that ends with it is taken at its last step, the other where
    it passes that loss for good, between two snapshots. Empty where that was before the first snapshot.
    """
    level = max(course.sort("step")["loss"][-1] for course in (own, other))
    sides = [at_loss(course, level) for course in (own, other)]
    if None in sides:
        return {}
    found = {"equal_loss": level}
    for suffix, side in zip(BY_SIDE, sides, strict=True):
        found |= {f"equal_loss_{name}{suffix}": value for name, value in side.items()}
    return found


def at_loss(course: pl.DataFrame, level: float) -> dict[str, float | None] | None:
    """The quantities of TAKEN where a course has this loss; None where it had a lower one before its first snapshot."""
    rows = course.sort("step").to_dicts()
    last = max((place for place, row in enumerate(rows[:-1]) if row["loss"] > level), default=None)
    if rows[-1]["loss"] == level:
        before = after = rows[-1]
    elif last is None:
        return None
    else:
        before, after = rows[last], rows[last + 1]
    fall = before["loss"] - after["loss"]
    share = (before["loss"] - level) / fall if fall else 0.0
    return {
        name: between(before[column], after[column], share, factor, log)
        for name, (column, factor, log) in TAKEN.items()
    }


def between(before: float | None, after: float | None, share: float, factor: float, log: bool) -> float | None:
    """The value at a share of the way between two."""
    if before is None or after is None:
        return None
    if log:
        return math.exp(math.log(before) + share * (math.log(after) - math.log(before)))
    return factor * (before + share * (after - before))
