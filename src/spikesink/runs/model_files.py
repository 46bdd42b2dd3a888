"""The files of a published model: what they were when the model was described, compared whenever they are read.

They lie outside the study, in a folder of the user's or in the hub's cache, where others change them too.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from spikesink.runs.disk_faults import unreadable
from spikesink.runs.sums import digest_like, file_sum, hub_digest
from spikesink.study.errors import InputError

AFFECTS_RESULTS = False

ENDINGS = (".json", ".safetensors", ".gguf")
"""Of the files that are read."""


def identity_of_file(path: Path) -> dict[str, int | str]:
    """A file's size and digest: the hub's own where its cache names the file by it, else the content's SHA-256."""
    return {"bytes": path.stat().st_size, "digest": hub_digest(path) or file_sum(path)}


def check_unchanged(described: Mapping, description: Path, names: Iterable[str] | None = None) -> None:
    """Raise InputError where a file of a model is missing or is not what it was when the model was described.

    ``described`` is the content of the file ``description``. ``names`` are the files to look at, by default all that
    are read. A file that the description does not list is not looked at.
    """
    if "files" not in described:
        return
    remedy = f"download it again; if it is right, delete {description} and run the same snakemake command again"
    try:
        folder, listed = Path(described["folder"]), described["files"]
        known = {name: (listed[name]["bytes"], listed[name]["digest"]) for name in listed}
    except (KeyError, TypeError) as error:
        raise InputError(f"{description} does not describe a model ({error!r}): fetch the model again") from None
    for name in known if names is None else names:
        if name not in known or Path(name).suffix not in ENDINGS:
            continue
        path, (size, digest) = folder / name, known[name]
        try:
            is_same = path.stat().st_size == size and digest_like(path, digest) == digest
        except OSError as error:
            raise unreadable(path, error, remedy) from error
        if not is_same:
            raise InputError(f"{path}: is not what it was when {description} was written, its sum differs: {remedy}")
