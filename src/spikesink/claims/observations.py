"""A study's numbers as claims ask for them: by the paper's row or the variant's name, quantity and seed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from spikesink.claims.quantities import CLAIMABLE, LISTS, derived, usable
from spikesink.claims.vocabulary import PRETRAINED
from spikesink.quantities import BOTH, names_of
from spikesink.runs.folder import FINISHED
from spikesink.study.errors import InputError
from spikesink.tables.contracts import IDENTITY, TEXT
from spikesink.tables.inputs import read_table
from spikesink.tables.paper.rows import paper_rows
from spikesink.tables.statistics.statistics import unfinished

RUN_COLUMNS = {"scale": TEXT, **IDENTITY, "stands_for": TEXT, **{name: pl.Float64() for name in names_of("runs")}}
MECHANISM_COLUMNS = {
    "model": TEXT,
    "measured": pl.Boolean(),
    **{name: TEXT if name in LISTS else pl.Float64() for name in names_of("mechanism")},
}

MODEL = re.compile(r"[^/]+/seed\d+")

NO_RUNS = "published models"
"""In place of a scale, where nothing was trained."""

Seed = int | str
Rows = dict[str, dict[Seed, Mapping[str, Any]]]


class DividedByZero(Exception):
    """A claim divides by a quantity that is 0 in some run; the message says in which."""


@dataclass(frozen=True)
class Observations:
    """Rows of runs.csv and mechanism.csv by variant and seed, and how every run ended.

    A published model is a row of the variant ``pretrained``, its name in place of a seed.
    """

    scale: str
    names: Mapping[str, str | None]
    status: Mapping[str, Mapping[int, str]]
    runs: Rows
    mechanism: Rows

    def variant(self, name: str) -> str | None:
        """The study's variant that a claim means: the first that stands for the paper's row, or has the name."""
        if name == PRETRAINED:
            return name
        for variant, stands_for in self.names.items():
            if (stands_for or variant) == name:
                return variant
        return name if name in self.names and name not in paper_rows() else None

    def has(self, name: str) -> bool:
        """Whether the study has the variant that a claim means, or published models."""
        return self.variant(name) is not None and (name != PRETRAINED or PRETRAINED in self.mechanism)

    def values(
        self, name: str, quantity: str, relative_to: str | None = None, minus: str | None = None
    ) -> dict[Seed, float]:
        """The quantity by seed, divided by ``relative_to`` and less ``minus`` where these are given.

        Only runs count that finished and have all of them. Raises DividedByZero.
        """
        rows = self.table(name, quantity).get(self.variant(name) or "", {})
        found = {}
        for seed, row in rows.items():
            value = row.get(quantity)
            divisor, subtrahend = row.get(relative_to) if relative_to else 1.0, row.get(minus) if minus else 0.0
            if usable(value) and divisor == 0:
                raise DividedByZero(f"{relative_to} is 0 in seed {seed} of {name}")
            if usable(value) and usable(divisor) and usable(subtrahend):
                found[seed] = value / divisor - subtrahend
        return found

    @property
    def seeds(self) -> list[int]:
        """The seeds of the study."""
        return sorted({seed for runs in self.status.values() for seed in runs})

    def is_of(self, scale: str | None) -> bool:
        """Whether a claim about this scale is about the study; None is any scale."""
        return scale is None or scale in self.scale.split(", ")

    def knows(self, quantity: str) -> bool:
        """Whether any run or model has a value of the quantity; a study of an older instrument lacks some."""
        rows = [row for table in (self.runs, self.mechanism) for models in table.values() for row in models.values()]
        return any(usable(row.get(quantity)) for row in rows)

    def table(self, name: str, quantity: str) -> Rows:
        """Where a variant's values are. A quantity of both tables is taken from mechanism.csv where runs.csv lacks it:
        of published models, and of a study that measured it in depth alone."""
        table = CLAIMABLE[quantity].table
        if table != BOTH:
            return self.mechanism if table == "mechanism" else self.runs
        variant = self.variant(name) or ""
        here, apart = (
            any(usable(row.get(quantity)) for row in rows.get(variant, {}).values())
            for rows in (self.runs, self.mechanism)
        )
        return self.mechanism if name == PRETRAINED or (apart and not here) else self.runs

    def absence(self, name: str, quantity: str) -> str:
        """Why a variant has no value of a quantity."""
        variant = self.variant(name)
        if variant is None:
            return f"not in this study: {name}"
        table = self.table(name, quantity)
        if table is self.mechanism and variant not in table:
            return "no published model is measured" if name == PRETRAINED else f"{variant} was not analysed in depth"
        if left_out := self.left_out(name):
            return left_out
        return f"{variant} has no {quantity}"

    def left_out(self, name: str) -> str:
        """The seeds of a variant whose runs did not finish, with their status; a seed that others have is missing."""
        variant = self.variant(name)
        if variant not in self.status:
            return ""
        failed = [f"seed {seed} {reason}" for seed, reason in unfinished(self.status[variant], self.seeds).items()]
        return f"{variant}: {', '.join(failed)}" if failed else ""

    def without(self, name: str, quantity: str) -> str:
        """The seeds of a variant whose runs finished, or the published models, that have no value of a quantity."""
        variant = self.variant(name)
        rows = self.table(name, quantity).get(variant, {})
        every = (self.mechanism if name == PRETRAINED else self.runs).get(variant, {})
        lacking = [str(seed) for seed in every if not usable(rows.get(seed, {}).get(quantity))]
        kind = "" if name == PRETRAINED else "seeds " if len(lacking) > 1 else "seed "
        return f"{variant}: {kind}{', '.join(lacking)} without {quantity}" if lacking else ""


def observe(runs: pl.DataFrame | None, mechanism: pl.DataFrame | None = None) -> Observations:
    """The observations in the two tables; without ``runs`` nothing was trained, without ``mechanism`` no model was
    analysed in depth."""
    if runs is None:
        return Observations(NO_RUNS, {}, {}, {}, by_model(mechanism))
    found: Rows = {}
    status: dict[str, dict[int, str]] = {}
    for row in runs.iter_rows(named=True):
        status.setdefault(row["variant"], {})[row["seed"]] = row["status"]
        if row["status"] == FINISHED:
            found.setdefault(row["variant"], {})[row["seed"]] = row
    names = dict(runs.select("variant", "stands_for").iter_rows())
    return Observations(", ".join(runs["scale"].unique(maintain_order=True)), names, status, found, by_model(mechanism))


def by_model(mechanism: pl.DataFrame | None) -> Rows:
    """The rows of mechanism.csv, with the numbers derived from them."""
    found: Rows = {}
    for row in mechanism.iter_rows(named=True) if mechanism is not None else ():
        if row["measured"] is False:  # a run that diverged has a row without numbers
            continue
        variant, separator, seed = row["model"].rpartition("/seed")
        place, key = (variant, int(seed)) if separator else (PRETRAINED, row["model"])
        found.setdefault(place, {})[key] = row | derived(row)
    return found


def read_observations(runs: Path | None, mechanism: Path | None, controls: Sequence[str] = ()) -> Observations:
    """The observations in runs.csv and mechanism.csv, without published models that are controls. Raises InputError."""
    analysed = read_mechanism(mechanism) if mechanism is not None else None
    if analysed is not None:
        analysed = analysed.filter(~pl.col("model").is_in(controls))
    trained = read_table(runs, RUN_COLUMNS, "tabulate the runs again", required=IDENTITY) if runs else None
    return observe(trained, analysed)


def read_mechanism(path: Path) -> pl.DataFrame | None:
    """mechanism.csv; None where every model in it diverged, since it has no numbers then."""
    remedy = "tabulate the mechanism again"
    models = read_table(path, {"model": TEXT, "measured": pl.Boolean()}, remedy, may_be_empty=True)
    strange = [model for model in models["model"] if "/" in model and not MODEL.fullmatch(model)]
    if strange:
        raise InputError(f"{path}: model {strange[0]!r} is no run and no published model: {remedy}")
    measured = models["measured"].any()
    return read_table(path, MECHANISM_COLUMNS, remedy, required=("model", "measured")) if measured else None
