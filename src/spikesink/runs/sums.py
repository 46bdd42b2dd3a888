"""The sum of every file that a later stage reads: who writes the file notes it, and who reads the file compares it.

Bits flip, copies end early and people edit results. Such a file must not become a number in a table. ``noted`` writes
a file and keeps its SHA-256 beside it, in the hidden folder .sums, as ``sha256sum --check`` reads it. A manifest.json
holds the sums of the files that belong to it under the key ``sha256``: a run's those of its weights, a published
study's those of all its files. ``intact`` compares. A file of which nobody has noted a sum is read as it is.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikesink.runs.atomic import whole
from spikesink.runs.disk_faults import disk_faults, unreadable
from spikesink.study.errors import InputError

AFFECTS_RESULTS = False

NOTES = ".sums"
MANIFEST = "manifest.json"
FROM_GIT = "bring it back from git"
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def file_sum(path: Path) -> str:
    """The SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hub_digest(path: Path) -> str | None:
    """What the hub's cache says that a file's digest is: the name there. None where that name is no digest.

    It is the SHA-256 of a large file, and of a small one the SHA-1 that git gives it.
    """
    name = path.resolve().name
    return name if name != path.name and DIGEST.fullmatch(name) else None


def digest_like(path: Path, known: str) -> str:
    """The digest of what a file holds, of the kind that ``known`` is: SHA-256, or git's SHA-1."""
    if len(known) != 40:
        return file_sum(path)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def note_of(path: Path) -> Path:
    """The file that holds the sum of ``path``."""
    return path.parent / NOTES / path.name


@contextmanager
def noted(path: str | Path) -> Iterator[Path]:
    """``runs.atomic.whole`` for a file that a later stage reads: its sum is noted too.

    The old note goes before the old file and the new one comes last, so that a kill in between leaves a file without a
    note, never one with another's. A disk that cannot be written raises OSError, whatever library wrote.
    """
    path = Path(path)
    note = note_of(path)
    with disk_faults(path):
        with whole(path) as part:
            yield part
            digest = file_sum(part)
            note.unlink(missing_ok=True)
        with whole(note, durable=False) as part:
            part.write_text(f"{digest}  {path.name}\n", encoding="utf-8")


def intact(path: str | Path, remedy: str) -> Path:
    """The path itself, of a file that is what was written.

    Raises InputError where the file is missing or cannot be read, which ``remedy`` mends, or where its sum differs.
    """
    path = Path(path)
    try:
        found = file_sum(path)
    except OSError as error:
        raise unreadable(path, error, remedy) from error
    known, mend = known_sum(path)
    if known is not None and found != known:
        raise InputError(f"{path}: is not what was written, its sum differs: {mend}")
    return path


def known_sum(path: Path) -> tuple[str | None, str]:
    """The sum of a file that somebody has noted, None where nobody has, and what to do when it differs.

    The sum in a published study's manifest counts before that in a run's, and both before a note.
    """
    known, mend = None, ""
    if (note := note_of(path)).is_file():
        known = note.read_bytes()[:64].decode(errors="replace")
        mend = FROM_GIT if is_published(path) else delete_and_run(path)
    for folder in list(path.parents)[:6]:
        manifest = folder / MANIFEST
        if manifest != path and (listed := listed_sums(manifest).get(path.relative_to(folder).as_posix())):
            known = str(listed)
            mend = delete_and_run(manifest)
            if is_published(manifest):
                mend = FROM_GIT
    return known, mend


def delete_and_run(path: Path) -> str:
    """What to do about a file that is not what was written: Snakemake makes again what is missing."""
    return f"delete {path} and run the same snakemake command again"


def listed_sums(manifest: Path) -> dict[str, object]:
    """The sums that a manifest holds, by path relative to its folder; none where it is missing or damaged.

    Whoever reads the manifest for itself reports the damage.
    """
    try:
        content = json.loads(manifest.read_bytes())
        return dict(content["sha256"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def is_published(manifest: Path) -> bool:
    """Whether a file is the manifest of a published study."""
    return manifest.name == MANIFEST and (manifest.parent / "study.yaml").exists()


def check_complete(folder: Path, below: str) -> None:
    """Raise InputError when a file that the manifest of ``folder`` lists under the folder ``below`` is missing."""
    manifest = folder / MANIFEST
    for name in sorted(listed_sums(manifest)):
        if name.startswith(f"{below}/") and not (folder / name).is_file():
            raise InputError(f"{folder / name}: is missing: {delete_and_run(manifest)}")
