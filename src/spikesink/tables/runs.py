"""List every run of a study: runs.csv, one row per run, and long.parquet, one row per run and quantity; statistics.csv
has one row per variant and quantity, with intervals over seeds and tests against the baseline."""

import argparse
import sys
from pathlib import Path

import polars as pl

from spikesink.tables.collect import BASELINE
from spikesink.tables.contracts import RUNS, UNITS
from spikesink.tables.inputs import InputError, one_line_errors
from spikesink.tables.parts import read_part
from spikesink.tables.statistics import statistics

FIRST_COLUMNS = [
    "ablation",
    "variant",
    "seed",
    "perplexity",
    "sink_ratio_pct",
    "sink_ratio_gu_pct",
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.runs", description=__doc__)
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="folders written by tables.collect")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs.csv and the others")
    options = parser.parse_args()

    def work() -> None:
        runs = all_runs([read_part(folder, "runs") for folder in options.parts])
        options.output.mkdir(parents=True, exist_ok=True)
        runs.write_csv(options.output / "runs.csv")
        long_table(runs).write_parquet(options.output / "long.parquet")
        statistics(runs).write_csv(options.output / "statistics.csv")

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
