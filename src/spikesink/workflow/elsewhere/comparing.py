"""Whether a run that comes home is the run of the study: its files, settings, code, tokens and measures."""

import hashlib
from typing import Any

from spikesink.runs.json_file import json_object, sum_of
from spikesink.runs.json_kinds import ANY, MANIFEST, check_kinds
from spikesink.runs.why import changes, code_changes
from spikesink.study.errors import InputError
from spikesink.study.run import Run

KINDS = MANIFEST | {"sha256!": {ANY: str}}


def check(document: dict[str, Any], job: dict[str, Any] | None, run: Run | None, tokens: dict[str, str]) -> None:
    """Raises InputError where the document is not of the run and of what the study asks about it."""
    if job is None:
        raise InputError("the study has no such run")
    if document["name"] != job["name"]:
        raise InputError(f"it is {document['name']} by its content")
    record, manifest = (json_object(document[key], key, "run it again") for key in ("run", "manifest"))
    check_kinds(manifest, KINDS, "its manifest", "run it again")
    if manifest.get("sum") != sum_of(manifest):
        raise InputError("its manifest is not what was written")
    for name, text in (("run.json", document["run"]), ("metrics.csv", document["metrics"])):
        if manifest["sha256"].get(name) != hashlib.sha256(text.encode()).hexdigest():
            raise InputError(f"its {name} is not what was written")
    if fault := difference(document, record, manifest, job, run) or other_tokens(document, manifest, tokens):
        raise InputError(fault)


def other_tokens(document: dict[str, Any], manifest: dict[str, Any], tokens: dict[str, str]) -> str:
    same = document["tokens"] == tokens and manifest.get("tokens_sha256") == tokens["train"]
    return "" if same else "made with other tokens than those here"


def difference(document: dict[str, Any], record: dict, manifest: dict, job: dict[str, Any], run: Run) -> str:
    """How the settings and the code of a run are not those of the study; empty where they are."""
    recorded, wanted = dict(record), dict(job["run"])
    code = recorded.pop("code", None) != wanted.pop("code")
    if found := [f"{key} is {old}, here {new}" for key, old, new in changes(recorded, wanted)]:
        return f"made with other settings: {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
    if code or code_changes(manifest.get("modules", {}), run):
        return f"trained by other code{commit(document)}"
    for group, wanted in job["groups"].items():
        there = document["groups"].get(group)
        if there is None:
            return f"was not asked the questions of the group {group}"
        if there["settings"] != wanted["settings"]:
            return f"measured with other settings (group {group}): {there['settings']}, here {wanted['settings']}"
        if there["code"] != wanted["code"]:
            return f"measured by other code (group {group}){commit(document)}"
    return ""


def commit(document: dict[str, Any]) -> str:
    """Where the code is that made a document."""
    known = (document.get("git") or {}).get("commit")
    return f": check out {known} to take it" if known else ""
