"""At which step has a quantity risen half way, and which of two quantities comes first? From a run's snapshots.

2603.17771 leaves the onset steps open. A fixed threshold would decide the order by itself: another threshold, another
order. Half the rise is read off each course alone.
"""

from collections.abc import Callable
from itertools import combinations
from statistics import fmean, median
from typing import NamedTuple


class Course(NamedTuple):
    """How the values of heads or blocks become one course over the snapshots, and what it rises from."""

    over_blocks: Callable[[list[float]], float]
    """From one value per block to the model's, as the tables have it."""
    null: float | str | None
    """What it is where nothing has happened: a number, or the column of ``snapshot_summary`` that holds it. None: its
    value at the first snapshot."""


COURSES = {
    "sink_mass": Course(fmean, "sink_mass_uniform"),
    "gradient_sink_over_uniform": Course(median, 1.0),
    "token0_over_early": Course(fmean, None),
}
"""What is ordered: sink, gradient sink and spike, in the order that 2603.17771 gives them."""
LEAST_RISE = 0.25
"""A quantity that ends less than this share above where it began did not rise (this project's choice)."""


def onsets(table: list[dict]) -> list[dict]:
    """One row per quantity of COURSES, for the model (block and layer None) and for every attention block.

    ``table`` holds the rows of ``snapshot_summary`` of all snapshots. A block's sink mass is the mean over its heads.

    rest: the null of the quantity, or its value at the first snapshot; final: its value at the last snapshot.
    half: half way between the two.
    after: the last snapshot before any at which the quantity is above ``half``; 0: already the first one is above.
    by: the first snapshot from which it stays above for the rest of the run. The onset lies between ``after`` and
        ``by``: the closer the snapshots, the narrower, and a course that falls back below half widens it. Both are None
        for a quantity that did not rise.
    """
    if not table:
        return []
    blocks = {row["block"]: row["layer"] for row in table}
    found = []
    for quantity, course in COURSES.items():
        values: dict[int, dict[int, list[float]]] = {}
        for row in table:
            if row[quantity] is not None:
                values.setdefault(row["step"], {}).setdefault(row["block"], []).append(row[quantity])
        of_blocks = {step: {block: fmean(heads) for block, heads in own.items()} for step, own in values.items()}
        nulls = {row["block"]: row[course.null] if isinstance(course.null, str) else course.null for row in table}
        null = None if course.null is None else course.over_blocks(list(nulls.values()))
        whole = {step: course.over_blocks(list(own.values())) for step, own in of_blocks.items()}
        found.append({"block": None, "layer": None, "quantity": quantity} | half_rise(whole, null))
        for block, layer in sorted(blocks.items()):
            own = {step: by_block[block] for step, by_block in of_blocks.items() if block in by_block}
            found.append({"block": block, "layer": layer, "quantity": quantity} | half_rise(own, nulls[block]))
    return found


def half_rise(course: dict[int, float], null: float | None) -> dict[str, float | int | None]:
    """rest, final, half, after and by of one course, step -> value, as ``onsets`` describes them."""
    names = ("rest", "final", "half", "after", "by")
    if not course:
        return dict.fromkeys(names)
    steps = sorted(course)
    rest = course[steps[0]] if null is None else null
    final = course[steps[-1]]
    half = (rest + final) / 2
    if final < rest * (1 + LEAST_RISE):
        return dict(zip(names, (rest, final, half, None, None), strict=True))
    above = [course[step] > half for step in steps]
    first = above.index(True)
    last = len(above) - above[::-1].index(False) if False in above else 0
    return dict(zip(names, (rest, final, half, steps[first - 1] if first else 0, steps[last]), strict=True))


def orders(table: list[dict]) -> list[dict]:
    """One row per pair of quantities, for the model and for every attention block, from the rows of ``onsets``.

    earlier, later: the two quantities, as 2603.17771 orders them.
    order: 1, the onset of ``earlier`` comes first; -1, it comes last; 0, the two cannot be ordered, because the
        intervals in which they lie overlap. None where one of them has no onset.
    undecided: whether order is 0; None where order is.
    """
    places: dict[tuple, dict[str, dict]] = {}
    for row in table:
        places.setdefault((row["block"], row["layer"]), {})[row["quantity"]] = row
    found = []
    for (block, layer), rows in places.items():
        for earlier, later in combinations(COURSES, 2):
            order = order_of(rows[earlier], rows[later])
            pair = {"block": block, "layer": layer, "earlier": earlier, "later": later, "order": order}
            found.append(pair | {"undecided": None if order is None else order == 0})
    return found


def order_of(one: dict, other: dict) -> int | None:
    if one["by"] is None or other["by"] is None:
        return None
    return int(one["by"] <= other["after"]) - int(other["by"] <= one["after"])
