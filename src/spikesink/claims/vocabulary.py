"""What a claim is made of, and the strict reading of claims.yaml.

``claims:`` holds papers, a paper places (a table, an equation), a place claims by name. A claim says of one quantity

    claim         what is claimed, a sentence
    quantity      a column of runs.csv or mechanism.csv, or what ``spikesink.claims.quantities`` derives
    relative_to   another quantity of the same model, by which it is divided first
    minus         another quantity of the same model, which is subtracted first
    compare       how: one of COMPARISONS
    of            a variant or a list of them, by the paper's row or by name; ``pretrained``: every published model
    to            what it is compared with; the baseline unless said otherwise
    among         the variants that ``highest`` and ``lowest`` compare with
    above, below, at_least, at_most, within     the region that the claim's statistic must lie in
    tolerance     how far a step may go the wrong way: in the quantity's unit, of magnitudes as a share
    needs         how many variants of a list must be there; all unless said otherwise
    presumes      another claim, without which this one says nothing: sinks cannot stay where there are none
    headline      true: one of the few that stand at the top of the page and in README

``variants:`` names variants beyond the papers' rows that claims may speak of in studies that lack them.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from spikesink.claims.quantities import CLAIMABLE
from spikesink.claims.region import Region
from spikesink.study.checking import check
from spikesink.study.errors import ConfigError, InputError
from spikesink.study.names import BASELINE
from spikesink.study.strict_yaml import read_yaml
from spikesink.tables.paper.rows import spike_rows, v_scale_rows

PRETRAINED = "pretrained"

COMPARISONS: dict[str, frozenset[str]] = {
    "ratio": frozenset({"to", "above", "below", "at_least", "at_most"}),
    "difference": frozenset({"to", "above", "below", "at_least", "at_most", "within"}),
    "value": frozenset({"above", "below", "at_least", "at_most"}),
    "increasing": frozenset({"tolerance"}),
    "decreasing": frozenset({"tolerance"}),
    "highest": frozenset({"among", "tolerance"}),
    "lowest": frozenset({"among", "tolerance"}),
}
"""Comparisons by name, with the keys of their own.

ratio, difference     of every variant ``of`` to the variant ``to``, over pairs of runs of equal seed
value                 the quantity itself, of every variant ``of``
increasing, decreasing   along the list ``of``, step by step
highest, lowest       ``of`` against each of ``among``
"""
BOUNDS = ("above", "below", "at_least", "at_most", "within")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One testable statement of a paper; see the module's text."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012
    claim: str
    quantity: str
    compare: Literal["ratio", "difference", "value", "increasing", "decreasing", "highest", "lowest"]
    of: tuple[str, ...]
    relative_to: str | None = None
    minus: str | None = None
    to: str | None = None
    among: tuple[str, ...] = ()
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = None
    tolerance: float | None = None
    needs: int | None = None
    presumes: str | None = None
    headline: bool = False
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
    def reference(self) -> str:
        return self.to or BASELINE

    @property
    def variants(self) -> tuple[str, ...]:
        """Every variant that the claim speaks of."""
        return tuple(dict.fromkeys((*self.of, *self.among, *((self.reference,) if "to" in self.own_keys else ()))))

    @property
    def own_keys(self) -> frozenset[str]:
        return COMPARISONS[self.compare]


def read_claims(path: Path, study: Iterable[str] = ()) -> tuple[Claim, ...]:
    """The claims of a file, checked; ``study`` names the variants of the study at hand. Raises InputError: one line
    with the claim, the value and the remedy."""
    try:
        content = read_yaml(path)
    except ConfigError as error:
        raise InputError(str(error)) from error
    return parse(content, study, str(path))


def parse(content: Mapping[str, Any], study: Iterable[str] = (), path: str = "claims.yaml") -> tuple[Claim, ...]:
    """Claims from plain values, in their order."""
    for key in content:
        if key not in ("claims", "variants"):
            raise InputError(f"{path}: {key!r}: unknown key; known keys: claims, variants")
    own = content.get("variants") or []
    if not isinstance(own, list) or not all(isinstance(name, str) for name in own):
        raise InputError(f"{path}: variants = {own!r}: give a list of names")
    known = [*spike_rows(), *v_scale_rows(), *own, *study, PRETRAINED]
    claims: dict[str, Claim] = {}
    for paper, places in mapping(content.get("claims"), f"{path}: claims").items():
        for place, members in mapping(places, f"{path}: {paper}").items():
            for name, values in mapping(members, f"{path}: {paper}: {place}").items():
                if name in claims:
                    raise InputError(f"{path}: claim {name!r} stands under {claims[name].source} too: rename one")
                claims[name] = parse_claim(f"{path}: claim {name}", mapping(values, f"{path}: claim {name}"), known)
                claims[name] = replace(claims[name], name=name, paper=str(paper), place=str(place))
    if not claims:
        raise InputError(f"{path}: holds no claims: state some under claims: paper: place: name")
    for name, claim in claims.items():
        if claim.presumes is not None and (claim.presumes not in claims or claims[claim.presumes].presumes):
            fault = "presumes another itself" if claim.presumes in claims else "is no claim of this file"
            raise InputError(
                f"{path}: claim {name}: presumes {claim.presumes!r}, which {fault}: name one that stands alone"
            )
    return tuple(claims.values())


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} = {value!r}: give a mapping of keys")
    return value


def parse_claim(where: str, values: Mapping[str, Any], known: list[str]) -> Claim:
    for key in ("name", "paper", "place"):
        if key in values:
            raise InputError(f"{where}.{key} = {values[key]!r}: follows from where the claim stands, take it out")
    lists = {key: [values[key]] if isinstance(values.get(key), str) else values.get(key) for key in ("of", "among")}
    try:
        claim = check(Claim, {**values, **{key: value for key, value in lists.items() if key in values}}, where)
    except ConfigError as error:
        raise InputError(str(error)) from error
    for quantity in (claim.quantity, claim.relative_to, claim.minus):
        if quantity is not None and quantity not in CLAIMABLE:
            raise InputError(f"{where}: quantity {quantity!r} is not measured{suggestion(quantity, CLAIMABLE)}")
    for variant in claim.variants:
        if variant not in known:
            raise InputError(
                f"{where}: {variant!r} is no row of the papers and no variant of the study{suggestion(variant, known)}"
            )
    fault = contradiction(claim)
    if fault:
        raise InputError(f"{where}: {fault}")
    return claim


def suggestion(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def contradiction(claim: Claim) -> str | None:
    """What does not go together in a claim, in a line, or None."""
    everywhere = {"claim", "quantity", "relative_to", "minus", "compare", "of", "needs", "presumes", "headline"}
    everywhere |= {"name", "paper", "place"}
    defaults = {"among": ()}
    for key, value in vars(claim).items():
        if key not in everywhere | claim.own_keys and value != defaults.get(key):
            own = ", ".join(sorted(claim.own_keys))
            return f"{key} = {value!r} has no meaning with compare: {claim.compare}, which has {own}"
    if claim.relative_to and claim.minus:
        return "relative_to and minus exclude each other"
    for key in ("relative_to", "minus"):
        other = getattr(claim, key)
        if other and CLAIMABLE[other].table != CLAIMABLE[claim.quantity].table:
            return f"{key} {other!r} and quantity {claim.quantity!r} are not of one table"
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
    if claim.compare in ("highest", "lowest") and (len(claim.of) != 1 or not claim.among):
        return f"{claim.compare} needs one variant in of and at least one in among"
    longest = len(claim.among) if claim.among else len(claim.of)
    if claim.needs is not None and not 1 <= claim.needs <= longest:
        return f"needs = {claim.needs}: the list has {longest}, give a number from 1 to that"
    if not claim.of:
        return "of = []: name a variant"
    if len(set(claim.of)) < len(claim.of) or set(claim.of) & set(claim.among):
        return f"of = {list(claim.of)}: a variant stands twice"
    if PRETRAINED in claim.variants and (claim.compare != "value" or CLAIMABLE[claim.quantity].table == "runs"):
        return "pretrained models have values of mechanism.csv alone: use compare: value, or name a variant"
    return None
