"""The names of the papers' rows, read without a library for tables: a command that a user waits for asks for them."""

import csv
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@cache
def paper_rows() -> tuple[str, ...]:
    """What ``stands_for`` may name: the rows of 2603.05498, then those of 2603.17771's rebuttal at 0.3B."""
    with (
        open(HERE / "paper_rows.csv", encoding="utf-8", newline="") as spikes,
        open(HERE / "paper_v_scale.csv", encoding="utf-8", newline="") as valves,
    ):
        names = [row["variant"] for row in csv.DictReader(spikes)]
        rows = csv.DictReader(valves)
        names += [row["model"] for row in rows if (row["source"], row["scale"]) == ("rebuttal", "0.3b")]
    return tuple(dict.fromkeys(names))
