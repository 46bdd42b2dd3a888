"""Git LFS pointers: small texts that stand in a checkout for large files that were not fetched."""

from pathlib import Path

AFFECTS_RESULTS = False

BEGINNING = b"version https://git-lfs.github.com/spec/"
PULL = "is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder"


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a pointer. Raises OSError where it cannot be opened."""
    with open(path, "rb") as file:
        return file.read(len(BEGINNING)) == BEGINNING
