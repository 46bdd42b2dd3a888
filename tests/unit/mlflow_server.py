"""The server of ``make ui``, started by the Makefile's own command line."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sockets import free_port

ROOT = Path(__file__).parents[2]
DEFAULT_STORE = "sqlite:///results/mlflow.db"
# What docs/cluster.md advises for many runs at once.
MANY_CONNECTIONS = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "40", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "40"}


def command_line(port: int) -> str:
    """The command line that ``make ui`` would run."""
    make = ["make", "--dry-run", "--no-print-directory", "--assume-old=.venv/installed", f"PORT={port}", "ui"]
    return subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout


class Server:
    """A server on a free port whose working folder is ``folder`` instead of the project."""

    def __init__(self, folder: Path, store: str = DEFAULT_STORE, environment: Mapping[str, str] = {}) -> None:
        self.folder, self.environment, self.port = folder, environment, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        line = command_line(self.port)
        assert DEFAULT_STORE in line
        self.command = line.replace(DEFAULT_STORE, store)

    def start(self) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", self.command],
                cwd=self.folder,
                env=os.environ | {"PATH": path, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until the server answers."""
        deadline = time.monotonic() + 120
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=1).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """Kill the server and all its processes at once, as a crash of the machine would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(folder: Path, store: str = DEFAULT_STORE, environment: Mapping[str, str] = {}) -> Iterator[Server]:
    """A server that answers."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    server = Server(folder, store, environment)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()
