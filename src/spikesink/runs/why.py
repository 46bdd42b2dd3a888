"""Why a run would be trained again, or a published model measured again: how its record differs from what is now."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikesink.runs import sources
from spikesink.runs.code_digest import module_digests
from spikesink.runs.folder import TRAIN_AGAIN, RunFolder
from spikesink.runs.identity import TRAINING, identity, unused_parts
from spikesink.runs.json_file import read_json
from spikesink.runs.json_kinds import MANIFEST, PRETRAINED, RUN, TOKENS
from spikesink.runs.sums import digest_like
from spikesink.study.errors import InputError
from spikesink.study.run import Run
from spikesink.study.settings import Config, Pretrained

ABSENT = "absent"


def differences(run: Run, config: Config | None = None) -> list[str]:
    """One line per setting, module or input that differs, the old value first; no line for a run that is up to date.

    ``config`` names the files that the text is from, which are compared where it is given.

    Raises InputError when the run has no record to compare with.
    """
    folder = RunFolder(run.folder)
    for path in (folder.run, folder.manifest):
        if not path.exists():
            raise InputError(f"{path} does not exist: this run has not been trained yet")
    record, manifest = read_json(folder.run, TRAIN_AGAIN, RUN), read_json(folder.manifest, TRAIN_AGAIN, MANIFEST)
    code = record.pop("code", None)
    settings = json.loads(json.dumps(run.resolved()))
    lines = [f"{key}: {show(old)} -> {show(new)}" for key, old, new in changes(record, settings)]
    modules = code_changes(manifest.get("modules") or {}, run)
    if not modules and code not in (None, identity(run)["code"]):
        modules = ["code: the modules are the same, but one takes a name from another module than before"]
    return lines + modules + (source_changes(manifest, config) if config else []) + data_changes(manifest, run)


def changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The dotted key, the old and the new value of every setting that differs between two nested mappings."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from changes(old.get(key, ABSENT), new.get(key, ABSENT), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


def code_changes(trained: dict[str, str], run: Run) -> list[str]:
    """One line per module whose content differs; a module that has only moved to another folder has not changed.

    ``trained`` is the manifest's list of modules. It covers all parts of the model, also those that the run lacks.
    """
    every = module_digests(TRAINING)
    before, now = set(trained.values()), set(every.values())
    changed = [
        f"{module}: {trained.get(module, ABSENT)} -> {digest}"
        for module, digest in module_digests(TRAINING, without_parts=unused_parts(run)).items()
        if trained.get(module) != digest and digest not in before
    ]
    gone = [
        f"{module}: {digest} -> {ABSENT}"
        for module, digest in trained.items()
        if module not in every and digest not in now
    ]
    return [f"code of {line}" for line in changed + gone]


def source_changes(manifest: dict, config: Config) -> list[str]:
    """One line per file of the corpus or the tokenizer that has changed since the run was trained."""
    now = sources.sums(sources.of_text(config), Path("results") / config.study)
    before = {source["file"]: source["sha256"] for source in manifest.get("sources") or []}
    return [f"source {name}: {old[:16]} -> {new[:16]}" for name, old, new in changes(before, now)]


def model_differences(name: str, config: Config) -> list[str]:
    """One line per setting or file of a published model that has changed since it was described, the old value first.

    Files of a hub model are not compared: at a pinned commit they cannot change. Nor are the parts of a GGUF file that
    comes in several. Raises InputError when nothing describes the model yet.
    """
    path = Path("results") / config.study / "pretrained" / name / "pretrained.json"
    if not path.exists():
        raise InputError(f"{path} does not exist: this model has not been measured yet")
    described, model = read_json(path, "fetch the model again", PRETRAINED), config.pretrained[name]
    now = json.loads(json.dumps(asdict(model)))
    now["context"] = min(model.context, described.get("positions") or model.context)
    if model.sha256 is None:
        del now["sha256"]  # the description holds that of the file that was found
    before = {key: described[key] for key in now if key in described}
    lines = [f"{key}: {show(old)} -> {show(new)}" for key, old, new in changes(before, now) if key in before]
    return lines + model_file_changes(described, model, Path("results") / config.study)


def model_file_changes(described: dict, model: Pretrained, results: Path) -> list[str]:
    """One line per file of a published model on this machine that has changed since it was described."""
    if not Path(model.source).exists():  # on no disk here, of the hub, of a package, or in several parts
        return []
    now = {Path(file).name: digest for file, digest in sources.sums(sources.of_model(model, results), results).items()}
    before = {file: known["digest"] for file, known in (described.get("files") or {}).items()}
    if model.is_gguf:  # the files are those of its conversion; one in parts has one sum for all of them
        before = dict.fromkeys(now, described.get("sha256") or ABSENT)
    for name in now.keys() & before.keys():
        if len(before[name]) == 40:  # a small file of the hub's cache is described by git's SHA-1
            now[name] = digest_like(Path(model.source, name), before[name])
    return [f"file {file}: {old[:16]} -> {new[:16]}" for file, old, new in changes(before, now)]


def data_changes(manifest: dict, run: Run) -> list[str]:
    """One line if the packed training tokens are not those of the manifest, or not there."""
    index = Path("results") / run.study / "data" / "tokens" / "tokens.json"
    if not index.exists():
        return [f"training tokens: {index} does not exist, they would be packed first"]
    packed = read_json(index, "pack the tokens again", TOKENS)
    old = manifest.get("tokens_sha256") or ABSENT
    new = ((packed.get("splits") or {}).get("train") or {}).get("sha256") or ABSENT
    return [f"training tokens ({index}): {old[:16]} -> {new[:16]}"] if old != new else []


def show(value: Any) -> str:
    return value if value is ABSENT else json.dumps(value)
