"""What a study's numbers say of a claim.

With several seeds the 95 % interval of the claim's statistic decides. A claim is reproduced where the interval lies
wholly inside the claimed region, not reproduced where it lies wholly outside, and inconclusive otherwise. With one seed
there is no interval and the value alone decides. A claim with several statistics is reproduced where each is, and not
reproduced where any is not. A claim is not run where the study lacks a variant, or all of its runs diverged. A claim
that presumes another is inconclusive where that one is not reproduced.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spikesink.claims.observations import Observations
from spikesink.claims.quantities import CLAIMABLE
from spikesink.claims.terms import NotRun, Term, absent, terms
from spikesink.claims.vocabulary import Claim
from spikesink.tables.render.numbers import significant

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN = "reproduced", "not reproduced", "inconclusive", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN)
ONE_SEED = "one seed, no interval"

write = significant(3)


class Finding(NamedTuple):
    """A row of claims.csv."""

    claim: str
    statement: str
    source: str
    quantity: str
    expected: str
    observed: str
    interval: str
    seeds: str
    scale: str
    verdict: str
    remark: str
    headline: bool


def judge(claim: Claim, observed: Observations) -> Finding:
    """The claim's finding in this study."""
    try:
        found, verdict = terms(claim, observed), None
    except NotRun as reason:
        found, verdict, remarks = [], NOT_RUN, [str(reason)]
    else:
        verdict = combined(decide(term) for term in found)
        remarks = [observed.left_out(name) for name in claim.variants]
        remarks.append(absent([name for name in claim.variants if observed.variant(name) is None]))
        if any(term.estimate.value is None for term in found):
            remarks.append("the ratio is to 0")
    return Finding(
        claim=claim.name,
        statement=claim.claim,
        source=claim.source,
        quantity=named_quantity(claim),
        expected=expected(claim),
        observed="; ".join(labelled(term, found, number(term)) for term in found),
        interval=intervals(found),
        seeds=", ".join(dict.fromkeys(str(seed) for term in found for seed in term.seeds)),
        scale=observed.scale,
        verdict=verdict,
        remark="; ".join(filter(None, remarks)),
        headline=claim.headline,
    )


def judge_all(claims: Sequence[Claim], observed: Observations) -> list[Finding]:
    """The findings of all claims in their order."""
    found = {claim.name: judge(claim, observed) for claim in claims}
    return [presuming(found[claim.name], found.get(claim.presumes or "")) for claim in claims]


def presuming(finding: Finding, presumed: Finding | None) -> Finding:
    """A finding, inconclusive where it presumes another claim that is not reproduced."""
    if presumed is None or presumed.verdict == REPRODUCED or finding.verdict == NOT_RUN:
        return finding
    reason = f"presumes {presumed.claim}, which is {presumed.verdict}"
    return finding._replace(verdict=INCONCLUSIVE, remark="; ".join(filter(None, (finding.remark, reason))))


def decide(term: Term) -> str:
    """The verdict on one statistic."""
    value, low, high, _ = term.estimate
    if value is None:
        return INCONCLUSIVE
    if low is None or high is None:
        return REPRODUCED if term.region.holds(value) else NOT_REPRODUCED
    if term.region.holds_all(low, high):
        return REPRODUCED
    return NOT_REPRODUCED if term.region.holds_none(low, high) else INCONCLUSIVE


def combined(verdicts: Iterable[str]) -> str:
    """The verdict on statistics that must hold together."""
    all_of_them = set(verdicts)
    if NOT_REPRODUCED in all_of_them:
        return NOT_REPRODUCED
    return INCONCLUSIVE if INCONCLUSIVE in all_of_them else REPRODUCED


def named_quantity(claim: Claim) -> str:
    if claim.relative_to:
        return f"{claim.quantity} / {claim.relative_to}"
    if claim.minus:
        return f"{claim.quantity} - {claim.minus}"
    unit = CLAIMABLE[claim.quantity].unit
    return claim.quantity if unit == "1" else f"{claim.quantity} ({unit})"


def expected(claim: Claim) -> str:
    """The claimed region in words."""
    of, give = ", ".join(claim.of), f", by up to {claim.tolerance:g} the other way" if claim.tolerance else ""
    match claim.compare:
        case "ratio":
            return f"{of} / {claim.reference}: {claim.region}"
        case "difference":
            return f"{of} - {claim.reference}: {claim.region}"
        case "value":
            return f"{of}: {claim.region}"
        case "increasing" | "decreasing":
            return f"{claim.compare} along {of}{give}"
        case _:
            return f"{of} {claim.compare} among {', '.join(claim.among)}{give}"


def labelled(term: Term, found: list[Term], text: str) -> str:
    return text if len(found) == 1 else f"{term.text} {text}"


def number(term: Term) -> str:
    """The statistic; a step with its sign, or with the factor of a magnitude."""
    value = term.estimate.value
    if value is None:
        return "undefined"
    if term.step is None:
        return write(value)
    return f"×{write(value)}" if term.step == "factor" else f"{'+' if value > 0 else ''}{write(value)}"


def intervals(found: list[Term]) -> str:
    """The intervals as text, or that one seed has none."""
    texts = []
    for term in found:
        low, high = term.estimate.low, term.estimate.high
        texts.append(ONE_SEED if low is None or high is None else f"[{write(low)}, {write(high)}]")
    if set(texts) <= {ONE_SEED}:
        return texts[0] if texts else ""
    return "; ".join(labelled(term, found, text) for term, text in zip(found, texts, strict=True))
