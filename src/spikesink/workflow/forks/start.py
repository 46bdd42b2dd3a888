"""Start the process that jobs fork from."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from spikesink.workflow.forks.requests import ADDRESS

AFFECTS_RESULTS = False

SERVED = ("spikesink.figures", "spikesink.tables", "spikesink.claims")
"""The packages whose programs run in forks."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


def start() -> subprocess.Popen | None:
    """Start the process, and tell jobs its address in the environment.

    It ends when its standard input is closed: when this process ends, or drops what is returned. None where there is
    none: on other systems than Linux, whose libraries may not be forked, or where nothing can listen.
    """
    if sys.platform != "linux":
        return None
    try:
        address = Path(tempfile.mkdtemp(prefix="spikesink-")) / "socket"
    except OSError:
        return None
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(address))
            listener.listen(128)
        except OSError:  # a path that is too long for a socket
            shutil.rmtree(address.parent, ignore_errors=True)
            return None
        command = [sys.executable, "-m", "spikesink.workflow.forks.server", str(listener.fileno()), str(address.parent)]
        one_thread = dict.fromkeys(THREADS, "1")
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], env=os.environ | one_thread
        )
    os.environ[ADDRESS] = str(address)
    return process
