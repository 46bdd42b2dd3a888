"""Real processes that mirror a run as training does, or run the sync's command line: as many at once as needed.

``python mirrored_runs.py FILE`` reads a list of jobs and forks a process for each. mlflow is imported before that, as
importing it costs more than all the rest, but every process opens the store for itself.
"""

import ctypes
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tracked_study import mirror_for, values, write_run

from spikesink.tracking.__main__ import main as tracking

USED_BY_STORES = ("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.tracking.rest_store", "alembic.command")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One process. Without ``rows`` it is the sync of the study in ``results``."""

    uri: str
    results: str
    """The study's folder, where a training process leaves its run."""
    variant: str = "rms"
    rows: int = 0
    row_seconds: float = 0.0
    end_file: str | None = None
    """The run does not end before this file exists."""
    scale: float = 1.0
    """The losses are multiplied by this, so that two runs differ."""
    flush_seconds: float = 0.5
    privileged: bool = True
    """False: the process obeys file permissions even if it runs as root."""
    largest_file: int | None = None
    """Bytes beyond which a file cannot grow, as on a full disk."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a process ended and what it took."""

    code: int
    errors: list[str]
    """Lines on standard error."""
    logging_seconds: float
    """Total time in which a training process waited for the mirror between rows."""
    closing_seconds: float


def run_together(jobs: Iterable[Job], folder: Path) -> list[Outcome]:
    """Run all jobs at once and wait for them."""
    return finish(start_together(jobs, folder))


def start_together(jobs: Iterable[Job], folder: Path) -> subprocess.Popen:
    """Start all jobs at once; ``finish`` waits for them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps([asdict(job) for job in jobs]))
    command = [sys.executable, __file__, str(folder / "jobs.json")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> list[Outcome]:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return [Outcome(**outcome) for outcome in json.loads(output)]


def train(job: Job) -> None:
    """Pass rows to the mirror as the training callback does, then leave the run's folder behind."""
    digest, steps = f"digest-{job.variant}", range(1, job.rows + 1)
    checkpoints = Path(job.results) / "checkpoints" / job.variant
    checkpoints.mkdir(parents=True)
    mirror = mirror_for(job.uri, job.variant, checkpoints, digest, job.flush_seconds)
    waited = 0.0
    for step in steps:
        time.sleep(job.row_seconds)
        start = time.monotonic()
        mirror.log(step, values(step, job.scale))
        waited += time.monotonic() - start
    while job.end_file and not Path(job.end_file).exists():
        time.sleep(0.05)
    start = time.monotonic()
    mirror.close()
    closed = time.monotonic() - start
    write_run(Path(job.results), job.variant, digest, job.scale, steps)
    (checkpoints / "waited").write_text(f"{waited} {closed}")


def as_process(job: Job, errors: Path) -> int:
    """The body of a forked process."""
    with errors.open("w") as file:
        os.dup2(file.fileno(), 2)
    os.dup2(2, 1)
    if not job.privileged and os.geteuid() == 0:
        # Version 3 of the call's header, this process, and no capability.
        header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(header, none) == 0
    if job.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest_file, job.largest_file))
    if job.rows:
        train(job)
        return 0
    return tracking(["sync", "--study", "tiny", "--results", job.results, "--uri", job.uri])


def main() -> int:
    jobs_file = Path(sys.argv[1])
    jobs = [Job(**job) for job in json.loads(jobs_file.read_text())]
    for module in USED_BY_STORES:
        importlib.import_module(module)
    errors = [jobs_file.with_name(f"errors{number}") for number in range(len(jobs))]
    processes = []
    for job, file in zip(jobs, errors, strict=True):
        process = os.fork()
        if process == 0:
            # A normal exit unloads all modules, which would cost every process a second of CPU time.
            os._exit(as_process(job, file))
        processes.append(process)
    outcomes = []
    for job, file, process in zip(jobs, errors, processes, strict=True):
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        times = Path(job.results) / "checkpoints" / job.variant / "waited"
        waited, closed = map(float, times.read_text().split()) if times.exists() else (0.0, 0.0)
        lines = file.read_text().splitlines()
        outcomes.append(asdict(Outcome(code=code, errors=lines, logging_seconds=waited, closing_seconds=closed)))
    print(json.dumps(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
