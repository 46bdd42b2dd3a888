"""A PostgreSQL of a test's own: on loopback, in a folder that goes when the test ends."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sockets import free_port


def program(name: str) -> str:
    """Debian keeps the server's programs out of the path, by version."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parents[1].name))
    found = shutil.which(name) or next(map(str, reversed(installed)), None)
    if found is None:
        pytest.fail("this test runs PostgreSQL: install the Debian package postgresql", pytrace=False)
    return found


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database."""
    initdb, server = program("initdb"), program("postgres")
    # PostgreSQL refuses to run as root. pytest's folders can be entered by their owner only.
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="postgres", ignore_cleanup_errors=True) as name:
        folder, password, port = Path(name), secrets.token_hex(16), free_port()
        (folder / "password").write_text(password)
        if account:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        data = ["-D", f"{folder}/data"]
        login = ["--username=tracking", f"--pwfile={folder}/password", "--auth=scram-sha-256"]
        subprocess.run([initdb, *data, *login, "--no-sync"], check=True, capture_output=True, cwd=folder, **account)
        settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", f"log_directory={folder}"]
        options = [word for setting in settings for word in ("-c", setting)]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([server, *data, *options], stderr=log, cwd=folder, **account)
        try:
            deadline = time.monotonic() + 60
            while "ready to accept connections" not in (folder / "log").read_text():
                assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
            yield f"postgresql+psycopg2://tracking:{password}@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.wait(30)
