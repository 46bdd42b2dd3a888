"""The MLflow experiment of a study while a sync completes it: writes what is missing or differs, and counts it."""

import filecmp
import math
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spikesink.tracking.store import log, open_store, sqlite_file, store_lock

REQUEST_SECONDS = 15
SUPERSEDED = "spikesink.superseded"
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
DESCRIPTION = "A run per variant, its seeds as children. Tables, figures and claims are artifacts of the run `study`."


class Experiment:
    """The runs that a store holds of a study, and what a sync has done to them.

    Parameters
    ----------
    uri : SQLite file or HTTP server.
    study : the study's name, and the experiment's.

    Every method raises MlflowException when the store cannot be reached or refuses.
    """

    def __init__(self, uri: str, study: str) -> None:
        self.uri = uri
        self.client, self.id = open_store(uri, study, timeout_seconds=REQUEST_SECONDS)
        if NOTE not in self.client.get_experiment(self.id).tags:
            with self.lock():
                self.client.set_experiment_tag(self.id, NOTE, DESCRIPTION)
        self.runs = self.all_runs()
        self.created = self.superseded = self.values = self.files = 0

    def all_runs(self) -> list[Any]:
        """Every run that is not deleted, newest first."""
        runs: list[Any] = []
        page = None
        while True:
            found = self.client.search_runs([self.id], order_by=["attributes.start_time DESC"], page_token=page)
            runs += found
            page = found.token
            if not page:
                return runs

    def tagged(self, **tags: str) -> list[Any]:
        """The stored runs with these tags of the package, ``kind`` being ``spikesink.kind``; newest first."""
        wanted = {f"spikesink.{name}": text for name, text in tags.items()}.items()
        return [run for run in self.runs if wanted <= run.data.tags.items()]

    def lock(self) -> Any:
        """The lock on the store, see ``store.store_lock``."""
        return store_lock(self.uri)

    def create(self, name: str, tags: Mapping[str, str], start: int | None = None) -> Any:
        """Make a run. The tags by which it is found again are set in the same request."""
        self.created += 1
        identity = {tag: text for tag, text in tags.items() if tag.startswith("spikesink.")}
        return self.client.create_run(self.id, start_time=start, tags=identity, run_name=name)

    def supersede(self, runs: Iterable[Any]) -> None:
        """Mark runs as superseded, by a tag and in their name, and remove them from their variant."""
        for run in runs:
            if SUPERSEDED not in run.data.tags:
                self.client.update_run(run.info.run_id, name=f"{run.info.run_name} (superseded)")
                self.tag(run, {SUPERSEDED: "true", PARENT: None})
                self.superseded += 1

    def restore(self, run: Any, name: str) -> None:
        """Remove the mark that a run is superseded."""
        if SUPERSEDED in run.data.tags:
            self.client.update_run(run.info.run_id, name=name)
            self.tag(run, {SUPERSEDED: None})

    def tag(self, run: Any, tags: Mapping[str, str | None]) -> None:
        """Set tags; None takes one away."""
        stored = run.data.tags
        log(
            self.client,
            run.info.run_id,
            tags={name: text for name, text in tags.items() if text is not None and stored.get(name) != text},
        )
        for name in (name for name, text in tags.items() if text is None and name in stored):
            self.client.delete_tag(run.info.run_id, name)

    def describe(self, run: Any, params: Mapping[str, str], tags: Mapping[str, str | None]) -> None:
        """Set tags, and the params that are missing: those that are stored cannot be changed."""
        missing = {name: text for name, text in params.items() if name not in run.data.params}
        log(self.client, run.info.run_id, params=missing)
        self.tag(run, tags)

    def measure(self, run: Any, summary: Mapping[str, float], points: Iterable[Any] = ()) -> None:
        """Add points of curves, and the values of ``summary`` that differ from the stored ones."""
        stored, now = run.data.metrics, time.time_ns() // 1_000_000
        values = [*points] + [
            (name, value, now, self.step_of(run, name))
            for name, value in summary.items()
            if name not in stored or not math.isclose(stored[name], value, rel_tol=1e-9)
        ]
        log(self.client, run.info.run_id, metrics=values)
        self.values += len(values)

    def step_of(self, run: Any, name: str) -> int:
        """Where a value belongs that describes the whole run: 0, for which MLflow draws bars that compare runs of any
        length, unless a later step holds a value already and would hide it."""
        history = self.client.get_metric_history(run.info.run_id, name) if name in run.data.metrics else []
        return max((metric.step for metric in history), default=0)

    def end(self, run: Any, status: str, end: int | None = None) -> None:
        """End a run as FINISHED or FAILED, at a time in milliseconds, if it has not ended so."""
        if run.info.status != status:
            self.client.set_terminated(run.info.run_id, status, end_time=end)

    def upload(self, run: Any, path: Path, folder: str | None = None) -> None:
        """Store one file; an artifact of the same name is replaced."""
        self.files += 1
        database = sqlite_file(self.uri)
        scheme, _, location = run.info.artifact_uri.partition(":/")
        if database is None or scheme != "mlflow-artifacts":
            self.client.log_artifact(run.info.run_id, str(path), folder)
            return
        # Without a server, this is where one would put it (see store.py).
        target = database.parent / "mlartifacts" / location.lstrip("/") / (folder or "") / path.name
        if not (target.exists() and filecmp.cmp(path, target, shallow=False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
