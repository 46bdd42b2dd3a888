"""Runs jobs in processes forked from two that have imported what takes long: PyTorch, and what draws with.

It prints the path of a program ``python``, which has these processes run some modules, and is Python otherwise. Jobs
find it where a Snakemake believes that it was started with it. The forks are made as spikesink.workflow.forks makes
them, but keep nothing of spikesink: they import it from their own project, as ``python -m`` does. What draws is forked
from a process of its own, where PyTorch is not imported: there it is missing where it is not installed.
"""

import gc
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from spikesink.workflow.forks import requests, server

SERVED = ("spikesink.training", "spikesink.measures", "spikesink.pretrained", "pytest", "use_of_kinds")
# What training imports, and what some measures do. Not polars, which starts threads: a fork has none of them.
IMPORTED = ("spikesink.training.__main__", "scipy.stats")

PYTHON = """#!{python} -IS
import os, sys

sys.path.insert(0, {requests!r})
from requests import run_in_fork

words, status = sys.argv[1:], None
if words[:2] == ["-m", "spikesink.workflow.forks"]:
    status = run_in_fork({folder!r} + "/drawing", words[2:])
elif words[:1] == ["-m"] and words[1] in {served!r}:
    status = run_in_fork({folder!r} + "/training", words[1:])
if status is None:
    os.execv({python!r}, [{python!r}, *words])
sys.exit(status)
"""
run_module = server.run


def import_training() -> None:
    """Before the first job that trains or measures."""
    for name in IMPORTED:
        import_module(name)
    gc.collect()
    gc.freeze()


def run(module: str, *arguments: str) -> int:
    """In a fork: the job, with the modules of its own project."""
    for name in [name for name in sys.modules if name.split(".")[0] == "spikesink"]:
        del sys.modules[name]
    sys.path[:0] = [os.getcwd(), *os.environ["PYTHONPATH"].split(os.pathsep)]
    return run_module(module, *arguments)


def write_python(folder: Path) -> Path:
    """The program ``python``."""
    program, place = folder / "python", str(Path(requests.__file__).parent)
    program.write_text(PYTHON.format(python=sys.executable, requests=place, served=SERVED, folder=str(folder)))
    program.chmod(0o755)
    return program


def listen(address: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen(128)
    return listener


def serve(listener: socket.socket, prepare: Callable[[], None]) -> None:
    """Fork for every request, after preparing for the first one, until the standard input is closed."""
    server.prepare, server.run = prepare, run
    server.serve(listener)


if __name__ == "__main__":
    del sys.path[0]  # the tests' folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, server.wait_for_ended)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawing, training = (listen(folder / kind) for kind in ("drawing", "training"))
        print(write_python(folder), flush=True)
        if os.fork() == 0:
            serve(drawing, server.prepare)
            os._exit(0)
        serve(training, import_training)
