"""List every run of a study: runs.csv, one row per run, and long.parquet, one row per run and quantity."""

import argparse
import sys
from pathlib import Path

import polars as pl

from spikesink.tables.collect import BASELINE, read_study
from spikesink.tables.contracts import RUNS, UNITS
from spikesink.tables.inputs import InputError, one_line_errors
from spikesink.tables.parts import read_part

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


def all_runs(study: dict, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """The runs of all ablations in the study's order, the baseline first and once.

    Raises InputError where a run of the study is in no part, or where two parts differ about the baseline.
    """
    together = pl.concat(parts).unique(maintain_order=True)
    twice = together.filter(together.select("variant", "seed").is_duplicated())
    if not twice.is_empty():
        variant, seed = twice["variant"][0], twice["seed"][0]
        raise InputError(f"the parts differ about {variant} with seed {seed}: collect every ablation again")
    listed = sorted(study["runs"], key=lambda run: run["ablation"] != BASELINE)
    order = pl.DataFrame(
        [{"variant": run["variant"], "seed": run["seed"]} for run in listed],
        schema={"variant": RUNS["variant"], "seed": RUNS["seed"]},
    )
    absent = order.join(together, on=["variant", "seed"], how="anti", maintain_order="left")
    if not absent.is_empty():
        variant, seed = absent.row(0)
        raise InputError(f"no part holds {variant} with seed {seed}: name the folders of all ablations in --parts")
    return order.join(together, on=["variant", "seed"], how="left", maintain_order="left").select(COLUMNS)


def long_table(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per run and quantity with its unit; null values are left out."""
    index = ["study", "scale", "ablation", "variant", "seed"]
    values = runs.select(*index, *(pl.col(name).cast(pl.Float64) for name in UNITS))
    long = values.unpivot(list(UNITS), index=index, variable_name="quantity", value_name="value")
    return long.drop_nulls("value").with_columns(pl.col("quantity").replace_strict(UNITS).alias("unit"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.runs", description=__doc__)
    parser.add_argument("--study-file", type=Path, required=True, help="the study's study.json")
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="folders written by tables.collect")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs.csv and long.parquet")
    options = parser.parse_args()

    def work() -> None:
        runs = all_runs(read_study(options.study_file), [read_part(folder, "runs") for folder in options.parts])
        options.output.mkdir(parents=True, exist_ok=True)
        runs.write_csv(options.output / "runs.csv")
        long_table(runs).write_parquet(options.output / "long.parquet")

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
