"""The modules of this package, and one sum of them all."""

import hashlib
from pathlib import Path

from spikesink.runs.checkout import PACKAGE
from spikesink.runs.sums import file_sum


def modules() -> list[Path]:
    """The package's modules, sorted."""
    return sorted(PACKAGE.rglob("*.py"))


def modules_sum() -> str:
    """One SHA-256 of the names and contents of all modules."""
    total = hashlib.sha256()
    for path in modules():
        total.update(f"{path.relative_to(PACKAGE).as_posix()} {file_sum(path)}\n".encode())
    return total.hexdigest()
