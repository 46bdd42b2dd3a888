"""The modules of this package, and one sum of them all."""

import hashlib
from pathlib import Path

from spikesink.runs.sums import file_sum


def sources(package: Path) -> list[Path]:
    """The package's modules, sorted."""
    return sorted(package.rglob("*.py"))


def sources_sum(package: Path) -> str:
    """One SHA-256 of the names and contents of all modules."""
    total = hashlib.sha256()
    for path in sources(package):
        total.update(f"{path.relative_to(package).as_posix()} {file_sum(path)}\n".encode())
    return total.hexdigest()
