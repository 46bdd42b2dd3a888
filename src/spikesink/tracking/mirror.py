"""Mirror a run into MLflow while it trains, without ever delaying the training.

The training process only fills a queue. A daemon thread imports mlflow, opens the store and writes every few seconds.
Whatever goes wrong there is one line on standard error and nothing else: ``metrics.csv`` is the record, and the sync
step completes the store from it. A request that got no answer may have been carried out, so every request can be sent
again without changing anything: MLflow keeps a metric once per step, value and time, and a run is looked for before it
is made.
"""

import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikesink.runs.atomic import whole
from spikesink.study.errors import without_secrets
from spikesink.tracking.store import log, open_store, reason, store_lock

FLUSH_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
CLOSE_SECONDS = 10.0
REQUEST_SECONDS = 5


class Mirror:
    """The connection of one training process to its MLflow run.

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
        self.uri, self.experiment, self.run_name = uri, experiment, run_name
        self.tags, self.params, self.run_id_file = dict(tags), dict(params), Path(run_id_file)
        self.flush_seconds = flush_seconds
        self.start = time.time_ns() // 1_000_000
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.client: Any = None
        self.experiment_id = ""
        self.run_id: str | None = None
        self.stored_steps: dict[str, set[int]] = {}
        self.resumed = self.warned = self.useless = False
        self.thread = threading.Thread(target=self.work, name="mlflow-mirror", daemon=True)
        self.thread.start()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Queue the values of one step."""
        if not self.useless:
            self.queue.put((step, time.time_ns() // 1_000_000, dict(values)))

    def close(self, status: str = "FINISHED") -> None:
        """Write what is queued and end the MLflow run as FINISHED, FAILED or KILLED."""
        self.queue.put(status)
        self.thread.join(CLOSE_SECONDS)
        if self.thread.is_alive():
            self.warn(f"no answer within {CLOSE_SECONDS:.0f} s")

    def warn(self, why: str) -> None:
        if not self.warned:
            self.warned = True
            uri = without_secrets(self.uri)
            print(
                f"spikesink: live tracking at {uri} is incomplete ({why}); training goes on, "
                "and the sync step will complete the store",
                file=sys.stderr,
                flush=True,
            )

    def work(self) -> None:
        pending: list[tuple[str, float, int, int]] = []
        status: str | None = None
        pause, failures = 0.0, 0
        while True:
            status = status or self.collect(pending, pause)
            try:
                self.deliver(pending, status)
                if status is not None:
                    return
                pause, failures = self.flush_seconds, 0
            except ImportError as missing:
                self.useless = True
                self.warn(f"mlflow cannot be imported: {reason(missing)}")
                return
            except Exception as trouble:
                # A server may come back during a long run: keep everything and try again, less and less often. One
                # failure alone is not reported: servers close idle connections, and restart.
                failures += 1
                if failures > 1:
                    self.warn(reason(trouble))
                    if status is not None:
                        return
                pause = min(2 * max(pause, self.flush_seconds), LONGEST_PAUSE_SECONDS)

    def collect(self, pending: list[tuple[str, float, int, int]], seconds: float) -> str | None:
        """Move queued values to ``pending`` for ``seconds``; returns the status as soon as the run is closed."""
        end = time.monotonic() + seconds
        while True:
            try:
                item = self.queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None
            if isinstance(item, str):
                return item
            step, milliseconds, values = item
            pending += [(name, value, milliseconds, step) for name, value in values.items()]

    def deliver(self, pending: list[tuple[str, float, int, int]], status: str | None) -> None:
        if self.client is None:
            self.client, self.experiment_id = open_store(self.uri, self.experiment, timeout_seconds=REQUEST_SECONDS)
        with store_lock(self.uri):
            if self.run_id is None:
                self.begin(self.experiment_id)
            fresh = [entry for entry in pending if entry[3] not in self.steps(entry[0])]
            log(self.client, self.run_id, metrics=((name, float(value), *rest) for name, value, *rest in fresh))
            pending.clear()
            for name, _, _, step in fresh:
                self.stored_steps[name].add(step)
            if status is not None:
                self.client.set_terminated(self.run_id, status)

    def begin(self, experiment_id: str) -> None:
        """Find or make the MLflow run."""
        run = self.run_to_resume(experiment_id)
        self.resumed = run is not None
        if run is None:
            run = self.run_of_an_earlier_attempt(experiment_id) or self.client.create_run(
                experiment_id, start_time=self.start, tags=self.tags, run_name=self.run_name
            )
            self.keep_run_id(run.info.run_id)
        elif run.info.status != "RUNNING":
            self.client.update_run(run.info.run_id, status="RUNNING")
        # Params cannot be changed once written, so those that are there stay.
        params = {name: text for name, text in self.params.items() if name not in run.data.params}
        log(self.client, run.info.run_id, params=params)
        self.run_id = run.info.run_id

    def run_of_an_earlier_attempt(self, experiment_id: str) -> Any | None:
        """The run that the store made for this mirror when its answer, or the id, was lost."""
        mine = f"attributes.start_time = {self.start}"
        runs = self.client.search_runs([experiment_id], mine)
        return next((run for run in runs if run.info.run_name == self.run_name), None)

    def run_to_resume(self, experiment_id: str) -> Any | None:
        """The run whose id is beside the checkpoint, if this store has it."""
        from mlflow.exceptions import MlflowException

        if not self.run_id_file.exists():
            return None
        try:
            run = self.client.get_run(self.run_id_file.read_text(encoding="utf-8").strip())
        except MlflowException as unknown:
            if unknown.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None
        return run if run.info.lifecycle_stage == "active" and run.info.experiment_id == experiment_id else None

    def keep_run_id(self, run_id: str) -> None:
        with whole(self.run_id_file) as part:
            part.write_text(f"{run_id}\n", encoding="utf-8")

    def steps(self, name: str) -> set[int]:
        """Steps that the store has: after a resume, those between the last checkpoint and the interruption recur."""
        if name not in self.stored_steps:
            history = self.client.get_metric_history(self.run_id, name) if self.resumed else []
            self.stored_steps[name] = {metric.step for metric in history}
        return self.stored_steps[name]
