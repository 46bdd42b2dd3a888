"""The reported quantities: each has its facts once, and they are the columns of the tables."""

import csv
import math
import string
from pathlib import Path

import pytest

from spikesink.quantities import BOTH, QUANTITIES, names_of
from spikesink.tables.contracts import RUNS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("table", ["runs", "mechanism"])
def test_every_column_of_the_published_tables_is_a_quantity(table):
    """A column without an entry would be on no page and open to no claim. The study may be older than an entry."""
    with (ROOT / f"results/published/nano/tables/{table}.csv").open(newline="") as file:
        header = next(csv.reader(file))
    if table == "mechanism":
        assert set(header) <= {"model", "measured", *names_of("mechanism")}
    else:
        assert set(header) <= set(RUNS) and "spike" in header


@pytest.mark.parametrize("quantity", QUANTITIES.values(), ids=QUANTITIES)
def test_a_quantity_says_what_it_is(quantity):
    """Pages, axes and docs show these texts: an empty one would leave a reader without an answer."""
    assert quantity.meaning and not quantity.meaning.endswith(".")
    assert quantity.unit and quantity.source and quantity.heading
    assert set(quantity.name) <= {*string.ascii_lowercase, *string.digits, "_"}
    assert quantity.table in ("runs", "mechanism", BOTH) and quantity.scale in ("linear", "log", "share")
    whole = quantity.bounds is not None and all(map(math.isfinite, quantity.bounds))
    assert whole if quantity.scale == "share" else quantity.scale == "linear" or quantity.bounds is None
    assert quantity.label or quantity.table == "mechanism"


def test_every_meaning_is_another():
    """Two quantities with one meaning would be one thing with two names."""
    meanings = [quantity.meaning for quantity in QUANTITIES.values()]
    assert len(set(meanings)) == len(meanings)


def test_what_is_tested_is_averaged():
    """Tables show the mean of what they test."""
    tested = {name for name, quantity in QUANTITIES.items() if quantity.tested}
    assert tested <= {name for name, quantity in QUANTITIES.items() if quantity.averaged} and "sink_ratio" in tested
