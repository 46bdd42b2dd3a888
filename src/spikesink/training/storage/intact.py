"""Check that a checkpoint is what was written: it holds a list of the SHA-256 of its files.

The list is written before the checkpoint gets its final name, so a checkpoint never appears without it. It has the
format of ``sha256sum --check``, so anyone can verify it. Its first line names the run and the step: a copy of a
checkpoint under another name is refused. The snapshots that the run had written by then are listed too: who resumes
from the checkpoint does not write them again.

SHA-256 rather than a CRC: processors compute it at one or two GB/s, and the disk is slower than that. Files are read in
parallel. The shards of 7B parameters, 84 GB, take a minute or less from a disk suited to them, once per checkpoint and
once per start. Single-device checkpoints of millions of parameters take milliseconds.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spikesink.runs.folder import RunFolder, snapshots
from spikesink.runs.sums import file_sum, known_sum
from spikesink.training.storage.only_weights import check_only_weights

AFFECTS_RESULTS = False

SUMS = "SHA256SUMS"
STATE = "state"
"""The file, or the folder of shards, that Lightning wrote."""
READERS = 8


def seal(folder: Path, path: Path) -> None:
    """Write the list of checksums into ``folder``, the unfinished checkpoint that will be renamed to ``path``."""
    files = files_of(folder)
    with ThreadPoolExecutor(READERS) as readers:
        sums = readers.map(file_sum, (folder / file for file in files))
    lines = [label(path), *(f"{digest}  {file}" for digest, file in zip(sums, files, strict=True))]
    kept = RunFolder(path.parent).snapshots
    lines += [f"{known_sum(file)[0] or file_sum(file)}  {beside(file)}" for file in snapshots(kept).values()]
    (folder / SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def damage(folder: Path) -> str | None:
    """Why ``folder`` is not a checkpoint sealed under this name that holds only weights; None if it is."""
    try:
        owner, *lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {file: digest for digest, file in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        return f"its {SUMS} cannot be read"
    if owner != label(folder):
        return f"it is a copy of {owner.removeprefix('# ')}"
    before = {beside(file) for file in snapshots(RunFolder(folder.parent).snapshots).values()} & sums.keys()
    if difference := sums.keys() ^ {*files_of(folder), *before}:
        return f"{min(difference)} is missing, or missing in {SUMS}"
    with ThreadPoolExecutor(READERS) as readers:
        found = dict(zip(sums, readers.map(file_sum, (folder / file for file in sums)), strict=True))
    if changed := [file for file in sums if found[file] != sums[file]]:
        return f"{changed[0]} is not what was written"
    try:
        check_only_weights(folder / STATE)
    except Exception as error:  # a pickle can make its reader raise anything
        return f"it holds more than weights: {str(error).strip().splitlines()[0]}"
    return None


def beside(snapshot: Path) -> str:
    """How the list of a checkpoint names a snapshot: relative to the checkpoint."""
    return f"../{snapshot.parent.name}/{snapshot.name}"


def label(path: Path) -> str:
    """First line of the list: the run's digest and the step. ``sha256sum --check`` skips the line."""
    return f"# {path.parent.name}/{path.name}"


def files_of(folder: Path) -> list[str]:
    """Paths of a checkpoint's files, relative to it and sorted, without the list of checksums."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != SUMS
    )
