"""A worker: it trains and measures one run after the other, in one process that has imported torch once."""

import sys
import traceback
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from spikesink.measures.answering import measure
from spikesink.measures.groups import GROUPS
from spikesink.runs.command import said, stay_offline
from spikesink.runs.folder import RunFolder
from spikesink.training.devices import end_with_launcher
from spikesink.training.progress import be_quiet
from spikesink.training.storage.interruption import Interrupted, end_at_once, install
from spikesink.training.train import train
from spikesink.workflow.elsewhere.document import log_path, write_document


def take_jobs(pipe: Connection, packed: dict[str, Any], threads: int, on_gpu: bool) -> None:
    """Do the jobs that come through the pipe until it is closed or a signal comes, and answer how each has ended.

    After a failure the process ends, so that nothing of it reaches the next job.
    """
    stay_offline()
    torch.set_num_threads(threads)
    end_with_launcher()
    be_quiet()
    while True:
        try:
            install(end_at_once)  # a run that has ended ignores signals
            job = pipe.recv()
            with written_to(log_path(job["name"])):
                note = complete(job, packed, threads, on_gpu)
            pipe.send(("finished", note))
        except EOFError:
            return
        except Interrupted as ending:
            answer(pipe, "stopped", f": {ending}")
            return
        except Exception as error:
            answer(pipe, "failed", in_a_line(error))
            return


def complete(job: dict[str, Any], packed: dict[str, Any], threads: int, on_gpu: bool) -> str:
    """Train the run and answer every question about it, as far as it has not been done; returns what was made."""
    folder = RunFolder(job["folder"])
    common = {"threads": threads, "gpus": int(on_gpu), "run": Path(folder.path)}
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    if not folder.manifest.exists():
        checkpoints = Path("results") / packed["study"] / "checkpoints"
        places = {"tokens": Path(packed["folders"]["train"]), "output": Path(folder.path), "checkpoints": checkpoints}
        train(job["run"], Namespace(**common, **places, nodes=1, processes=1))
    measured_on = {"tokens": Path(packed["folders"]["measure"]), "tokenizer": None, "pretrained": None}
    for group, about in job["groups"].items():
        if not all((folder.measures / f"{question}.json").exists() for question in GROUPS[group].questions):
            measure(
                Namespace(**common, **measured_on, group=group, settings=about["settings"], output=None, format="json")
            )
    write_document(job, packed)
    facts = folder.facts()
    return f"{facts['status']} in {facts['wall_seconds']:.0f} s on {facts['hardware']['name']}, measured"


def answer(pipe: Connection, outcome: str, note: str) -> None:
    """The last words of this process; a pool that has ended does not hear them."""
    with suppress(OSError):
        pipe.send((outcome, note))


@contextmanager
def written_to(log: Path) -> Iterator[None]:
    """Whatever the body prints goes to the end of a file, a traceback too."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a", encoding="utf-8") as file:
        kept = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = file
        try:
            yield
        except Exception:
            traceback.print_exc()
            raise
        finally:
            sys.stdout, sys.stderr = kept


def in_a_line(error: Exception) -> str:
    text = " ".join(said(error).split())
    return f"{type(error).__name__}: {text}"[:500]
