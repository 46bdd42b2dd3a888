"""A store that is out of reach costs a run one line and no time, and the sync completes it when it is back.

All faults are real and happen at once, each to a training process and to a sync of their own.
"""

import http.server
import socket
import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from mirrored_runs import Job, Outcome, run_together
from sockets import free_port
from tracked_study import faults_of, new_store, write_study

from spikesink.study.errors import without_secrets
from spikesink.tracking.__main__ import main
from spikesink.tracking.mirror import CLOSE_SECONDS
from spikesink.tracking.store import sqlite_file

CAUSES = {
    "refused": "Connection refused",
    "hanging": "timed out",
    "failing": "500",
    "wrong_password": "401",
    "locked": "database is locked",
    "read_only": "readonly database",
    "full_disk": "disk I/O error",
}
FILES = ("locked", "read_only", "full_disk")


@contextmanager
def hanging() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers every request with an error."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(status)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{listener.server_address[1]}"
        listener.shutdown()


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Somebody else is in the middle of a change, longer than MLflow waits."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    yield
    connection.execute("ROLLBACK")
    connection.close()


@contextmanager
def read_only(database: Path) -> Iterator[None]:
    """Nobody may write the file or its folder."""
    (database.parent / "mlflow.db.lock").touch()
    for path, mode in ((database, 0o444), (database.parent / "mlflow.db.lock", 0o444), (database.parent, 0o555)):
        path.chmod(mode)
    yield
    for path, mode in ((database.parent, 0o755), (database, 0o644), (database.parent / "mlflow.db.lock", 0o644)):
        path.chmod(mode)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> dict[tuple[str, str], Job]:
    """A training process and a sync by fault, not started."""
    made = {}
    for fault in CAUSES:
        folder = tmp_path_factory.mktemp(fault)
        uri = new_store(folder / "store") if fault in FILES else ""
        (folder / "training").mkdir()
        training = Job(uri=uri, results=str(folder / "training"), rows=60, row_seconds=0.02)
        sync = Job(uri=uri, results=str(write_study(folder / "sync")))
        for kind, job in (("training", training), ("sync", sync)):
            limits = {"read_only": {"privileged": False}, "full_disk": {"largest_file": 8000}}
            made[fault, kind] = replace(job, **limits.get(fault, {}))
    return made


@pytest.fixture(scope="module")
def outcomes(jobs, tmp_path_factory) -> dict[tuple[str, str], Outcome]:
    """What became of them; afterwards there are no faults any more."""
    with ExitStack() as faults:
        addresses = {
            "refused": f"127.0.0.1:{free_port()}",
            "hanging": faults.enter_context(hanging()),
            "failing": faults.enter_context(answering(500)),
            "wrong_password": faults.enter_context(answering(401)),
        }
        for (fault, kind), job in jobs.items():
            if fault in addresses:
                jobs[fault, kind] = replace(job, uri=f"http://user:secret@{addresses[fault]}")
        for fault in (locked, read_only):
            faults.enter_context(fault(sqlite_file(jobs[fault.__name__, "sync"].uri)))
        ended = run_together(jobs.values(), tmp_path_factory.mktemp("processes"))
    return dict(zip(jobs, ended, strict=True))


@pytest.mark.parametrize("fault, cause", CAUSES.items())
def test_a_fault_costs_training_one_line_and_no_time(fault, cause, jobs, outcomes):
    """A store that is down must neither stop nor slow a run that took days."""
    outcome = outcomes[fault, "training"]
    assert outcome.code == 0
    # MLflow's own patience is minutes, that of the locked file 20 s; the rest is for a busy machine.
    assert outcome.logging_seconds < 10 and outcome.closing_seconds < CLOSE_SECONDS + 30
    (line,) = outcome.errors
    assert without_secrets(jobs[fault, "training"].uri) in line and "sync step will complete" in line
    assert cause in line and "secret" not in line


@pytest.mark.parametrize("fault, cause", CAUSES.items())
def test_a_fault_ends_the_sync_with_one_line(fault, cause, jobs, outcomes):
    """The workflow must show what failed, soon, and that the results are safe."""
    outcome = outcomes[fault, "sync"]
    assert outcome.code == 1
    (line,) = outcome.errors
    assert without_secrets(jobs[fault, "sync"].uri) in line and "results are unharmed" in line
    assert cause in line and "secret" not in line


@pytest.mark.parametrize("fault", FILES)
def test_the_sync_completes_the_store_after_the_fault(fault, jobs, outcomes):
    """What the mirror left half done must not keep the record from being stored whole and once."""
    job = jobs[fault, "training"]
    assert main(["sync", "--study", "tiny", "--results", job.results, "--uri", job.uri]) == 0
    assert faults_of(job.uri, Path(job.results)) == {}
