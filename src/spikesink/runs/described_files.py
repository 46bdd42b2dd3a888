"""Files from outside a study: what they were when the study described them, compared whenever they are read.

The text, a tokenizer and published models lie in a folder of the user's or in the hub's cache, where others change them
too.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from spikesink.runs.disk_faults import unreadable
from spikesink.runs.sums import digest_like, file_sum, hub_digest
from spikesink.study.errors import InputError

AFFECTS_RESULTS = False

ENDINGS = (".json", ".safetensors", ".gguf")
"""Of a published model's files that are read."""


def identity_of_file(path: Path) -> dict[str, int | str]:
    """A file's size and digest: the hub's own where its cache names the file by it, else the content's SHA-256."""
    return {"bytes": path.stat().st_size, "digest": hub_digest(path) or file_sum(path)}


def check_unchanged(digests: Mapping[Path, str], description: Path) -> None:
    """Raise InputError where a file is missing, or is not what it was when the file ``description`` was written.

    ``digests`` are those of the description: SHA-256, or the SHA-1 that git gives a small file of the hub.
    """
    remedy = f"bring it back; if it is right as it is, delete {description} and run the same snakemake command again"
    for path, digest in digests.items():
        try:
            is_same = digest_like(path, digest) == digest
        except OSError as error:
            raise unreadable(path, error, remedy) from error
        if not is_same:
            raise InputError(f"{path}: is not what it was when {description} was written, its sum differs: {remedy}")


def files_of_model(described: Mapping, names: Iterable[str] | None = None) -> dict[Path, str]:
    """The digests of a published model's files, from the content of its pretrained.json.

    Of all files that are read, or of those among ``names``. A file that the description does not list has none.
    """
    listed = described.get("files") or {}
    read = [name for name in (listed if names is None else names) if Path(name).suffix in ENDINGS]
    return {Path(described["folder"]) / name: listed[name]["digest"] for name in read if name in listed}
