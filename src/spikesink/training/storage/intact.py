"""Whether a checkpoint is what was written: the SHA-256 of its files lies among them.

The list is written inside the checkpoint before it gets its name, so the two appear as one, and in the format of
``sha256sum --check``, so anyone can look. Its first line says where it belongs: a copy under another name is not it.

SHA-256 rather than a CRC, because processors compute it at one or two GB/s and the disk is the slower of the two. Files
are read side by side: 84 GB, the shards of 7B parameters, take a minute or less from a disk that fits them, once per
checkpoint and once per start, and single-device checkpoints of millions of parameters milliseconds.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spikesink.data.batches import file_sha256
from spikesink.training.storage.only_weights import check_only_weights

AFFECTS_RESULTS = False

SUMS = "SHA256SUMS"
STATE = "state"
"""The file, or the folder of shards, that Lightning wrote."""
READERS = 8


def seal(folder: Path, path: Path) -> None:
    """List the files of ``folder``, which is to become ``path``."""
    files = files_of(folder)
    with ThreadPoolExecutor(READERS) as readers:
        sums = readers.map(file_sha256, (folder / file for file in files))
    lines = [label(path), *(f"{digest}  {file}" for digest, file in zip(sums, files, strict=True))]
    (folder / SUMS).write_text("\n".join(lines) + "\n")


def damage(folder: Path) -> str | None:
    """Why ``folder`` is not the checkpoint that was sealed under this name, or not weights only; None if it is."""
    try:
        owner, *lines = (folder / SUMS).read_text().splitlines()
        sums = {file: digest for digest, file in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        return f"its {SUMS} cannot be read"
    if owner != label(folder):
        return f"it is a copy of {owner.removeprefix('# ')}"
    if difference := sums.keys() ^ set(files_of(folder)):
        return f"{min(difference)} is missing, or missing in {SUMS}"
    with ThreadPoolExecutor(READERS) as readers:
        found = dict(zip(sums, readers.map(file_sha256, (folder / file for file in sums)), strict=True))
    if changed := [file for file in sums if found[file] != sums[file]]:
        return f"{changed[0]} is not what was written"
    try:
        check_only_weights(folder / STATE)
    except Exception as error:  # a pickle can make its reader raise anything
        return f"it holds more than weights: {str(error).strip().splitlines()[0]}"
    return None


def label(path: Path) -> str:
    """The run's digest and the step, as a line that ``sha256sum --check`` skips."""
    return f"# {path.parent.name}/{path.name}"


def files_of(folder: Path) -> list[str]:
    """Files of a checkpoint but the list itself, by their paths in it."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != SUMS
    )
