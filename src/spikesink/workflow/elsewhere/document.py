"""All that comes home of a finished run, in one file: settings, metrics, manifest and measures, without weights."""

import json
import lzma
from pathlib import Path
from typing import Any

from spikesink.measures.groups import GROUPS
from spikesink.runs.atomic import whole
from spikesink.runs.folder import RunFolder
from spikesink.runs.json_file import json_object, sum_of, with_sum
from spikesink.runs.json_kinds import ANY, check_kinds
from spikesink.runs.sums import intact
from spikesink.study.errors import InputError

FINISHED = "finished"
"""The folder of the documents, and where they lie in results.tar."""
SUFFIX = ".json.xz"
KEYS = {"name", "groups", "tokens", "git", "run", "metrics", "manifest", "tables", "sum"}
KINDS = {
    "name": str,
    "groups": {ANY: {"code!": str, "settings!": str}},
    "tokens": {"train!": str, "measure!": str},
    "git?": dict,
    "tables": dict,
}


def document_path(name: str) -> Path:
    """Where the document of the run ``name``, <variant>/seed<k>, is written when it has been measured."""
    return Path(FINISHED) / f"{name}{SUFFIX}"


def log_path(name: str) -> Path:
    """What the run ``name`` has said while it was trained and measured."""
    return Path("logs") / f"{name}.log"


def write_document(job: dict[str, Any], packed: dict[str, Any]) -> None:
    """Write the document of a run that has been trained and measured. Raises InputError."""
    folder = RunFolder(job["folder"])
    texts = {
        name: intact(path, "start again").read_text(encoding="utf-8")
        for name, path in (("run", folder.run), ("metrics", folder.metrics), ("manifest", folder.manifest))
    }
    tables = {
        question: json.loads(intact(folder.measures / f"{question}.json", "start again").read_bytes())
        for group in job["groups"]
        for question in GROUPS[group].questions
    }
    document = {
        "name": job["name"],
        "groups": job["groups"],
        "tokens": packed["tokens"],
        "git": packed["git"],
        **texts,
        "tables": tables,
    }
    with whole(document_path(job["name"])) as part:
        part.write_bytes(lzma.compress(json.dumps(with_sum(document)).encode()))


def is_finished(job: dict[str, Any], packed: dict[str, Any]) -> bool:
    """Whether the run has a document that answers what this archive asks: the same run, questions and tokens."""
    try:
        document = read_document(document_path(job["name"]).read_bytes())
        run = json_object(document["run"], "its run", "")
    except (OSError, InputError):
        return False
    return [run, document["groups"], document["tokens"]] == [job["run"], job["groups"], packed["tokens"]]


def read_document(content: bytes) -> dict[str, Any]:
    """The document in the content of a file. Raises InputError where it is not what was written."""
    remedy = "copy the results again"
    try:
        document = json_object(lzma.decompress(content), "its document", remedy)
    except lzma.LZMAError as error:
        raise InputError(f"is damaged ({error}): {remedy}") from error
    if not document.keys() >= KEYS:
        raise InputError("is no run that run.py has finished: name the results.tar that it wrote")
    check_kinds(document, KINDS, "its document", remedy)
    if document["sum"] != sum_of(document):
        raise InputError(f"is not what was written, its sum differs: {remedy}")
    return document
