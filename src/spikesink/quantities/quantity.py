"""What is known of a quantity that the project reports, and how columns of mechanism.csv are declared."""

from collections.abc import Mapping
from typing import Any, NamedTuple

BOTH = "both"
"""The table of a quantity that every run and every model analysed in depth has."""


CAPABILITIES = "capabilities"
"""The question that lm-evaluation-harness answers, where a study names tasks."""


class Taken(NamedTuple):
    """How a column of mechanism.csv follows from one column of one measure's table.

    ``reduction`` is a name in ``spikesink.tables.collecting.reductions``. Only those rows count in which every column
    of ``where`` has the value given there; None means an empty cell. A table without rows gives no value.
    """

    question: str
    column: str
    reduction: str
    where: Mapping[str, Any] = {}


class Quantity(NamedTuple):
    """One reported quantity. Its name is its column in the tables, and its name in claims and in MLflow."""

    name: str
    table: str
    """``runs``: a column of runs.csv, one value per run. ``mechanism``: a column of mechanism.csv, one per model.
    ``both``: a column of both, so that every run has it and published models do."""
    unit: str
    """"1" for a number without a unit."""
    meaning: str
    """What it is, in one line."""
    source: str
    """Paper and equation, figure or table; "this project" where no paper defines it."""
    scale: str = "linear"
    """How values are averaged and compared. ``linear``: means and differences. ``log``: geometric means and ratios, for
    what is positive: magnitudes, ratios, perplexities. ``share``: as linear, and both ``bounds`` are finite."""
    bounds: tuple[float, float] | None = None
    """The lowest and the highest possible value, where intervals end; infinite on a side without any."""
    label: str = ""
    """Its name on an axis, with the unit."""
    heading: str = ""
    """Its name at the head of a table's column."""
    format: str = "3 digits"
    """How a table writes it: a format specification of Python such as ",.2f", "3 digits" for three significant ones,
    "3 digits of millions", or "list" for several numbers in one cell, which have no mean."""
    averaged: bool = False
    """Whether tables show its mean over the seeds of a variant."""
    spread: bool = False
    """Whether tables show its standard deviation over seeds too."""
    tested: bool = False
    """Whether it is tested against the baseline."""
    taken: Taken | None = None
    """Of a simple column of mechanism.csv, how it is computed; the others are computed in spikesink.tables.topics."""

    @property
    def words(self) -> str:
        """The name in words: "sink ratio" of sink_ratio."""
        return self.name.replace("_", " ")


def columns(unit: str, source: str, scale: str = "linear", form: str = "3 digits", **meanings: str) -> list[Quantity]:
    """Columns that a topic computes, by name, with a meaning each; unit, source and scale are those of all."""
    return [
        Quantity(name, "mechanism", unit, meaning, source, scale, heading=name.replace("_", " "), format=form)
        for name, meaning in meanings.items()
    ]


def column(name: str, taken: Taken, unit: str, source: str, meaning: str, scale: str = "linear") -> Quantity:
    """One column that is a single number of a measure's table."""
    (quantity,) = columns(unit, source, scale, **{name: meaning})
    return quantity._replace(taken=taken)
