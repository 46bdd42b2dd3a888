"""What a job and the process that forks for it tell each other, over a socket. Uses the standard library only."""

import json
import os
import socket
import sys

AFFECTS_RESULTS = False

ADDRESS = "SPIKESINK_FORK_SERVER"
"""Variable of the environment: the socket at which the process that forks listens."""
KILLED = 137
"""The exit status where the fork has ended without one."""


def run_in_fork(address: str, command: list[str]) -> int | None:
    """The exit status of the module and arguments in ``command``; None where no process has begun to run them."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
            send(connection, {"command": command, "folder": os.getcwd(), "environment": dict(os.environ)})
            begun = connection.recv(1)
        except OSError:
            return None
        if not begun:
            return None
        try:
            status = connection.recv(1)
        except OSError:
            status = b""
    if not status:
        print(f"error: {command[0]}: its process was killed", file=sys.stderr)
    return status[0] if status else KILLED


def send(connection: socket.socket, request: dict) -> None:
    """Send a request with the standard files of this process: its length in 8 bytes, then JSON."""
    text = json.dumps(request).encode()
    socket.send_fds(connection, [len(text).to_bytes(8)], [0, 1, 2])
    connection.sendall(text)


def receive(connection: socket.socket) -> tuple[dict, list[int]]:
    """A request, and the sender's standard files. Raises ValueError where the sender has left in between."""
    length, files, _, _ = socket.recv_fds(connection, 8, 3)
    text = bytearray()
    while len(text) < int.from_bytes(length) and (more := connection.recv(1 << 16)):
        text += more
    return json.loads(text), files
