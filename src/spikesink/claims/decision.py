"""Whether seeds decide a claim: p values that its statistics lie in their regions, or outside, and how many it needs.

A claim is reproduced where the interval of each of its statistics lies wholly inside the claimed region: the 95 %
interval, and for equivalence ("keeps") the 90 % interval, which is two one-sided tests at 5 %. It is not reproduced
where one lies wholly outside; with several, the level is divided by their number. Else more seeds must decide. The
value of a single run decides where no other run can: in a study of one seed, and of a published model.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from spikesink.claims.terms import Term
from spikesink.tables.statistics.bounded import clopper_pearson
from spikesink.tables.statistics.intervals import LEVEL, smallest_level
from spikesink.tables.statistics.power import seeds_needed

REPRODUCED, NOT_REPRODUCED, UNDECIDABLE = "reproduced", "not reproduced", "undecidable"
ALPHA = 1 - LEVEL
MOST_SEEDS = 0.5
"""Where seeds are counted, a claim holds in more than this share of them."""


class Decision(NamedTuple):
    """A verdict with the p value that decides it; None where single runs decide, or nothing does."""

    verdict: str
    p: float | None


def decide(terms: Sequence[Term]) -> Decision:
    """The verdict on statistics that must hold together: an intersection-union test."""
    if any(term.statistic.value is None and term.within is None for term in terms):
        return Decision(UNDECIDABLE, None)
    inside, outside = [p_inside(term) for term in terms], [p_outside(term) for term in terms]
    if None in inside:
        return Decision(by_value(terms, inside, outside), None)
    holds, fails = max(inside), min(1.0, len(terms) * min(outside))
    return Decision(verdict_of(holds, fails), min(holds, fails))


def hold_everywhere(terms: Sequence[Term]) -> Decision:
    """Whether a check holds: a consequence of definitions does so in every run, and nothing is inferred from seeds."""
    everywhere = all(term.within == term.statistic.count for term in terms)
    return Decision(REPRODUCED if everywhere else NOT_REPRODUCED, None)


def verdict_of(holds: float, fails: float) -> str:
    return NOT_REPRODUCED if fails < ALPHA else REPRODUCED if holds < ALPHA else UNDECIDABLE


def by_value(terms: Sequence[Term], inside: Sequence[float | None], outside: Sequence[float | None]) -> str:
    """The verdict where the value of some statistic decides, since it is alone."""
    verdicts = {
        (REPRODUCED if term.region.holds(term.statistic.value) else NOT_REPRODUCED)
        if holds is None
        else verdict_of(holds, len(terms) * fails)
        for term, holds, fails in zip(terms, inside, outside, strict=True)
    }
    return next(verdict for verdict in (NOT_REPRODUCED, UNDECIDABLE, REPRODUCED) if verdict in verdicts)


def p_inside(term: Term) -> float | None:
    """The p value of the hypothesis that the statistic lies outside its region: 1 of one seed of several, which says
    nothing of the others; None where the value is alone."""
    found = term.statistic
    if term.alone:
        return None
    if term.within is not None:
        return smallest_level(lambda level: share_of_seeds(term, level)[0] > MOST_SEEDS)
    if found.at is None:
        return 1.0
    p = smallest_level(lambda level: term.region.holds_all(*found.at(level)))
    return p / 2 if term.keeps and p < 1 else p


def p_outside(term: Term) -> float | None:
    """The p value of the hypothesis that the statistic lies in its region, as in ``p_inside``."""
    found = term.statistic
    if term.alone:
        return None
    if term.within is not None:
        return smallest_level(lambda level: share_of_seeds(term, level)[1] < MOST_SEEDS)
    return 1.0 if found.at is None else smallest_level(lambda level: term.region.holds_none(*found.at(level)))


def share_of_seeds(term: Term, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval for the share of seeds that lie in the region."""
    return clopper_pearson(term.within, term.statistic.count, level)


def deciding_level(term: Term) -> float:
    """The level of the interval that decides."""
    return 1 - 2 * ALPHA if term.keeps and term.within is None else LEVEL


def needed(term: Term, paper: float | None) -> tuple[int | None, str]:
    """How many seeds would decide a statistic with a probability of 80 %, and at which effect: the paper's where it is
    the harder one to see with the seeds at hand, else ours. None is more than a thousand, or never."""
    if term.within is not None:
        decisive = term.within in (0, term.statistic.count)
        return (1 + math.floor(math.log2(2 / ALPHA)) if decisive else None), "if all agree"
    found = term.statistic
    if paper is not None and term.region.holds(paper):
        count = seeds_needed(found, margins(term, paper))
        if count is None or count > found.count:
            return count, "at the paper's effect"
    count = seeds_needed(found, margins(term, found.value))
    return (count and max(count, found.count + 1)), "at the effect seen here"


def hardest(found: Sequence[Term]) -> Term:
    """The statistic that is furthest from lying inside its region."""
    return max(found, key=distance)


def distance(term: Term) -> tuple[float, float]:
    """How far a statistic is from lying inside its region, to be compared: by its p values, or by a value alone."""
    value = term.statistic.value
    if not term.alone:
        return p_inside(term), -p_outside(term)
    if value is None:
        return 1.0, math.inf
    gap = min(margins(term, value))
    return (0.0, -gap) if term.region.holds(value) else (1.0, gap)


def margins(term: Term, value: float) -> tuple[float, float]:
    """The distances from a value to the ends of the region, on the scale of the statistic; of a value outside, to
    the end that it is beyond."""
    region, log = term.region, term.statistic.log

    def place(number: float) -> float:
        if not log:
            return number
        return math.log(number) if number > 0 else -math.inf

    below, above = place(value) - place(region.low), place(region.high) - place(value)
    if below < 0:
        return math.inf, -below
    return (-above, math.inf) if above < 0 else (below, above)
