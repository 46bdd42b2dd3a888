"""Faults for training runs: a process that dies at a chosen moment, a disk of its own, and what must be left of a run.

Every function that a test hands to ``ranks.train`` as its prelude takes the rank last; it runs inside the process.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

from ranks import changed

from spikesink.training.module import LanguageModel
from spikesink.training.storage import lock

RUN = changed(snapshots=3)


def at_event(event: str, pattern: str, count: int, action: Callable[[], None]) -> None:
    """Call ``action`` just before the ``count``-th ``event`` of the interpreter on a path that matches ``pattern``.

    Events are Python's audit events; of a renaming the new name counts.
    """
    seen = 0

    def hook(name: str, arguments: tuple) -> None:
        nonlocal seen
        if name == event and fnmatch(str(arguments[event == "os.rename"]), pattern):
            seen += 1
            if seen == count:
                action()

    sys.addaudithook(hook)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def signal_at(event: str, pattern: str, count: int, number: int, rank: int) -> None:
    if rank == 0:
        at_event(event, pattern, count, lambda: send(number))


class HalfWritten:
    """A file whose ``count``-th write stops halfway and ends the process."""

    def __init__(self, file, count: int) -> None:
        self.file, self.left = file, count

    def __enter__(self) -> "HalfWritten":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: str | bytes) -> int:
        self.left -= 1
        if self.left:
            return self.file.write(data)
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        send(signal.SIGKILL)


def die_while_writing(module: str, pattern: str, files: int, writes: int, rank: int) -> None:
    """Die in the ``writes``-th write to the ``files``-th file like ``pattern`` that ``module`` opens for writing."""
    opened = 0

    def opening(path: Path, mode: str = "r", **options: object):
        nonlocal opened
        opened += mode != "r" and fnmatch(str(path), pattern)
        file = open(path, mode, **options)  # noqa: SIM115
        return HalfWritten(file, writes) if opened == files and fnmatch(str(path), pattern) else file

    import_module(module).open = opening


def die_in_library(module: str, files: int, rank: int) -> None:
    """Die in the ``files``-th file that ``module`` writes with safetensors, which opens files by itself."""
    module, left = import_module(module), files
    save_file = module.save_file

    def saving(weights: dict, path: Path) -> None:
        nonlocal left
        left -= 1
        if left:
            return save_file(weights, path)
        path.with_name(".tmpJw3UYA").write_bytes(b"half of them")
        send(signal.SIGKILL)

    module.save_file = saving


def stall_at_step(step: int, rank: int) -> None:
    """Hang after ``step``, until the process is killed."""
    training_step = LanguageModel.training_step

    def stalled(self: LanguageModel, rows, index: int) -> None:
        if self.global_step == step:
            time.sleep(1000)
        training_step(self, rows, index)

    LanguageModel.training_step = stalled


def other_place(option: str, path: Path, rank: int) -> None:
    """The arguments with another --output or --checkpoints."""
    sys.argv += [option, str(path)]


def without_patience(options: list[str], rank: int) -> None:
    """Do not wait for a lock: what would be refused after seconds is refused at once."""
    lock.PATIENCE_SECONDS = 0.0
    sys.argv += options


def assert_same_result(run: Path, other: Path) -> None:
    """Check that two runs left the same files with the same bits, except the manifest, and nothing else."""
    assert files(run).keys() == files(other).keys()
    for name, content in files(other).items():
        assert name == "manifest.json" or files(run)[name] == content, f"{name} differs"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Disk:
    """A real file system in memory. Only the process that mounts it sees it; it ends with that process."""

    def __init__(self, mount_point: Path, size: str) -> None:
        mount_point.mkdir()
        self.mount_point = mount_point
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.shell = subprocess.Popen(["unshare", "--mount", *user, "sh"], **pipes)
        self.run(f"mount -t tmpfs -o size={size} tmpfs '{mount_point}'")
        self.path = Path(f"/proc/{self.shell.pid}/root{mount_point}")

    def run(self, command: str) -> None:
        self.shell.stdin.write(f"{command} && echo done\n")
        self.shell.stdin.flush()
        assert self.shell.stdout.readline() == "done\n", f"this machine does not let a test {command}"

    def make_read_only(self) -> None:
        self.run(f"mount -o remount,ro '{self.mount_point}'")

    def fill(self, leave: int) -> Path:
        """Write a file until only ``leave`` bytes of the disk are free."""
        filler = self.path / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(self.path).free - leave))
        return filler

    def close(self) -> None:
        self.shell.kill()
        self.shell.communicate()
