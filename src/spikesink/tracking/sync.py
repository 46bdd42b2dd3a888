"""Complete an MLflow store from the files of a study; running it again changes nothing.

Every finished run folder becomes one MLflow run with all params, every row of ``metrics.csv`` once, summary values and
provenance; the study's tables and figures become artifacts of a run named ``study``. Runs are found by the tags that
the live mirror sets too, so a mirrored run is completed, not repeated. A stored run whose config digest or whose
metrics differ from the files, or repeat a step, is left as it is, tagged ``spikesink.superseded``, and replaced by a
new one.
"""

from __future__ import annotations

import csv
import filecmp
import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikesink.tracking.store import (
    default_uri,
    flatten,
    log,
    open_store,
    run_name,
    run_params,
    run_tags,
    sqlite_file,
    without_credentials,
    writing,
)

REQUEST_SECONDS = 15
KEYS_OF_RUNS_TABLE = ("study", "scale", "ablation", "variant", "seed", "label", "stands_for", "status")
SUPERSEDED = "spikesink.superseded"


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What a finished run's folder says."""

    folder: Path
    settings: dict[str, Any]
    manifest: dict[str, Any]
    metrics: dict[str, dict[int, float]]
    """Column of metrics.csv, step, value."""
    summary: dict[str, float]
    """Values that describe the run as a whole."""

    @property
    def tags(self) -> dict[str, str]:
        """Identity and provenance."""
        facts = {name: value for name, value in self.manifest.items() if isinstance(value, str | Mapping)}
        tags = flatten({name: value for name, value in facts.items() if name != "digest"})
        if commit := tags.get("git.commit"):
            tags["mlflow.source.git.commit"] = commit  # the name that MLflow's pages show
        return tags | run_tags(self.settings, self.manifest["digest"])

    @property
    def last_step(self) -> int:
        return max((max(steps) for steps in self.metrics.values() if steps), default=0)

    @property
    def end(self) -> int:
        """When the run ended, in milliseconds."""
        return int((self.folder / "manifest.json").stat().st_mtime * 1000)

    def time_of(self, step: int) -> int:
        """Roughly when a step was logged, in milliseconds: metrics.csv holds no times, so that it can be repeated."""
        remaining = 1 - step / self.last_step if self.last_step else 0
        return self.end - int(remaining * 1000 * float(self.manifest.get("wall_seconds", 0)))


@dataclass
class Changes:
    """What a sync did, for its one line of output."""

    runs: int = 0
    created: int = 0
    superseded: int = 0
    values: int = 0
    artifacts: int = 0


def sync(study: str, results: str | Path, uri: str | None = None) -> str:
    """Make the store complete for one study.

    Parameters
    ----------
    study : the study's name, which names the MLflow experiment.
    results : the study's folder, ``results/<study>``.
    uri : the store; None means ``mlflow.db`` beside the study's folder.

    Returns one line that says what changed. Raises MlflowException when the store cannot be reached or refuses,
    ValueError when a file of a run is damaged.
    """
    results = Path(results)
    uri = uri or default_uri(results.parent)
    runs = finished_runs(results)
    client, experiment_id = open_store(uri, study, timeout_seconds=REQUEST_SECONDS)
    stored = _all_runs(client, experiment_id)
    changes = Changes(runs=len(runs))
    for run in runs:
        same_name = [old for old in stored if old.data.tags.get("spikesink.run") == run_name(run.settings)]
        with writing(uri):
            _complete(client, uri, experiment_id, run, same_name, changes)
    with writing(uri):
        _complete_study(client, uri, experiment_id, results, stored, changes)
    return (
        f"MLflow {without_credentials(uri)}: study {study!r} complete with {changes.runs} runs "
        f"({changes.created} new, {changes.superseded} superseded, {changes.values} values added) "
        f"and {changes.artifacts} files"
    )


def finished_runs(results: Path) -> list[FinishedRun]:
    """Read every run folder whose manifest says that it is finished."""
    summaries = _runs_table(results / "tables" / "runs.csv")
    runs = []
    for path in sorted(results.glob("runs/*/seed*/manifest.json")):
        manifest = _json(path)
        if manifest.get("status") != "finished":
            continue
        if "digest" not in manifest:
            raise ValueError(f"{path} has no digest: train the run again")
        settings = _json(path.with_name("run.json"))
        metrics = _metrics(path.with_name("metrics.csv"))
        numbers = {name: float(value) for name, value in manifest.items() if type(value) in (int, float)}
        summary = numbers | summaries.get((settings["variant"], str(settings["seed"])), {})
        # A name such as "tokens" is a curve already; its last point is the summary.
        summary = {name: value for name, value in summary.items() if name not in metrics and math.isfinite(value)}
        runs.append(
            FinishedRun(folder=path.parent, settings=settings, manifest=manifest, metrics=metrics, summary=summary)
        )
    return runs


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError as damage:
        raise ValueError(f"{path} is not valid JSON ({damage}): train the run again") from damage


def _metrics(path: Path) -> dict[str, dict[int, float]]:
    metrics: dict[str, dict[int, float]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                step = int(row.pop("step"))
                for name, text in row.items():
                    if text:
                        metrics.setdefault(name, {})[step] = float(text)
            except (KeyError, TypeError, ValueError) as damage:
                raise ValueError(f"{path} has a damaged row {row}: train the run again") from damage
    return metrics


def _runs_table(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Every numeric column of the table of runs by (variant, seed); nothing before the table is made."""
    if not path.exists():
        return {}
    table: dict[tuple[str, str], dict[str, float]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            values = table.setdefault((row["variant"], row["seed"]), {})
            for name, text in row.items():
                if name in KEYS_OF_RUNS_TABLE:
                    continue
                try:
                    values[name] = float(text)
                except ValueError:
                    continue  # an empty cell or a column of words
    return table


def _all_runs(client: Any, experiment_id: str) -> list[Any]:
    """Every run of the experiment that is not deleted, newest first."""
    runs: list[Any] = []
    page = None
    while True:
        found = client.search_runs([experiment_id], order_by=["attributes.start_time DESC"], page_token=page)
        runs += found
        page = found.token
        if not page:
            return runs


def _complete(
    client: Any, uri: str, experiment_id: str, run: FinishedRun, same_name: list[Any], changes: Changes
) -> None:
    tags = run.tags
    chosen, missing = None, run.metrics
    for old in same_name:
        if old.data.tags.get("spikesink.digest") == run.manifest["digest"]:
            histories = {
                name: client.get_metric_history(old.info.run_id, name)
                for name in run.metrics
                if name in old.data.metrics
            }
            stored = {name: {metric.step: metric.value for metric in history} for name, history in histories.items()}
            # Two processes mirrored the run at once, or a request was carried out long after it was given up.
            repeats = any(len(history) > len(stored[name]) for name, history in histories.items())
            if not repeats and not _contradicts(stored, run.metrics):
                chosen, missing = old, _missing(stored, run.metrics)
                break
    for old in same_name:
        if old is not chosen and old.data.tags.get(SUPERSEDED) != "true":
            client.set_tag(old.info.run_id, SUPERSEDED, "true")
            changes.superseded += 1
    if chosen is None:
        name = tags["spikesink.run"]
        chosen = client.create_run(experiment_id, start_time=run.time_of(0), tags=_identity(tags), run_name=name)
        changes.created += 1
    elif SUPERSEDED in chosen.data.tags:
        client.delete_tag(chosen.info.run_id, SUPERSEDED)

    run_id, data = chosen.info.run_id, chosen.data
    values = [(name, value, run.time_of(step), step) for name in missing for step, value in missing[name].items()]
    now = time.time_ns() // 1_000_000
    values += [
        (name, value, now, run.last_step)
        for name, value in run.summary.items()
        if name not in data.metrics or not math.isclose(data.metrics[name], value, rel_tol=1e-9)
    ]
    log(
        client,
        run_id,
        metrics=values,
        params={name: text for name, text in run_params(run.settings).items() if name not in data.params},
        tags={name: text for name, text in tags.items() if data.tags.get(name) != text},
    )
    changes.values += len(values)
    for name in ("run.json", "manifest.json"):
        _upload(client, uri, chosen, run.folder / name, None)
        changes.artifacts += 1
    if chosen.info.status != "FINISHED":
        client.set_terminated(run_id, "FINISHED", end_time=run.end)


def _identity(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags by which a run is found again, which it must have from the moment that it exists."""
    return {name: text for name, text in tags.items() if name.startswith("spikesink.")}


def _contradicts(stored: Mapping[str, Mapping[int, float]], record: Mapping[str, Mapping[int, float]]) -> bool:
    """Whether stored values differ from the record: the run was trained again, with other code or on other hardware."""
    return any(
        math.isfinite(value) and not math.isclose(value, stored[name][step], rel_tol=1e-3, abs_tol=1e-12)
        for name in stored
        for step, value in record[name].items()
        if step in stored[name]
    )


def _missing(
    stored: Mapping[str, Mapping[int, float]], record: Mapping[str, Mapping[int, float]]
) -> dict[str, dict[int, float]]:
    return {
        name: {step: value for step, value in steps.items() if step not in stored.get(name, {})}
        for name, steps in record.items()
    }


def _complete_study(
    client: Any, uri: str, experiment_id: str, results: Path, stored: list[Any], changes: Changes
) -> None:
    """Put the tables and figures into the run named study, in the folders that they have on disk."""
    files = [path for path in sorted(results.glob("tables/**/*")) if path.is_file()]
    files += [path for path in sorted(results.glob("figures/**/*")) if path.suffix in (".pdf", ".png")]
    found = [run for run in stored if run.data.tags.get("spikesink.kind") == "study"]
    if not files and not found:
        return
    tags = {"spikesink.kind": "study"}
    run = found[0] if found else client.create_run(experiment_id, tags=tags, run_name="study")
    for path in files:
        _upload(client, uri, run, path, path.parent.relative_to(results).as_posix())
        changes.artifacts += 1
    if run.info.status != "FINISHED":
        client.set_terminated(run.info.run_id, "FINISHED")


def _upload(client: Any, uri: str, run: Any, path: Path, folder: str | None) -> None:
    """Store one file; an artifact of the same name is replaced."""
    database = sqlite_file(uri)
    scheme, _, location = run.info.artifact_uri.partition(":/")
    if database is None or scheme != "mlflow-artifacts":
        client.log_artifact(run.info.run_id, str(path), folder)
        return
    # Without a server, this is where one would put it (see store.py).
    target = database.parent / "mlartifacts" / location.lstrip("/") / (folder or "") / path.name
    if not (target.exists() and filecmp.cmp(path, target, shallow=False)):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
