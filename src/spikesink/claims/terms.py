"""From a claim to the statistics that decide it: each with its interval over seeds and the region it must lie in."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from spikesink.claims.observations import Observations, Seed
from spikesink.claims.quantities import CLAIMABLE
from spikesink.claims.region import Region
from spikesink.claims.vocabulary import PRETRAINED, Claim
from spikesink.tables.statistics.intervals import LEVEL, Estimate, change_interval, mean_interval, ratio_interval
from spikesink.tables.statistics.statistics import within_bounds


class Term(NamedTuple):
    """One statistic of a claim: what it is about, its estimate, the region, and the seeds in it.

    ``step`` says how a step from one variant to another is expressed: as a factor or as a difference.
    """

    text: str
    estimate: Estimate
    region: Region
    seeds: tuple[Seed, ...]
    step: Literal["factor", "difference"] | None = None


class NotRun(Exception):
    """The study lacks what a claim needs; the message says what."""


def terms(claim: Claim, observed: Observations) -> list[Term]:
    """The statistics of a claim. Raises NotRun.

    The intervals of several statistics hold together: each has the level 1 - 0.05 / their number (Bonferroni).
    """
    return BY_COMPARISON[claim.compare](claim, observed)


def absent(names: list[str]) -> str:
    """The names that the study has no variant for."""
    return f"not in this study: {', '.join(names)}" if names else ""


def values(claim: Claim, observed: Observations, name: str) -> dict[Seed, float]:
    return observed.values(name, claim.quantity, claim.relative_to, claim.minus)


def present(claim: Claim, observed: Observations, names: Sequence[str]) -> list[str]:
    """The variants of a list that have values, if they are as many as the claim needs."""
    found = [name for name in names if values(claim, observed, name)]
    if len(found) < (claim.needs or len(names)):
        lost = [name for name in names if name not in found and observed.variant(name) is not None]
        reasons = [observed.absence(name, claim.quantity) for name in lost]
        reasons.append(absent([name for name in names if observed.variant(name) is None]))
        raise NotRun("; ".join(filter(None, dict.fromkeys(reasons))))
    return found


def together(count: int) -> float:
    """The level of each of ``count`` intervals that hold together at LEVEL."""
    return 1 - (1 - LEVEL) / count


def on_log_scale(claim: Claim, *samples: Sequence[float]) -> bool:
    """Whether values are compared by factors: they are magnitudes, or quotients of magnitudes, and all positive."""
    return (
        CLAIMABLE[claim.quantity].scale == "log"
        and not claim.minus
        and all(value > 0 for sample in samples for value in sample)
    )


def paired(claim: Claim, observed: Observations, name: str, other: str) -> tuple[list[Seed], list[float], list[float]]:
    """Seeds for which both variants have a value, and the values. Raises NotRun where there is none."""
    ours, base = values(claim, observed, name), values(claim, observed, other)
    for side, found in ((name, ours), (other, base)):
        if not found:
            raise NotRun(observed.absence(side, claim.quantity))
    seeds = [seed for seed in ours if seed in base]
    if not seeds:
        raise NotRun(f"{name} and {other} have no seed in common")
    return seeds, [ours[seed] for seed in seeds], [base[seed] for seed in seeds]


def against_reference(claim: Claim, observed: Observations) -> list[Term]:
    """ratio and difference, of every variant to the reference."""
    names, other = present(claim, observed, claim.of), claim.reference
    found = []
    for name in names:
        seeds, ours, base = paired(claim, observed, name, other)
        if claim.compare == "difference":
            estimate = change_interval(ours, base, log=False, level=together(len(names)))
        elif on_log_scale(claim, ours, base):
            estimate = change_interval(ours, base, log=True, level=together(len(names)))
        else:
            estimate = ratio_interval(ours, base, level=together(len(names)))
        found.append(Term(name, estimate, claim.region, tuple(seeds)))
    return found


def by_itself(claim: Claim, observed: Observations) -> list[Term]:
    """value, of every variant; every published model stands for itself."""
    samples = {name: values(claim, observed, name) for name in present(claim, observed, claim.of)}
    for model, value in samples.pop(PRETRAINED, {}).items():
        samples[str(model)] = {model: value}
    found = []
    for name, sample in samples.items():
        numbers = list(sample.values())
        estimate = mean_interval(numbers, log=on_log_scale(claim, numbers), level=together(len(samples)))
        if not (claim.relative_to or claim.minus):
            estimate = within_bounds(claim.quantity, estimate)
        found.append(Term(name, estimate, claim.region, tuple(sample)))
    return found


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
        seeds, ours, base = paired(claim, observed, name, other)
        log = on_log_scale(claim, ours, base)
        estimate = change_interval(ours, base, log=log, level=together(len(pairs)))
        region, step = step_region(claim.tolerance, log, upwards), "factor" if log else "difference"
        found.append(Term(f"{other} to {name}", estimate, region, tuple(seeds), step))
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
    "increasing": along_list,
    "decreasing": along_list,
    "highest": against_others,
    "lowest": against_others,
}
