"""Jobs shared out among worker processes, which each import once and take one job after the other."""

import multiprocessing
import os
import signal
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from spikesink.runs.command import stay_offline
from spikesink.runs.status import clock
from spikesink.workflow.elsewhere.document import log_path

FAILED, UNFINISHED = 1, 3
"""Exit status when a run has failed, and when only time or a signal has kept runs from being finished."""
PATIENCE = 120.0
"""Seconds that a worker has to write its checkpoint after it was asked to stop."""
REMIND = 5.0
"""A worker that is bringing results into their folder ignores signals: it is asked again after so many seconds."""


@dataclass(eq=False)
class Worker:
    """A process, the end of the pipe to it, the job that it has, and its GPU."""

    process: BaseProcess
    pipe: Connection
    job: dict[str, Any]
    gpu: str | None
    started: float = field(default_factory=time.monotonic)


class Pool:
    """The jobs of a packed study. ``run`` works them off; afterwards ``failed`` and ``waiting`` say what is left."""

    def __init__(self, packed: dict[str, Any], jobs: list[dict], *, gpus: list[str], threads: int) -> None:
        self.packed = {key: packed[key] for key in ("study", "tokens", "folders", "git", "measure_on")}
        self.waiting, self.total = deque(jobs), len(jobs)
        self.threads = threads
        self.workers = dict.fromkeys(gpus or [None], 0)
        """How many each GPU has; None is the CPU."""
        self.failed: list[str] = []
        self.stopped: list[str] = []
        self.finished = 0
        self.stopping = False
        self.began = time.monotonic()

    def run(self, workers: int, deadline: float | None) -> None:
        """Work the jobs off. SIGINT, SIGTERM or the deadline (of the monotonic clock) stop it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)
        at_work: list[Worker] = []
        asked = None
        while at_work or (self.waiting and not self.stopping):
            self.stopping = self.stopping or (deadline is not None and time.monotonic() > deadline)
            while self.waiting and not self.stopping and len(at_work) < workers:
                at_work.append(self.start())
            if self.stopping:
                asked = asked or time.monotonic()
                end(at_work, kill=time.monotonic() - asked > PATIENCE)
            for pipe in wait([worker.pipe for worker in at_work], timeout=REMIND if self.stopping else 1.0):
                worker = next(worker for worker in at_work if worker.pipe is pipe)
                if not self.hear(worker):
                    at_work.remove(worker)

    def stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def start(self) -> Worker:
        """A new process with its first job, on the GPU that has the fewest.

        It is spawned: a forked one could not use CUDA.
        """
        ours, theirs = multiprocessing.Pipe()
        gpu = min(self.workers, key=self.workers.get)
        self.workers[gpu] += 1
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=work, args=(theirs, self.packed, gpu, self.threads))
        process.start()
        theirs.close()
        worker = Worker(process, ours, self.waiting.popleft(), gpu)
        ours.send(worker.job)
        return worker

    def hear(self, worker: Worker) -> bool:
        """Take what a worker says of its job and give it another one. False when the process has ended."""
        try:
            outcome, note = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            code = worker.process.exitcode
            outcome, note = ("stopped", "") if self.stopping else ("failed", f"its process ended with status {code}")
        self.report(worker, outcome, note)
        if outcome == "finished" and self.waiting and not self.stopping:
            job = self.waiting.popleft()
            try:
                worker.pipe.send(job)
            except OSError:  # the process has ended in the meantime
                self.waiting.appendleft(job)
            else:
                worker.job, worker.started = job, time.monotonic()
                return True
        worker.pipe.close()
        worker.process.join(PATIENCE)
        worker.process.kill()
        self.workers[worker.gpu] -= 1
        return False

    def report(self, worker: Worker, outcome: str, note: str) -> None:
        """One line about a job that has ended."""
        now = time.monotonic()
        name, took = worker.job["name"], now - worker.started
        if outcome == "finished":
            self.finished += 1
            pace = (now - self.began) / self.finished
            left = clock(pace * (self.total - self.finished))
            print(f"[{self.finished}/{self.total}] {name}: {note}, {took:.0f} s; about {left} left", flush=True)
        elif outcome == "failed":
            self.failed.append(name)
            print(f"FAILED {name}: {note} ({log_path(name)})", flush=True)
        else:
            self.stopped.append(name)
            print(f"stopped {name} after {took:.0f} s{note}", flush=True)

    def status(self) -> int:
        """The exit status of the program; prints which jobs have failed and how many are left."""
        left = len(self.waiting) + len(self.stopped)
        if left:
            print(f"{left} runs are left: start this again to go on", flush=True)
        if self.failed:
            print(f"{len(self.failed)} runs failed: {', '.join(self.failed)}", flush=True)
        return FAILED if self.failed else UNFINISHED if left else 0


def end(workers: list[Worker], kill: bool) -> None:
    for worker in workers:
        (worker.process.kill if kill else worker.process.terminate)()


def work(pipe: Connection, packed: dict[str, Any], gpu: str | None, threads: int) -> None:
    """What a worker process does, on one GPU or on the CPU."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the pool says when to stop
    os.environ.update(CUDA_VISIBLE_DEVICES=gpu or "", TQDM_DISABLE="1")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    stay_offline()
    from spikesink.workflow.elsewhere.worker import take_jobs  # late: torch reads these variables when it is imported

    take_jobs(pipe, packed, threads, on_gpu=gpu is not None)
