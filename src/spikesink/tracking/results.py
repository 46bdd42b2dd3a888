"""What the files of a study say of its runs and variants, by the names that the store shows.

A metric has the name that its quantity has in the tables, and a curve that of its column in metrics.csv.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikesink.runs.folder import DIVERGED, FINISHED, TRAIN_AGAIN, RunFolder, run_folders
from spikesink.runs.sums import delete_and_run, intact
from spikesink.study.errors import InputError
from spikesink.tracking.store import flatten, run_name, run_params, run_tags

STATUS = {FINISHED: "FINISHED", DIVERGED: "FAILED"}
"""MLflow's word for how a run ended for good."""
IDENTITY = ("study", "scale", "ablation", "variant", "label", "stands_for")
"""Columns of runs.csv that are words about a variant."""
NAMED = ("variant", "seed", "status")
"""Columns of runs.csv that say which run a row is of, and how it ended."""
STATISTICS = ("low", "high", "change", "change_low", "change_high", "p_holm")
"""Columns of statistics.csv that are metrics of a variant, beside its ``centre``."""

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """What the folder of a run that has ended says."""

    folder: RunFolder
    settings: dict[str, Any]
    manifest: dict[str, Any]
    metrics: dict[str, dict[int, float]]
    """Column of metrics.csv, step, value."""
    summary: dict[str, float]
    """Values that describe the run as a whole."""

    @property
    def name(self) -> str:
        return run_name(self.settings)

    @property
    def digest(self) -> str:
        return self.manifest["digest"]

    @property
    def status(self) -> str:
        return STATUS[self.manifest["status"]]

    @property
    def params(self) -> dict[str, str]:
        return run_params(self.settings)

    @property
    def tags(self) -> dict[str, str]:
        """Identity and provenance."""
        facts = {name: value for name, value in self.manifest.items() if isinstance(value, str | Mapping)}
        tags = flatten({name: value for name, value in facts.items() if name not in ("digest", "sha256", "sum")})
        if commit := tags.get("git.commit"):
            tags["mlflow.source.git.commit"] = commit  # the name that MLflow's pages show
        return tags | run_tags(self.settings, self.digest)

    @property
    def last_step(self) -> int:
        return max((max(steps) for steps in self.metrics.values() if steps), default=0)

    @property
    def end(self) -> int:
        """When the run ended, in milliseconds."""
        return int(self.folder.manifest.stat().st_mtime * 1000)

    def time_of(self, step: int) -> int:
        """Roughly when a step was logged, in milliseconds: metrics.csv holds no times, so that it can be repeated."""
        remaining = 1 - step / self.last_step if self.last_step else 0
        return self.end - int(remaining * 1000 * float(self.manifest.get("wall_seconds", 0)))


@dataclass(frozen=True, kw_only=True)
class TabulatedVariant:
    """What the tables say of a variant over its seeds."""

    tags: dict[str, str | None]
    """The words of ``IDENTITY``, and which seeds are left out of means; None where there is nothing to say."""
    metrics: dict[str, float]
    runs: list[EndedRun]

    @property
    def name(self) -> str:
        return self.tags["variant"]

    @property
    def params(self) -> dict[str, str]:
        """The params that all its runs share."""
        shared = set.intersection(*(set(run.params.items()) for run in self.runs)) if self.runs else set()
        return dict(sorted(shared))


def ended_runs(results: Path) -> list[EndedRun]:
    """The runs of a study that finished or diverged, sorted by their folders.

    Raises InputError, which names the file, where one is damaged.
    """
    rows = table_rows(results / "tables" / "runs.csv", NAMED)
    summaries = {(row["variant"], row["seed"]): numbers_of(row) for row in rows}
    runs = []
    for folder in run_folders(results):
        manifest = folder.facts()
        if manifest.get("status") not in STATUS:
            continue
        if "digest" not in manifest:
            raise InputError(f"{folder.manifest}: has no digest: train this run again")
        settings, metrics = folder.settings(), curves(folder.metrics)
        numbers = {name: float(value) for name, value in manifest.items() if type(value) in (int, float)}
        summary = numbers | summaries.get((settings["variant"], str(settings["seed"])), {})
        # A name such as "tokens" is a curve already; its last point is the summary.
        summary = {name: value for name, value in summary.items() if name not in metrics and math.isfinite(value)}
        runs.append(EndedRun(folder=folder, settings=settings, manifest=manifest, metrics=metrics, summary=summary))
    return runs


def tabulated_variants(results: Path, runs: Iterable[EndedRun]) -> list[TabulatedVariant]:
    """The variants of the table of runs, in its order; none before the tables are made.

    ``metrics`` are the cells of statistics.csv that are not empty. ``perplexity``, which has the name that it has in a
    run, is what the tables show, the mean over the finished seeds (of perplexities and spikes the geometric one).
    Beside it stand ``perplexity_low``, ``perplexity_change`` and so on, by ``STATISTICS``. ``seeds`` counts the rows of
    the variant, ``seeds_finished`` those in the means. ``runs`` are those of the table.
    """
    ended = {(run.settings["variant"], str(run.settings["seed"])): run for run in runs}
    statistics = rows_by_variant(results / "tables" / "statistics.csv", ["quantity"])
    return [
        TabulatedVariant(
            tags=words(seeds[0], statistics.get(name, [])),
            metrics=counts(seeds) | statistic_values(statistics.get(name, [])),
            runs=[ended[row["variant"], row["seed"]] for row in seeds if (row["variant"], row["seed"]) in ended],
        )
        for name, seeds in rows_by_variant(results / "tables" / "runs.csv", NAMED).items()
    ]


def words(first: Row, statistics: list[Row]) -> dict[str, str | None]:
    """The tags of a variant; ``left_out`` names the seeds that some mean is without, each reason once."""
    reasons = (reason for row in statistics for reason in (row.get("left_out") or "").split(", "))
    left_out = ", ".join(dict.fromkeys(filter(None, reasons)))
    return {name: first.get(name) or None for name in IDENTITY} | {"left_out": left_out or None}


def counts(seeds: list[Row]) -> dict[str, float]:
    return {"seeds": len(seeds), "seeds_finished": sum(row["status"] == FINISHED for row in seeds)}


def statistic_values(rows: list[Row]) -> dict[str, float]:
    cells = {row["quantity"]: row.get("centre", "") for row in rows}
    cells |= {f"{row['quantity']}_{name}": row.get(name, "") for row in rows for name in STATISTICS}
    return {name: value for name, text in cells.items() if (value := number(text)) is not None}


def numbers_of(row: Row) -> dict[str, float]:
    """The columns of the table of runs that are numbers, without the seed."""
    numbers = {name: number(text) for name, text in row.items() if name not in (*IDENTITY, "seed", "status")}
    return {name: value for name, value in numbers.items() if value is not None}


def number(text: str) -> float | None:
    """The number in a cell; None for an empty cell, a word, and what is no finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def table_rows(path: Path, needed: Iterable[str]) -> list[Row]:
    """The rows of a table; none where it is not there. Raises InputError where it lacks a needed column."""
    if not path.exists():
        return []
    with intact(path, delete_and_run(path)).open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        for name in needed:
            if name not in (rows.fieldnames or ()):
                raise InputError(f"{path}: has no column {name!r}: {delete_and_run(path)}")
        return list(rows)


def rows_by_variant(path: Path, needed: Iterable[str]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for row in table_rows(path, ("variant", *needed)):
        rows.setdefault(row["variant"], []).append(row)
    return rows


def curves(path: Path) -> dict[str, dict[int, float]]:
    """The columns of metrics.csv: value by step. Raises InputError."""
    metrics: dict[str, dict[int, float]] = {}
    with intact(path, TRAIN_AGAIN).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                step = int(row.pop("step"))
                for name, text in row.items():
                    if text:
                        metrics.setdefault(name, {})[step] = float(text)
            except (KeyError, TypeError, ValueError) as damage:
                raise InputError(f"{path}: has a damaged row {row}: train this run again") from damage
    return metrics
