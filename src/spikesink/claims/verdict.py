"""What a study's numbers say of the claims: one finding for each, with all that its page and claims.csv show.

A claim is not run where the study lacks a variant, or all of its runs diverged, and not measured where no run has its
quantity. A claim that presumes another is undecidable where that one is not reproduced. A claim about published models
is judged for each by name, and as a whole it is reproduced where all of them do it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from spikesink.claims.decision import (
    NOT_REPRODUCED,
    REPRODUCED,
    UNDECIDABLE,
    Decision,
    decide,
    hardest,
    hold_everywhere,
    needed,
)
from spikesink.claims.elsewhere import needs
from spikesink.claims.observations import DividedByZero, Observations
from spikesink.claims.papers import effect_share, paper_value
from spikesink.claims.terms import NotRun, Term, absent, terms
from spikesink.claims.vocabulary import PRETRAINED, Claim
from spikesink.claims.words import expected, in_short, intervals, listed, method_of, named_quantity, number, write
from spikesink.tables.statistics.multiplicity import benjamini_hochberg, holm
from spikesink.tables.statistics.power import MOST

NOT_RUN, NOT_MEASURED = "not run", "not measured"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDABLE, NOT_RUN, NOT_MEASURED)


class Finding(NamedTuple):
    """A row of claims.csv.

    ``model`` is a published model's name in a row about that model alone, which is not counted. ``paper`` is the
    statistic in the paper and ``effect`` ours as a share of it. ``p`` decides the verdict; ``p_holm`` is corrected over
    the primary claims, ``p_holm_all`` and ``p_bh_all`` over all but checks. ``needs`` is what would judge a claim that
    was not run or not measured.
    """

    claim: str
    statement: str
    source: str
    tier: str
    model: str
    quantity: str
    expected: str
    observed: str
    interval: str
    paper: str
    effect: str
    seeds: str
    method: str
    scale: str
    verdict: str
    p: float | None
    p_holm: float | None
    p_holm_all: float | None
    p_bh_all: float | None
    remark: str
    short: str
    needs: str = ""

    @property
    def counts(self) -> bool:
        """Whether the finding counts as a verdict on a claim."""
        return self.tier != "check" and not self.model


def judge(claim: Claim, observed: Observations) -> Finding:
    """The claim's finding in this study."""
    try:
        found = terms(claim, observed)
    except DividedByZero as reason:
        return finding_of(claim, observed, [], Decision(UNDECIDABLE, None), [f"{UNDECIDABLE}: {reason}"])
    except NotRun as reason:
        decision = Decision(NOT_RUN if reason.measured else NOT_MEASURED, None)
        return finding_of(claim, observed, [], decision, [str(reason)])._replace(needs=needs(claim, observed))
    decision = hold_everywhere(found) if claim.tier == "check" else decide(found)
    remarks = [undecided(claim, found, observed)] if decision.verdict == UNDECIDABLE else []
    remarks += [observed.left_out(name) for name in claim.variants]
    remarks.append(absent([name for name in claim.variants if observed.variant(name) is None]))
    known = [quantity for quantity in claim.quantities if observed.knows(quantity)]
    remarks += [observed.without(name, quantity) for name in claim.variants for quantity in known]
    unknown = [name for name in claim.coprimary if not observed.knows(name)]
    remarks.append(f"without {', '.join(unknown)}, not measured" if unknown else "")
    return finding_of(claim, observed, found, decision, remarks)


def finding_of(
    claim: Claim, observed: Observations, found: list[Term], decision: Decision, remarks: list[str]
) -> Finding:
    papers = [paper_value(claim, term) for term in found]
    effects = [effect_share(claim, term, paper) for term, paper in zip(found, papers, strict=True)]
    return Finding(
        claim=claim.name,
        statement=claim.claim,
        source=claim.source,
        tier=claim.tier,
        model="",
        quantity=named_quantity(claim),
        expected=expected(claim),
        observed=listed(found, [number(term) for term in found]),
        interval=intervals(found),
        paper=listed(found, [write(paper) if paper is not None else "" for paper in papers]),
        effect=listed(found, [f"{100 * effect:.0f} %" if effect is not None else "" for effect in effects]),
        seeds=", ".join(dict.fromkeys(str(seed) for term in found for seed in term.seeds)),
        method=listed(found, [method_of(term) for term in found]),
        scale=observed.scale,
        verdict=decision.verdict,
        p=decision.p,
        p_holm=None,
        p_holm_all=None,
        p_bh_all=None,
        remark="; ".join(filter(None, remarks)),
        short=in_short(found, [name for name in claim.coprimary if observed.knows(name)]),
    )


def judge_all(claims: Sequence[Claim], observed: Observations) -> list[Finding]:
    """The findings of all claims in their order, each published model's before that of all, with corrected p values."""
    found = {claim.name: judge(claim, observed) for claim in claims}
    rows = []
    for claim in claims:
        rows += by_model(claim, observed)
        rows.append(presuming(found[claim.name], [found[name] for name in claim.presumes]))
    return corrected(rows)


def by_model(claim: Claim, observed: Observations) -> list[Finding]:
    """A finding for every published model, where a claim is about them."""
    if PRETRAINED not in claim.of:
        return []
    try:
        found = terms(claim, observed)
    except (DividedByZero, NotRun):
        return []
    decision = hold_everywhere if claim.tier == "check" else decide
    return [
        finding_of(claim, observed, [term], decision([term]), [])._replace(model=model)
        for term in found
        for model in term.seeds
        if isinstance(model, str)
    ]


def presuming(finding: Finding, presumed: Sequence[Finding]) -> Finding:
    """A finding, undecidable where it presumes another claim that is not reproduced."""
    lacking = [one for one in presumed if one.verdict != REPRODUCED]
    if not lacking or finding.verdict in (NOT_RUN, NOT_MEASURED):
        return finding
    reason = f"presumes {lacking[0].claim}, which is {lacking[0].verdict}"
    return finding._replace(verdict=UNDECIDABLE, p=None, remark="; ".join(filter(None, (reason, finding.remark))))


def corrected(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with p values corrected by Holm over the primary claims, and by Holm and by Benjamini and Hochberg
    over all claims."""
    every = [finding.p if finding.counts else None for finding in findings]
    primary = [p if finding.tier == "primary" else None for finding, p in zip(findings, every, strict=True)]
    columns = holm(primary), holm(every), benjamini_hochberg(every)
    return [
        finding._replace(p_holm=among_primary, p_holm_all=among_all, p_bh_all=false_rate)
        for finding, among_primary, among_all, false_rate in zip(findings, *columns, strict=True)
    ]


def undecided(claim: Claim, found: Sequence[Term], observed: Observations) -> str:
    """Why the seeds do not decide, and how many would."""
    if any(term.statistic.value is None and term.within is None for term in found):
        return "the ratio is to 0 or less" if claim.compare == "ratio" else f"{UNDECIDABLE} in every seed"
    term = hardest(found)
    if term.statistic.count == 1:
        return f"{UNDECIDABLE}: 1 of {len(observed.seeds)} seeds has a value"
    count, effect = needed(term, paper_value(claim, term))
    seeds = f"{term.statistic.count} seeds"
    if term.statistic.wide:
        return f"undecidable with {seeds}, half of which lie on a bound"
    if count is None:
        return f"undecidable with {seeds}, more than {MOST} needed {effect}"
    return f"undecidable with {seeds}, about {count} needed {effect}"
