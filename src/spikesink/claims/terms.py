"""From a claim to the statistics that decide it: each over seeds, with the region it must lie in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from spikesink.claims.observations import Observations, Seed
from spikesink.claims.quantities import CLAIMABLE
from spikesink.claims.region import Region
from spikesink.claims.vocabulary import PRETRAINED, Claim
from spikesink.tables.statistics.change import change_of, ratio_of
from spikesink.tables.statistics.intervals import Bounds, Statistic, mean_of
from spikesink.tables.statistics.statistics import bounds_of

FEWEST = 4
"""A correlation over variants needs at least so many of them."""


class Term(NamedTuple):
    """One statistic of a claim: what it is about, the statistic, the region, and the seeds in it.

    ``about`` is a variant, a published model, or a number of variants. A step leads to it from the variant ``before``;
    ``step`` says how that is expressed: as a factor or as a difference. ``coprimary`` is the quantity, where it is not
    the claim's own. ``keeps`` says that the test is one of equivalence. ``means`` are the two means of a ratio that is
    not on the logarithmic scale. ``within`` counts the seeds whose own value lies in the region, where the seeds are
    counted. ``alone`` says that the statistic is of one run and can be of no other: its value decides.
    """

    about: str
    statistic: Statistic
    region: Region
    seeds: tuple[Seed, ...]
    step: Literal["factor", "difference"] | None = None
    keeps: bool = False
    means: tuple[float, float] | None = None
    within: int | None = None
    alone: bool = False
    before: str = ""
    coprimary: str = ""

    @property
    def text(self) -> str:
        """What it is about, for a reader."""
        about = f"{self.before} to {self.about}" if self.before else self.about
        return f"{self.coprimary} {about}" if self.coprimary else about


class NotRun(Exception):
    """The study lacks what a claim needs; the message says what. ``measured`` is false where only a quantity is
    missing."""

    def __init__(self, reason: str, measured: bool = True) -> None:
        super().__init__(reason)
        self.measured = measured


def terms(claim: Claim, observed: Observations) -> list[Term]:
    """The statistics of a claim: of its quantity, then of the coprimary ones that were measured. Raises NotRun."""
    if not observed.is_of(claim.scale):
        raise NotRun(f"said of the scale {claim.scale} alone")
    if claim.tier == "check":
        counts = [term.within for term in over_seeds(claim, observed)]
        values = by_itself(claim, observed)
        return [term._replace(within=count) for term, count in zip(values, counts, strict=True)]
    found = BY_COMPARISON[claim.compare](claim, observed)
    for other in claim.coprimary:
        if observed.knows(other):
            extra = replace(claim, quantity=other, coprimary=())
            more = BY_COMPARISON[claim.compare](extra, observed)
            found = [*found, *(term._replace(coprimary=other) for term in more)]
    return [by_count(term._replace(alone=no_other(term, observed))) for term in found]


def no_other(term: Term, observed: Observations) -> bool:
    """Whether a statistic is of one run of a study that has one seed, or of a published model."""
    return term.statistic.count == 1 and (len(observed.seeds) < 2 or isinstance(term.seeds[0], str))


def by_count(term: Term) -> Term:
    """The term, with a count of its seeds where they do not vary and so have no standard deviation. A value that is
    alone is not counted."""
    if term.alone:
        return term._replace(within=None)
    still = term.within is None and term.statistic.at is None and term.statistic.count > 1
    if not still or term.statistic.value is None:
        return term
    return term._replace(within=term.statistic.count if term.region.holds(term.statistic.value) else 0)


def absent(names: Iterable[str]) -> str:
    """The names that the study has no variant for."""
    return f"not in this study: {', '.join(names)}" if names else ""


def values(claim: Claim, observed: Observations, name: str) -> dict[Seed, float]:
    return observed.values(name, claim.quantity, claim.relative_to, claim.minus)


def present(claim: Claim, observed: Observations, names: Sequence[str]) -> list[str]:
    """The variants of a list that have values, if they are as many as the claim needs."""
    asked = [name for name in (claim.quantity, claim.relative_to, claim.minus, claim.against) if name]
    unknown = [name for name in asked if not observed.knows(name)]
    if unknown and any(observed.has(name) for name in names):
        raise NotRun(f"no run has {', '.join(unknown)}: not measured, or never present", measured=False)
    found = [name for name in names if values(claim, observed, name)]
    if len(found) < (claim.needs or len(names)):
        lost = [name for name in names if name not in found and observed.variant(name) is not None]
        reasons = [observed.absence(name, claim.quantity) for name in lost]
        reasons.append(absent([name for name in names if observed.variant(name) is None]))
        raise NotRun("; ".join(filter(None, dict.fromkeys(reasons))))
    return found


def on_log_scale(claim: Claim, *samples: Iterable[float]) -> bool:
    """Whether values are compared by factors: they are magnitudes, or quotients of magnitudes, and all positive."""
    return (
        CLAIMABLE[claim.quantity].scale == "log"
        and not claim.minus
        and all(value > 0 for sample in samples for value in sample)
    )


def both(claim: Claim, observed: Observations, name: str, other: str) -> tuple[dict[Seed, float], dict[Seed, float]]:
    """The values of two variants by seed. Raises NotRun where one has none."""
    found = values(claim, observed, name), values(claim, observed, other)
    for side, sample in zip((name, other), found, strict=True):
        if not sample:
            raise NotRun(observed.absence(side, claim.quantity))
    return found


def limits(claim: Claim) -> Bounds | None:
    """The bounds of the values that a claim compares; a quotient or a difference of two quantities has none."""
    return None if claim.relative_to or claim.minus else bounds_of(claim.quantity)


def against_reference(claim: Claim, observed: Observations) -> list[Term]:
    """ratio and difference, of every variant to the reference."""
    found = []
    for name in present(claim, observed, claim.of):
        ours, base = both(claim, observed, name, claim.reference)
        term = Term(name, Statistic(None, None, 0), claim.region, seeds_of(ours, base), keeps=claim.keeps)
        if claim.compare == "difference":
            term = term._replace(statistic=change_of(ours, base, bounds=limits(claim)))
        elif limits(claim) is None and min(*ours.values(), *base.values()) > 0:
            term = term._replace(statistic=change_of(ours, base, log=True))
        else:
            means = tuple(sum(side.values()) / len(side) for side in (ours, base))
            term = term._replace(statistic=ratio_of(ours, base, limits(claim)), means=means)
        found.append(term)
    return found


def seeds_of(*samples: Mapping[Seed, float]) -> tuple[Seed, ...]:
    """The seeds that stand in any of the samples."""
    return tuple(dict.fromkeys(seed for sample in samples for seed in sample))


def samples_of(claim: Claim, observed: Observations) -> dict[str, dict[Seed, float]]:
    """The values of every variant by seed; every published model stands for itself."""
    samples = {name: values(claim, observed, name) for name in present(claim, observed, claim.of)}
    for model, value in samples.pop(PRETRAINED, {}).items():
        samples[str(model)] = {model: value}
    return samples


def by_itself(claim: Claim, observed: Observations) -> list[Term]:
    """value, of every variant."""
    found = []
    for name, sample in samples_of(claim, observed).items():
        log = on_log_scale(claim, sample.values())
        statistic = mean_of(list(sample.values()), log=log, bounds=None if log else limits(claim))
        found.append(Term(name, statistic, claim.region, tuple(sample), keeps=claim.keeps))
    return found


def over_seeds(claim: Claim, observed: Observations) -> list[Term]:
    """seeds, of every variant: in how many the value lies in the region."""
    found = []
    for name, sample in samples_of(claim, observed).items():
        told = {seed: value for seed, value in sample.items() if value != claim.open}
        within = sum(claim.region.holds(value) for value in told.values()) if told else None
        value = next(iter(told.values())) if len(told) == 1 else None
        found.append(Term(name, Statistic(value, None, len(told)), claim.region, tuple(told), within=within))
    return found


def over_variants(claim: Claim, observed: Observations) -> list[Term]:
    """correlation: of two quantities over the variants that all have, seed by seed."""
    names = present(claim, observed, claim.of)
    if len(names) < FEWEST:
        raise NotRun(f"a correlation needs {FEWEST} variants, and the study has {', '.join(names)}")
    other = replace(claim, quantity=claim.against, relative_to=None, minus=None)
    sides = [[values(side, observed, name) for name in names] for side in (claim, other)]
    seeds = [seed for seed in sides[0][0] if all(seed in sample for side in sides for sample in side)]
    if not seeds:
        raise NotRun(f"{', '.join(names)} have no seed in common")
    found = {seed: spearman(*([sample[seed] for sample in side] for side in sides)) for seed in seeds}
    statistic = mean_of(list(found.values()), bounds=(-1.0, 1.0))
    return [Term(f"over {len(names)} variants", statistic, claim.region, tuple(found))]


def spearman(ours: Sequence[float], others: Sequence[float]) -> float:
    """Spearman's rank correlation, equal values with their mean rank; 0 where a side does not vary."""
    ranks = [
        np.array([sum(a < b for a in side) + sum(a == b for a in side) / 2 for b in side]) for side in (ours, others)
    ]
    spread = ranks[0].std() * ranks[1].std()
    return float(((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())).mean() / spread) if spread else 0.0


def along_list(claim: Claim, observed: Observations) -> list[Term]:
    """increasing and decreasing: every step from a variant to the next."""
    names = present(claim, observed, claim.of)
    if len(names) < 2:
        raise NotRun(f"only {names[0]} of the list is in this study")
    pairs = [(name, before) for before, name in pairwise(names)]
    return steps(claim, observed, pairs, upwards=claim.compare == "increasing")


def against_others(claim: Claim, observed: Observations) -> list[Term]:
    """highest and lowest: the variant against each of the others."""
    others = present(claim, observed, claim.among)
    return steps(claim, observed, [(claim.of[0], other) for other in others], upwards=claim.compare == "highest")


def steps(claim: Claim, observed: Observations, pairs: list[tuple[str, str]], upwards: bool) -> list[Term]:
    """Changes from the second to the first of each pair, which must go upwards, or downwards, up to the tolerance."""
    found = []
    for name, other in pairs:
        ours, base = both(claim, observed, name, other)
        log = on_log_scale(claim, ours.values(), base.values())
        statistic = change_of(ours, base, log=log, bounds=None if log else limits(claim))
        region, step = step_region(claim.tolerance, log, upwards), "factor" if log else "difference"
        found.append(Term(name, statistic, region, seeds_of(ours, base), step, before=other))
    return found


def step_region(tolerance: float | None, log: bool, upwards: bool) -> Region:
    """The changes that go upwards, or downwards. A tolerance moves the limit, which then belongs to the region."""
    allowed = tolerance or 0.0
    if upwards:
        limit = 1 - allowed if log else -allowed
        return Region(low=limit, open_low=not allowed)
    limit = 1 + allowed if log else allowed
    return Region(high=limit, open_high=not allowed)


BY_COMPARISON: dict[str, Callable[[Claim, Observations], list[Term]]] = {
    "ratio": against_reference,
    "difference": against_reference,
    "value": by_itself,
    "seeds": over_seeds,
    "correlation": over_variants,
    "increasing": along_list,
    "decreasing": along_list,
    "highest": against_others,
    "lowest": against_others,
}
