"""What a claim is made of.

A claim says of one quantity

    claim         what is claimed, a sentence
    quantity      a column of runs.csv or mechanism.csv, or a number derived from them (``spikesink.claims.quantities``)
    relative_to   another quantity of the same model, by which it is divided first
    minus         another quantity of the same model, which is subtracted first
    compare       how: one of COMPARISONS
    of            a variant or a list of them, by the paper's row or by name; ``pretrained``: every published model
    to            what it is compared with; the baseline unless said otherwise
    among         the variants that ``highest`` and ``lowest`` compare with
    against       the quantity that ``correlation`` correlates with
    above, below, at_least, at_most, within     the region in which the claim's statistic must lie
    tolerance     how far a step may go the wrong way: in the quantity's unit, on the logarithmic scale as a share
    open          the value of a run that cannot tell, which ``seeds`` does not count
    needs         how many variants of a list the study must have; all unless said otherwise
    presumes      another claim or several, without which this one says nothing: sinks cannot stay where there are
                  none, and what may be negative has a ratio only to what is positive
    coprimary     further quantities, which must meet the same bounds: of a spike also how far it stands out
    scale         the scale whose text or size the claim is about; studies of others do not judge it
    tier          one of TIERS; the file's ``tier`` unless said otherwise
    paper_value   the claim's statistic in the paper; for rows of the papers' tables it is computed
    paper_bound   the bounds that the paper itself states; every other bound is ours, and the claim says so

Primary claims are few and are fixed, with their bounds, before the runs that judge them. Secondary claims are the other
statements of the texts. Exploratory claims are single rows of tables and what this project asks beyond the papers. A
check is no claim but a consequence of definitions, or says that a control takes as much as what it controls: where it
fails the instrument or the control is wrong. Checks are never counted.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from spikesink.claims.quantities import CLAIMABLE
from spikesink.claims.region import Region
from spikesink.quantities import BOTH
from spikesink.study.names import BASELINE
from spikesink.tables.statistics.statistics import bounds_of

PRETRAINED = "pretrained"

COMPARISONS: dict[str, frozenset[str]] = {
    "ratio": frozenset({"to", "above", "below", "at_least", "at_most"}),
    "difference": frozenset({"to", "above", "below", "at_least", "at_most", "within"}),
    "value": frozenset({"above", "below", "at_least", "at_most"}),
    "seeds": frozenset({"open", "above", "below", "at_least", "at_most"}),
    "correlation": frozenset({"against", "above", "below", "at_least", "at_most"}),
    "increasing": frozenset({"tolerance"}),
    "decreasing": frozenset({"tolerance"}),
    "highest": frozenset({"among", "tolerance"}),
    "lowest": frozenset({"among", "tolerance"}),
}
"""Comparisons by name, with the keys of their own.

ratio, difference     of every variant ``of`` to the variant ``to``
value                 the quantity itself, of every variant ``of``
seeds                 whether it lies in the region, counted over the seeds of every variant ``of``: most must do it
correlation           Spearman's, of the quantity with the quantity ``against``, over the variants ``of``, seed by seed
increasing, decreasing   along the list ``of``, step by step
highest, lowest       ``of`` against each of ``among``
"""
TIERS = ("primary", "secondary", "exploratory", "check")
MOST_PRIMARY = 20
OUR_BOUND = "(our bound)"
BOUNDS = ("above", "below", "at_least", "at_most", "within")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One testable statement of a paper; see the module's text."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012
    claim: str
    quantity: str
    compare: Literal[
        "ratio", "difference", "value", "seeds", "correlation", "increasing", "decreasing", "highest", "lowest"
    ]
    of: tuple[str, ...]
    relative_to: str | None = None
    minus: str | None = None
    to: str | None = None
    among: tuple[str, ...] = ()
    against: str | None = None
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = None
    tolerance: float | None = None
    open: float | None = None
    needs: int | None = None
    presumes: tuple[str, ...] = ()
    coprimary: tuple[str, ...] = ()
    scale: str | None = None
    tier: Literal["primary", "secondary", "exploratory", "check"] = "exploratory"
    paper_value: float | None = None
    paper_bound: tuple[float, ...] = ()
    name: str = ""
    paper: str = ""
    place: str = ""

    @property
    def source(self) -> str:
        return f"{self.paper} {self.place}"

    @property
    def region(self) -> Region:
        """Where the statistic of ratio, difference and value must lie."""
        return Region.between(**{bound: getattr(self, bound) for bound in BOUNDS})

    @property
    def keeps(self) -> bool:
        """Whether the region is closed on both sides: the claim is that something stays near a value."""
        region = self.region
        return "tolerance" not in self.own_keys and math.isfinite(region.low) and math.isfinite(region.high)

    @property
    def own_bounds(self) -> tuple[float, ...]:
        """The bounds that are neither 0, 1 or all of it, nor the paper's."""
        stated = [getattr(self, key) for key in (*BOUNDS, "tolerance") if getattr(self, key) is not None]
        return tuple(bound for bound in stated if bound not in (0, 1, *self.paper_bound) and not self.whole(bound))

    def whole(self, bound: float) -> bool:
        """Whether a bound is all of a percentage."""
        return bound == 100 and CLAIMABLE[self.quantity].unit.startswith("%")

    @property
    def reference(self) -> str:
        return self.to or BASELINE

    @property
    def quantities(self) -> tuple[str, ...]:
        """Every quantity that the claim is about."""
        return tuple(filter(None, (self.quantity, self.relative_to, self.minus, self.against, *self.coprimary)))

    @property
    def variants(self) -> tuple[str, ...]:
        """Every variant that the claim speaks of."""
        return tuple(dict.fromkeys((*self.of, *self.among, *((self.reference,) if "to" in self.own_keys else ()))))

    def says_positive(self, quantity: str, variant: str) -> bool:
        """Whether the claim is that a quantity is positive in a variant."""
        itself = self.compare == "value" and self.quantity == quantity and not (self.relative_to or self.minus)
        return itself and variant in self.of and self.region.low >= 0

    @property
    def own_keys(self) -> frozenset[str]:
        return COMPARISONS[self.compare]


def contradiction(claim: Claim) -> str | None:
    """Which keys of a claim contradict each other, in one line; None where none do."""
    everywhere = {"claim", "quantity", "relative_to", "minus", "compare", "of", "needs", "presumes", "coprimary"}
    everywhere |= {"scale", "tier", "paper_value", "paper_bound", "name", "paper", "place"}
    defaults = {"among": ()}
    for key, value in vars(claim).items():
        if key not in everywhere | claim.own_keys and value != defaults.get(key):
            own = ", ".join(sorted(claim.own_keys))
            return f"{key} = {value!r} has no meaning with compare: {claim.compare}, which has {own}"
    if claim.relative_to and claim.minus:
        return "relative_to and minus exclude each other"
    for key in ("relative_to", "minus"):
        other = getattr(claim, key)
        if other and not stand_together(claim.quantity, other):
            return f"{key} {other!r} and quantity {claim.quantity!r} are not of one table"
    if claim.minus and claim.compare == "ratio":
        return "compare: ratio with minus: a difference may be negative, and then its ratio says nothing"
    strange = [bound for bound in claim.paper_bound if bound not in {getattr(claim, key) for key in BOUNDS}]
    if strange:
        return f"paper_bound = {strange[0]:g}: is no bound of this claim"
    if claim.quantity in claim.coprimary or (claim.coprimary and claim.compare == "difference"):
        return f"coprimary = {list(claim.coprimary)}: give other quantities, for a comparison that has no unit"
    if "tolerance" not in claim.own_keys and all(getattr(claim, bound) is None for bound in BOUNDS):
        return f"compare: {claim.compare} needs a bound: one of {', '.join(BOUNDS)}"
    if claim.tolerance is not None and claim.tolerance < 0:
        return f"tolerance = {claim.tolerance:g}: must not be negative"
    if claim.within is not None and claim.within <= 0:
        return f"within = {claim.within:g}: must be positive"
    if "tolerance" not in claim.own_keys and claim.region.empty:
        return f"no number is {claim.region}"
    if claim.compare in ("increasing", "decreasing") and len(claim.of) < 2:
        return f"of = {list(claim.of)}: {claim.compare} needs at least two variants"
    if claim.compare == "correlation" and (claim.against is None or len(claim.of) < 4):
        return "correlation needs a quantity in against and at least four variants in of"
    if claim.against and not stand_together(claim.quantity, claim.against):
        return f"against {claim.against!r} and quantity {claim.quantity!r} are not of one table"
    if claim.compare in ("highest", "lowest") and (len(claim.of) != 1 or not claim.among):
        return f"{claim.compare} needs one variant in of and at least one in among"
    longest = len(claim.among) if claim.among else len(claim.of)
    if claim.needs is not None and not 1 <= claim.needs <= longest:
        return f"needs = {claim.needs}: the list has {longest}, give a number from 1 to that"
    if not claim.of:
        return "of = []: name a variant"
    if len(set(claim.of)) < len(claim.of) or set(claim.of) & set(claim.among):
        return f"of = {list(claim.of)}: a variant stands twice"
    quantities = filter(None, (claim.quantity, claim.relative_to, claim.minus))
    if claim.tier == "check" and claim.compare != "value":
        return f"compare: {claim.compare}: a check is of the values of every run, compare: value"
    of_models = claim.compare == "value" and all(CLAIMABLE[name].table != "runs" for name in quantities)
    if PRETRAINED in claim.variants and not of_models:
        return "pretrained models have values of mechanism.csv alone: use compare: value, or name a variant"
    return None


def may_be_negative(claim: Claim, presumed: Collection[Claim]) -> list[str]:
    """The quantities of a ratio that may be negative, so that it may say nothing; none where the claim presumes that
    its quantity is positive in the reference."""
    if claim.compare != "ratio":
        return []
    linear = [name for name in claim.quantities if CLAIMABLE[name].scale != "log"]
    found = [name for name in linear if (bounds_of(name) or (-math.inf,))[0] < 0]
    return [name for name in found if not any(one.says_positive(name, claim.reference) for one in presumed)]


def stand_together(quantity: str, other: str) -> bool:
    """Whether the rows that hold a quantity hold another too: BOTH stands in runs.csv and in mechanism.csv."""
    tables = CLAIMABLE[quantity].table, CLAIMABLE[other].table
    return tables[0] == tables[1] or BOTH in tables
