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
from spikesink.runs.atomic import whole
from spikesink.runs.command import said
from spikesink.runs.folder import RunFolder
from spikesink.runs.sums import file_sum
from spikesink.study.errors import InputError
from spikesink.study.run import canonical
from spikesink.training.devices import end_with_launcher
from spikesink.training.freed_memory import keep_freed_memory
from spikesink.training.progress import be_quiet
from spikesink.training.storage.disk_errors import DiskError
from spikesink.training.storage.interruption import Interrupted, end_at_once, install
from spikesink.training.storage.lock import InUse
from spikesink.training.train import train
from spikesink.workflow.elsewhere.document import log_path, write_document

EXPECTED = (InputError, OSError, DiskError, InUse)
"""Errors whose text is a whole line for the user."""


def take_jobs(pipe: Connection, packed: dict[str, Any], threads: int, on_gpu: bool) -> None:
    """Do the jobs that come through the pipe until it is closed or a signal comes, and answer how each has ended.

    After a failure the process ends, so that nothing of it reaches the next job.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    end_with_launcher()
    be_quiet()
    while True:
        try:
            install(end_at_once)  # a run that has ended ignores signals
            job = pipe.recv()
            torch.compiler.reset()  # after eight compiled runs torch would train the next without compiling
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
    if on_gpu:
        if not torch.cuda.is_available():
            raise InputError("torch finds no GPU here: start with --gpus 0 to use the CPU")
        torch.cuda.init()  # it is of no use before
        torch.cuda.reset_peak_memory_stats()
    if folder.manifest.exists():
        check_trained(job, packed)
    else:
        checkpoints = Path("results") / packed["study"] / "checkpoints"
        places = {"tokens": Path(packed["folders"]["train"]), "output": Path(folder.path), "checkpoints": checkpoints}
        train(job["run"], Namespace(**places, threads=threads, gpus=int(on_gpu), nodes=1, processes=1))
    for group, about in job["groups"].items():
        what = canonical([about, packed["tokens"]["measure"], file_sum(folder.manifest)])
        if not is_answered(group, what, folder):
            asked_before(group, folder).unlink(missing_ok=True)  # the tables are replaced one by one
            asked = {"group": group, "settings": about["settings"], "run": Path(folder.path), "pretrained": None}
            places = {"tokens": Path(packed["folders"]["measure"]), "tokenizer": None, "output": None}
            measured_on = int(on_gpu and packed["measure_on"] == "gpu")
            measure(Namespace(**asked, **places, format="json", threads=threads, gpus=measured_on))
            with whole(asked_before(group, folder)) as part:
                part.write_text(what, encoding="utf-8")
    write_document(job, packed)
    facts = folder.facts()
    return f"{facts['status']} in {facts['wall_seconds']:.0f} s on {facts['hardware']['name']}, measured"


def check_trained(job: dict[str, Any], packed: dict[str, Any]) -> None:
    """Raises InputError where the run in the job's folder has other settings, code or tokens: of another archive."""
    folder = RunFolder(job["folder"])
    if folder.settings() != job["run"] or folder.facts().get("tokens_sha256") != packed["tokens"]["train"]:
        raise InputError(f"{folder.path}: was trained for another archive: unpack this one into an empty folder")


def is_answered(group: str, what: str, folder: RunFolder) -> bool:
    """Whether the tables of a group are here and answer ``what``: its settings and code, the text and the run."""
    tables = (folder.measures / f"{question}.json" for question in GROUPS[group].questions)
    note = asked_before(group, folder)
    return note.exists() and note.read_text(encoding="utf-8") == what and all(table.exists() for table in tables)


def asked_before(group: str, folder: RunFolder) -> Path:
    """The file that says what the tables of a group answer; it is written after them."""
    return folder.measures / f"{group}.asked"


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
    return (text if isinstance(error, EXPECTED) else f"{type(error).__name__}: {text}")[:500]
