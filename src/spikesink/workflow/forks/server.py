"""A process that has imported what tables and figures need, and that forks for every job.

It imports nothing before the first job, and ends with Snakemake, however that ends: then its standard input closes.
Every job has a process of its own, so no job can change what another one makes. A fork has none of the threads of its
process, and would wait for ever for one of them: so nothing is imported or computed here that starts any.
"""

import gc
import os
import runpy
import shutil
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from select import select

from spikesink.workflow.forks.requests import receive

AFFECTS_RESULTS = False


def main() -> None:
    listener, folder = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the jobs get it too, and end
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGCHLD, wait_for_ended)
    try:
        serve(listener)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_ended(*_: object) -> None:
    """Let forks that have ended go."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve(listener: socket.socket) -> None:
    """Fork for every request, after preparing for the first one, until the standard input is closed."""
    prepared = False
    while listener in select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if not prepared:
            prepare()
            prepared = True
        if os.fork() == 0:
            listener.close()
            answer(connection)
        connection.close()


LIBRARIES = ("matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf", "scipy.stats", "yaml")
"""What takes programs longest to import. Not polars and not seaborn, which imports pyarrow: both start threads."""


def prepare() -> None:
    """Import what the programs need, and draw once: that reads the fonts, and whatever else is read when it is needed.

    What is faulty is left out: the job that needs it says so.
    """
    for module in LIBRARIES:
        with suppress(Exception):
            import_module(module)
    with suppress(Exception):
        draw_once()
    gc.collect()
    gc.freeze()  # a collection in a fork would touch, and so copy, all memory


def draw_once() -> None:
    """Draw a small figure with the project's style as the files of figures are drawn, and throw it away."""
    from io import BytesIO

    from spikesink.figures.drawing.canvas import new_figure
    from spikesink.figures.drawing.fit import fit_labels

    figure = new_figure(2, 2)
    axis = figure.subplots()
    axis.set_xlabel("Length $10^{-1}$")
    axis.plot([1, 10], [1, 10])
    axis.set_yscale("log")
    fit_labels(figure)
    for kind in ("pdf", "png"):
        figure.savefig(BytesIO(), format=kind)


def answer(connection: socket.socket) -> None:
    """In a fork: run what the sender asks for as if it ran there, send the exit status, and end."""
    status = 1
    try:
        request, files = receive(connection)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        for name, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            signal.signal(name, action)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        connection.sendall(b"1")
        threading.Thread(target=end_with, args=[connection], daemon=True).start()
        status = run(*request["command"])
        connection.sendall(bytes([status]))
    finally:
        os._exit(status)


def end_with(connection: socket.socket) -> None:
    """End this process when the sender has ended."""
    connection.recv(1)
    os._exit(1)


def run(module: str, *arguments: str) -> int:
    """Run a module as the program that this process is; returns its exit status."""
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    return status & 0xFF


if __name__ == "__main__":
    main()
