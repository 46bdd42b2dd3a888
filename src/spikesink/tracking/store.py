"""Open an MLflow store, and say how a run is described in it.

The default store is one SQLite file, ``results/mlflow.db``, with artifacts in ``results/mlartifacts`` beside it. Its
experiments keep artifacts under ``mlflow-artifacts:/<study>``, the scheme of MLflow servers, not under a path: the
results folder can then be moved or copied to another machine, and a server started with ``--artifacts-destination
results/mlartifacts`` finds every file. This package writes such artifacts straight into the folder.

Several processes of one machine may write the SQLite file at once. Several machines may not, because SQLite's locks do
not hold on network disks: jobs that Snakemake sends to other machines mirror only into an MLflow server
(``tracking.uri``), and a SQLite store is left to the sync step, which writes it from one place.
"""

import contextlib
import fcntl
import itertools
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from spikesink.runs.atomic import whole
from spikesink.study.errors import without_secrets

METRICS_PER_REQUEST = 1000
ENTRIES_PER_REQUEST = 100
# As long as MLflow lets SQLite wait.
LOCK_SECONDS = 20
# The installed MLflow stores 6000 characters of a param; an older server stores fewer.
PARAM_LENGTH = 250
TAG_LENGTH = 5000


def default_uri(results_root: str | Path) -> str:
    """The address of the store where ``tracking.uri`` is null: ``mlflow.db`` in the folder of all results."""
    return f"sqlite:///{(Path(results_root) / 'mlflow.db').as_posix()}"


def reason(trouble: BaseException) -> str:
    """The type and the first line of an exception, without secrets; for MLflow's, those of its cause."""
    if type(trouble).__module__.startswith("mlflow"):
        # Its own first line is the request, far longer than the reason.
        while inner := trouble.__cause__ or trouble.__context__:
            trouble = inner
    first_line = str(trouble).strip().partition("\n")[0]
    return without_secrets(f"{type(trouble).__name__}: {first_line[:200]}")


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store; None for a server."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def run_name(settings: Mapping[str, Any]) -> str:
    """The name of a run in its study: ``<variant>/seed<k>``."""
    return f"{settings['variant']}/seed{settings['seed']}"


def run_tags(settings: Mapping[str, Any], digest: str) -> dict[str, str]:
    """The tags of a run: by them the mirror and the sync find the same MLflow run, and people filter."""
    tags = {"spikesink.kind": "run", "spikesink.run": run_name(settings), "spikesink.digest": digest}
    facts = ("study", "scale", "ablation", "variant", "seed")
    return tags | {name: str(settings[name]) for name in facts if settings.get(name) is not None}


def run_params(settings: Mapping[str, Any]) -> dict[str, str]:
    """The tokenizer, model and training settings of a run as dotted names and short texts."""
    parts = {part: settings[part] for part in ("tokenizer", "model", "training") if part in settings}
    return {name: text[:PARAM_LENGTH] for name, text in flatten(parts).items()}


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """``{"model": {"layers": 4}}`` becomes ``{"model.layers": "4"}``; values are written as in JSON."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return flat


def open_store(uri: str, experiment: str, *, timeout_seconds: int) -> tuple[Any, str]:
    """Connect to a store, making the SQLite file and the experiment if they are missing.

    Parameters
    ----------
    uri : SQLite file or HTTP server.
    experiment : the study's name.
    timeout_seconds : of one HTTP request, unless the environment already sets MLflow's variable for it.

    Returns the ``MlflowClient`` and the experiment's id. Raises ImportError without mlflow, and MlflowException or
    RuntimeError when the store cannot be used.
    """
    # MLflow's own values let one call wait for several minutes, and send a request again that may have been carried
    # out: a run would exist twice. They are read from the environment at every request.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(timeout_seconds))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    # MLflow logs a traceback before it raises; whoever catches the exception says it in one line.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    database = sqlite_file(uri)
    if database is None:
        client = MlflowClient(tracking_uri=uri)
        return client, experiment_id(client, experiment, artifact_location=None)
    if not database.exists():
        with store_lock(uri):
            if not database.exists():
                create_database(database)
    client = MlflowClient(tracking_uri=uri)
    return client, experiment_id(client, experiment, artifact_location=f"mlflow-artifacts:/{experiment}")


@contextlib.contextmanager
def store_lock(uri: str) -> Iterator[None]:
    """While this holds, no other process writes the SQLite store; with a server there is nothing to wait for.

    Left to SQLite, dozens of processes that write at once all sleep for ever longer times, and some never get their
    turn. The operating system releases this lock even if the process is killed. Raises TimeoutError.
    """
    database = sqlite_file(uri)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w", encoding="utf-8") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while not lock_taken(file):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{file.name} has been held by another process for {LOCK_SECONDS} s")
            time.sleep(0.02)
        yield


def lock_taken(file: IO[str]) -> bool:
    """Take the lock if no other process holds it; returns whether this process may write."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Some network disks have no locks; SQLite's own are then all there is.
        return True
    return True


def create_database(database: Path) -> None:
    """Make the SQLite file with MLflow's tables in one step: neither a race nor a kill leaves half a schema behind."""
    from mlflow import MlflowClient

    with whole(database) as part:
        MlflowClient(tracking_uri=f"sqlite:///{part.as_posix()}")


def experiment_id(client: Any, name: str, artifact_location: str | None) -> str:
    """The id of the experiment, which is made if it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=artifact_location)
        except MlflowException as conflict:
            # Another process made it since we looked.
            if conflict.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        raise RuntimeError(f"experiment {name!r} was deleted there: restore it, or remove it for good with `mlflow gc`")
    return found.experiment_id


def log(
    client: Any,
    run_id: str,
    *,
    metrics: Iterable[tuple[str, float, int, int]] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write to a run in requests of the size that MLflow accepts; a metric is (name, value, time in ms, step)."""
    from mlflow.entities import Metric, Param, RunTag

    for part in in_parts((Param(*item) for item in (params or {}).items()), ENTRIES_PER_REQUEST):
        client.log_batch(run_id, params=part)
    for part in in_parts((RunTag(name, text[:TAG_LENGTH]) for name, text in (tags or {}).items()), ENTRIES_PER_REQUEST):
        client.log_batch(run_id, tags=part)
    for part in in_parts((Metric(*item) for item in metrics), METRICS_PER_REQUEST):
        client.log_batch(run_id, metrics=part)


def in_parts(items: Iterable[Any], length: int) -> Iterator[list[Any]]:
    """The items in lists of at most ``length``."""
    remaining = iter(items)
    while part := list(itertools.islice(remaining, length)):
        yield part
