"""List every run of a study: runs.csv and runs.html, one row per run, and long.parquet, one row per run and quantity;
variants.html and variants.md one row per variant with intervals over seeds; statistics.csv one row per variant and
quantity, with tests against the baseline."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from spikesink.tables.collect import BASELINE
from spikesink.tables.contracts import RUNS, UNITS
from spikesink.tables.inputs import InputError, one_line_errors
from spikesink.tables.parts import read_part
from spikesink.tables.render.html import html
from spikesink.tables.render.layout import Column
from spikesink.tables.render.numbers import decimals, significant, written
from spikesink.tables.statistics.statistics import statistics
from spikesink.tables.variants import write_variants

FIRST_COLUMNS = [
    "ablation",
    "variant",
    "seed",
    "perplexity",
    "sink_ratio",
    "sink_ratio_gu",
    "spike",
    "spike_position",
    "parameters",
    "tokens",
    "status",
]
COLUMNS = FIRST_COLUMNS + [name for name in RUNS if name not in FIRST_COLUMNS]


def all_runs(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """The runs of all parts in their order, the baseline first and once.

    Raises InputError where two parts differ about study, scale, the baseline or another run.
    """
    together = pl.concat(parts).unique(maintain_order=True)
    for name in ("study", "scale"):
        found = together[name].unique(maintain_order=True)
        if len(found) > 1:
            raise InputError(f"the parts differ about the {name}, {' and '.join(found)}: name parts of one in --parts")
    twice = together.filter(together.select("variant", "seed").is_duplicated())
    if not twice.is_empty():
        variant, seed = twice["variant"][0], twice["seed"][0]
        raise InputError(f"the parts differ about {variant} with seed {seed}: collect every ablation again")
    if len({frozenset(part.filter(pl.col("ablation") == BASELINE)["seed"]) for part in parts}) > 1:
        raise InputError("the parts differ about the seeds of the baseline: collect every ablation again")
    return together.select(COLUMNS)


def long_table(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per run and quantity with its unit; null values are left out."""
    index = ["study", "scale", "ablation", "variant", "seed"]
    values = runs.select(*index, *(pl.col(name).cast(pl.Float64) for name in UNITS))
    long = values.unpivot(list(UNITS), index=index, variable_name="quantity", value_name="value")
    return long.drop_nulls("value").with_columns(pl.col("quantity").replace_strict(UNITS).alias("unit"))


def shown(runs: pl.DataFrame) -> list[Column]:
    """The columns of runs.html, rounded for reading."""
    rows = runs.to_dicts()

    def cells(name: str, write: Callable[[Any], str] = str) -> list[str]:
        return [written(row[name], write) for row in rows]

    return [
        Column("", "ablation", cells("ablation")),
        Column("", "variant", cells("label")),
        Column("", "seed", cells("seed")),
        Column("", "perplexity", cells("perplexity", decimals(2))),
        Column("", "sink ratio (%)", cells("sink_ratio", decimals(1))),
        Column("", "largest head", cells("sink_mass_max", decimals(2))),
        Column("", "spike", cells("spike", significant(3))),
        Column("", "× median", cells("spike_over_median", significant(3))),
        Column("", "at position", cells("spike_position")),
        Column("", "parameters (M)", cells("parameters", lambda count: significant(3)(count / 1e6))),
        Column("", "tokens (M)", cells("tokens", lambda count: significant(3)(count / 1e6))),
        Column("", "status", cells("status")),
        Column("", "digest", cells("digest")),
    ]


NOTES = [
    "Sink ratio: heads in which a key of the first half receives more than the threshold of mean attention (arXiv "
    "2603.05498 Eq 27-28); largest head: its mean attention on position 0; spike: largest magnitude in the residual "
    "stream, and how many medians of its hidden state that is. A run that did not finish has no numbers.",
    "The digest is of a run's settings and code; under provenance it leads to both. All columns are in runs.csv.",
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.runs", description=__doc__)
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="folders written by tables.collect")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs.csv and the others")
    options = parser.parse_args()

    def work() -> None:
        runs = all_runs([read_part(folder, "runs") for folder in options.parts])
        options.output.mkdir(parents=True, exist_ok=True)
        runs.write_csv(options.output / "runs.csv")
        title = f"All runs of study {runs['study'][0]}"
        (options.output / "runs.html").write_text(html({title: (shown(runs), NOTES)}, "runs"))
        long_table(runs).write_parquet(options.output / "long.parquet")
        statistics(runs).write_csv(options.output / "statistics.csv")
        write_variants(runs, options.output / "variants")

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
