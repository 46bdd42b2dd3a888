"""Runs jobs that train or measure in processes forked from this one, which has imported PyTorch: most of their cost.

It prints the path of a program ``python``, which has this process run some modules, and is Python otherwise. Jobs find
it where a Snakemake believes that it was started with it. The processes are made as spikesink.workflow.forks makes
those that draw, but keep nothing of spikesink: they import it from their own project, as ``python -m`` does.
"""

import gc
import os
import signal
import socket
import sys
import tempfile
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
if words[:1] == ["-m"] and words[1] in {served!r}:
    status = run_in_fork({address!r}, words[1:])
if status is None:
    os.execv({python!r}, [{python!r}, *words])
sys.exit(status)
"""
run_module = server.run


def prepare() -> None:
    """Before the first job."""
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


def write_python(folder: Path, address: str) -> Path:
    """The program ``python``."""
    program, place = folder / "python", str(Path(requests.__file__).parent)
    program.write_text(PYTHON.format(python=sys.executable, requests=place, served=SERVED, address=address))
    program.chmod(0o755)
    return program


if __name__ == "__main__":
    server.prepare, server.run = prepare, run
    del sys.path[0]  # the tests' folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, server.wait_for_ended)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address := f"{folder}/socket")
        listener.listen()
        print(write_python(Path(folder), address), flush=True)
        server.serve(listener)  # until the standard input is closed
