"""Read the files of claims, strictly.

A file is a mapping: ``claims:`` holds papers, a paper holds places in it (a table, an equation), and a place holds
claims by name. ``spikesink.claims.vocabulary`` says what a claim is made of. ``tier:`` is the tier of all claims in the
file that name none. ``variants:`` lists the names of variants beyond the papers' rows, so that claims may speak of them
in studies that lack them.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikesink.claims.quantities import CLAIMABLE
from spikesink.claims.vocabulary import MOST_PRIMARY, OUR_BOUND, PRETRAINED, Claim, contradiction, may_be_negative
from spikesink.study.checking import check
from spikesink.study.errors import ConfigError, InputError
from spikesink.study.strict_yaml import read_yaml
from spikesink.tables.paper.rows import spike_rows, v_scale_rows


def read_claims(paths: Iterable[Path], study: Iterable[str] = ()) -> tuple[Claim, ...]:
    """The claims of all files, checked and in their order.

    A path is a file or a folder, whose files *.yaml are read in the order of their names. ``study`` names the variants
    of the study at hand. Raises InputError: one line with the claim, the value and the remedy.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    try:
        return parse({str(file): read_yaml(file) for file in files}, study)
    except ConfigError as error:
        raise InputError(str(error)) from error


def parse(contents: Mapping[str, Mapping[str, Any]], study: Iterable[str] = ()) -> tuple[Claim, ...]:
    """Claims from plain values by the name of their file, in their order."""
    own = [name for path, content in contents.items() for name in own_variants(path, content)]
    known = [*spike_rows(), *v_scale_rows(), *own, *study, PRETRAINED]
    claims: dict[str, Claim] = {}
    files: dict[str, str] = {}
    for path, content in contents.items():
        for paper, place, name, values in stated_in(path, content):
            where = f"{path}: claim {name}"
            if name in claims:
                raise InputError(f"{path}: claim {name!r} stands under {claims[name].source} too: rename one")
            stated = {**({"tier": content["tier"]} if "tier" in content else {}), **mapping(values, where)}
            claims[name] = replace(parse_claim(where, stated, known), name=name, paper=paper, place=place)
            files[name] = path
        if path not in files.values():
            raise InputError(f"{path}: holds no claims: state some under claims: paper: place: name")
    if not claims:
        raise InputError("no file holds claims: name some in --claims")
    for name, claim in claims.items():
        for other in claim.presumes:
            if other not in claims or claims[other].presumes:
                fault = "presumes another itself" if other in claims else "is no claim of these files"
                raise InputError(
                    f"{files[name]}: claim {name}: presumes {other!r}, which {fault}: name one that stands alone"
                )
        if signed := may_be_negative(claim, [claims[other] for other in claim.presumes]):
            raise InputError(
                f"{files[name]}: claim {name}: compare: ratio of {signed[0]!r}, which may be negative: use compare: "
                f"difference, or presume a claim that it is above 0 in {claim.reference}"
            )
    refuse_repetitions(claims, files)
    primary = [name for name, claim in claims.items() if claim.tier == "primary"]
    if len(primary) > MOST_PRIMARY:
        name = primary[MOST_PRIMARY]
        raise InputError(
            f"{files[name]}: claim {name}: is primary claim {MOST_PRIMARY + 1}, and at most {MOST_PRIMARY} may be: "
            "give one of them another tier"
        )
    return tuple(claims.values())


def refuse_repetitions(claims: Mapping[str, Claim], files: Mapping[str, str]) -> None:
    """Two claims that the same numbers decide in the same way would count twice."""
    seen: dict[Claim, str] = {}
    for name, claim in claims.items():
        apart = {"claim": "", "name": "", "paper": "", "place": "", "presumes": (), "tier": "check"}
        tested = replace(claim, **apart, paper_value=None, paper_bound=())
        if tested in seen:
            raise InputError(f"{files[name]}: claim {name}: tests the same as {seen[tested]}: keep one of them")
        seen[tested] = name


def own_variants(path: str, content: Mapping[str, Any]) -> list[str]:
    """The names that a file gives under ``variants``."""
    for key in content:
        if key not in ("claims", "variants", "tier"):
            raise InputError(f"{path}: {key!r}: unknown key; known keys: claims, variants, tier")
    own = content.get("variants") or []
    if not isinstance(own, list) or not all(isinstance(name, str) for name in own):
        raise InputError(f"{path}: variants = {own!r}: give a list of names")
    return own


def stated_in(path: str, content: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Paper, place, name and values of every claim in a file."""
    for paper, places in mapping(content.get("claims"), f"{path}: claims").items():
        for place, members in mapping(places, f"{path}: {paper}").items():
            for name, values in mapping(members, f"{path}: {paper}: {place}").items():
                yield str(paper), str(place), name, values


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} = {value!r}: give a mapping of keys")
    return value


def parse_claim(where: str, values: Mapping[str, Any], known: list[str]) -> Claim:
    for key in ("name", "paper", "place"):
        if key in values:
            raise InputError(f"{where}.{key} = {values[key]!r}: follows from where the claim stands, take it out")
    lists = {
        key: values[key] if isinstance(values[key], list) else [values[key]]
        for key in ("of", "among", "coprimary", "paper_bound", "presumes")
        if key in values
    }
    try:
        claim = check(Claim, {**values, **lists}, where)
    except ConfigError as error:
        raise InputError(str(error)) from error
    for quantity in claim.quantities:
        if quantity not in CLAIMABLE:
            raise InputError(f"{where}: quantity {quantity!r} is not measured{suggestion(quantity, CLAIMABLE)}")
    for variant in claim.variants:
        if variant not in known:
            raise InputError(
                f"{where}: {variant!r} is no row of the papers and no variant of the study{suggestion(variant, known)}"
            )
    fault = contradiction(claim)
    if fault:
        raise InputError(f"{where}: {fault}")
    if claim.own_bounds and OUR_BOUND not in claim.claim:
        return replace(claim, claim=f"{claim.claim} {OUR_BOUND}")
    return claim


def suggestion(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
