"""Mirror a run into MLflow while it trains, without ever being in training's way.

The training process only fills a queue. A daemon thread imports mlflow, opens the store and writes every few seconds;
whatever goes wrong there costs one line on standard error, because ``metrics.csv`` is the record and the sync step
completes the store from it. A request that got no answer may have been carried out, so every request can be sent again
without changing anything: MLflow keeps a metric once per step, value and time, and a run is looked for before it is
made.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikesink.runs.atomic import whole
from spikesink.tracking.store import log, open_store, reason, without_credentials, writing

FLUSH_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
CLOSE_SECONDS = 10.0
REQUEST_SECONDS = 5


class Mirror:
    """One training process's line to its MLflow run.

    Create it after the imports of the training process, so that its thread does not import at the same time, and on one
    rank only. No method raises or waits on the store, except ``close``, which waits at most ``CLOSE_SECONDS``.

    Parameters
    ----------
    uri : SQLite file or HTTP server.
    experiment : the study's name.
    run_name, tags, params : see ``store.run_name``, ``store.run_tags`` and ``store.run_params``.
    run_id_file : where the MLflow run's id is kept, beside the checkpoint, so that a resumed run continues its MLflow
        run. An id that the store does not know is replaced.
    flush_seconds : time between two writes.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        run_name: str,
        tags: Mapping[str, str],
        params: Mapping[str, str],
        run_id_file: str | Path,
        *,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._uri, self._experiment, self._run_name = uri, experiment, run_name
        self._tags, self._params, self._run_id_file = dict(tags), dict(params), Path(run_id_file)
        self._flush_seconds = flush_seconds
        self._start = time.time_ns() // 1_000_000
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._client: Any = None
        self._experiment_id = ""
        self._run_id: str | None = None
        self._stored_steps: dict[str, set[int]] = {}
        self._resumed = self._warned = self._useless = False
        self._thread = threading.Thread(target=self._work, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Queue the values of one step."""
        if not self._useless:
            self._queue.put((step, time.time_ns() // 1_000_000, dict(values)))

    def close(self, status: str = "FINISHED") -> None:
        """Write what is queued and end the MLflow run as FINISHED, FAILED or KILLED."""
        self._queue.put(status)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            self._warn(f"no answer within {CLOSE_SECONDS:.0f} s")

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            uri = without_credentials(self._uri)
            print(
                f"spikesink: live tracking at {uri} is incomplete ({why}); training goes on, "
                "and the sync step will complete the store",
                file=sys.stderr,
                flush=True,
            )

    def _work(self) -> None:
        pending: list[tuple[str, float, int, int]] = []
        status: str | None = None
        pause, failures = 0.0, 0
        while True:
            status = status or self._collect(pending, pause)
            try:
                self._deliver(pending, status)
                if status is not None:
                    return
                pause, failures = self._flush_seconds, 0
            except ImportError as missing:
                self._useless = True
                self._warn(f"mlflow cannot be imported: {reason(missing)}")
                return
            except Exception as trouble:
                # A server may come back during a long run: keep everything and ask ever more rarely. A single failure
                # is none: servers close idle connections, and restart.
                failures += 1
                if failures > 1:
                    self._warn(reason(trouble))
                    if status is not None:
                        return
                pause = min(2 * max(pause, self._flush_seconds), LONGEST_PAUSE_SECONDS)

    def _collect(self, pending: list[tuple[str, float, int, int]], seconds: float) -> str | None:
        """Move queued values to ``pending`` for so long; returns the status as soon as the run is to be closed."""
        end = time.monotonic() + seconds
        while True:
            try:
                item = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None
            if isinstance(item, str):
                return item
            step, milliseconds, values = item
            pending += [(name, value, milliseconds, step) for name, value in values.items()]

    def _deliver(self, pending: list[tuple[str, float, int, int]], status: str | None) -> None:
        if self._client is None:
            self._client, self._experiment_id = open_store(self._uri, self._experiment, timeout_seconds=REQUEST_SECONDS)
        with writing(self._uri):
            if self._run_id is None:
                self._begin(self._experiment_id)
            fresh = [entry for entry in pending if entry[3] not in self._steps(entry[0])]
            log(self._client, self._run_id, metrics=((name, float(value), *rest) for name, value, *rest in fresh))
            pending.clear()
            for name, _, _, step in fresh:
                self._stored_steps[name].add(step)
            if status is not None:
                self._client.set_terminated(self._run_id, status)

    def _begin(self, experiment_id: str) -> None:
        """Find or make the MLflow run."""
        run = self._run_to_resume(experiment_id)
        self._resumed = run is not None
        if run is None:
            run = self._run_of_an_earlier_attempt(experiment_id) or self._client.create_run(
                experiment_id, start_time=self._start, tags=self._tags, run_name=self._run_name
            )
            self._keep_run_id(run.info.run_id)
        elif run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")
        # Params cannot be changed once written, so those that are there stay.
        params = {name: text for name, text in self._params.items() if name not in run.data.params}
        log(self._client, run.info.run_id, params=params)
        self._run_id = run.info.run_id

    def _run_of_an_earlier_attempt(self, experiment_id: str) -> Any | None:
        """The run that the store made for this mirror without the answer, or its id, having been kept."""
        mine = f"attributes.start_time = {self._start}"
        runs = self._client.search_runs([experiment_id], mine)
        return next((run for run in runs if run.info.run_name == self._run_name), None)

    def _run_to_resume(self, experiment_id: str) -> Any | None:
        """The run whose id is beside the checkpoint, if this store has it."""
        from mlflow.exceptions import MlflowException

        if not self._run_id_file.exists():
            return None
        try:
            run = self._client.get_run(self._run_id_file.read_text().strip())
        except MlflowException as unknown:
            if unknown.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None
        return run if run.info.lifecycle_stage == "active" and run.info.experiment_id == experiment_id else None

    def _keep_run_id(self, run_id: str) -> None:
        with whole(self._run_id_file) as part:
            part.write_text(f"{run_id}\n")

    def _steps(self, name: str) -> set[int]:
        """Steps that the store has: after a resume, those between the last checkpoint and the interruption recur."""
        if name not in self._stored_steps:
            history = self._client.get_metric_history(self._run_id, name) if self._resumed else []
            self._stored_steps[name] = {metric.step for metric in history}
        return self._stored_steps[name]
