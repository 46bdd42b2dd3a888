"""Bring the results of a packed study home: compare them, put them into the runs' folders, and tell Snakemake."""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spikesink.measures.groups import GROUPS
from spikesink.measures.table import write_table
from spikesink.runs.atomic import delete, whole
from spikesink.runs.folder import LEFT_OUT, RunFolder
from spikesink.runs.inside import inside
from spikesink.runs.json_file import json_object, sum_of, with_sum
from spikesink.runs.sums import file_sum
from spikesink.runs.why import changes, code_changes
from spikesink.study.errors import InputError
from spikesink.study.names import BASELINE
from spikesink.study.run import Run, Study
from spikesink.workflow.elsewhere.document import FINISHED, SUFFIX, read_document
from spikesink.workflow.elsewhere.jobs import is_here, jobs, token_sums

UNPACKED = "unpacked"
"""Key of a manifest: when the run came home."""
WEIGHTS = (RunFolder("").weights.name, RunFolder("").snapshots.name)
AT_ONCE = 3000
"""Targets on one command line of Snakemake."""


@dataclass
class Arrivals:
    """What an archive held for the study: names of runs."""

    placed: list[str] = field(default_factory=list)
    here: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """And why each was refused."""
    without_weights: int = 0


def unpack(study: Study, archives: Iterable[Path]) -> Arrivals:
    """Put the runs of the archives into their folders, all but those of other settings, code or text.

    Raises InputError for a file that is no such archive, or is damaged.
    """
    tokens, arrivals = token_sums(study), Arrivals()
    expected = {job["name"]: job for job in jobs(study)}
    runs = {f"{run.variant}/seed{run.seed}": run for run in study.runs}
    for path in archives:
        with opened(path) as archive:
            for member in archive.getmembers():
                if not (member.isfile() and member.name.startswith(f"{FINISHED}/") and member.name.endswith(SUFFIX)):
                    continue
                document = read_document(archive.extractfile(member).read(), f"{path}: {member.name}")
                name = document["name"]
                if name not in expected:
                    arrivals.refused[name] = f"the study {study.config.study} has no such run"
                elif fault := difference(document, expected[name], runs[name], tokens):
                    arrivals.refused[name] = fault
                elif is_here(expected[name], tokens) and UNPACKED not in RunFolder(runs[name].folder).facts():
                    arrivals.here.append(name)
                else:
                    arrivals.without_weights += not place(document, RunFolder(runs[name].folder), archive)
                    arrivals.placed.append(name)
    return arrivals


def opened(path: Path) -> tarfile.TarFile:
    """The archive. Raises InputError."""
    try:
        return tarfile.open(path)
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{path}: no archive of results ({error}): name the results.tar that run.py wrote") from error


def difference(document: dict[str, Any], job: dict[str, Any], run: Run, tokens: dict[str, str]) -> str:
    """How a run that has arrived is not the run of the study; empty where it is. Raises InputError."""
    record, manifest = (json_object(document[key], document["name"], "run it again") for key in ("run", "manifest"))
    if manifest.get("sum") != sum_of(manifest):
        return "its manifest is not what was written"
    for name, text in (("run.json", document["run"]), ("metrics.csv", document["metrics"])):
        if manifest["sha256"].get(name) != hashlib.sha256(text.encode()).hexdigest():
            return f"its {name} is not what was written"
    recorded, wanted = dict(record), dict(job["run"])
    code = recorded.pop("code", None) != wanted.pop("code")
    if found := [f"{key} is {old}, here {new}" for key, old, new in changes(recorded, wanted)]:
        return f"made with other settings: {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
    if code or code_changes(manifest.get("modules", {}), run):
        return f"trained by other code{commit(document)}"
    if document["tokens"] != tokens or manifest.get("tokens_sha256") != tokens["train"]:
        return "made with other tokens than those here"
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


def place(document: dict[str, Any], folder: RunFolder, archive: tarfile.TarFile) -> bool:
    """Write the files of a run, the manifest last; returns whether its weights came along. Raises InputError."""
    manifest = json.loads(document["manifest"])
    folder.manifest.unlink(missing_ok=True)
    delete(folder.measures)
    for path, text in ((folder.run, document["run"]), (folder.metrics, document["metrics"])):
        with whole(path) as part:
            part.write_text(text, encoding="utf-8")
    for group in document["groups"]:
        for question in GROUPS[group].questions:
            write_table(folder.measure(question), document["tables"][question])
    weights = [name for name in manifest["sha256"] if name.split("/")[0] in WEIGHTS]
    left_out = [
        name for name in weights if not bring(archive, document["name"], folder, name, manifest["sha256"][name])
    ]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts = manifest | {"git": document["git"], UNPACKED: now, LEFT_OUT: left_out}
    with whole(folder.manifest) as part:
        part.write_text(json.dumps(with_sum(facts), indent=2) + "\n", encoding="utf-8")
    return not left_out


def bring(archive: tarfile.TarFile, run: str, folder: RunFolder, name: str, known: str) -> bool:
    """Write a file of weights of a run, where it is not here and the archive has it; whether it is here afterwards.

    ``known`` is its sum. Raises InputError where the archive has another file.
    """
    path = inside(Path(folder.path), name, folder.manifest)
    if path.is_file() and file_sum(path) == known:
        return True
    delete(path)
    try:
        source = archive.extractfile(f"{FINISHED}/{run}/{name}")
    except KeyError:
        return False
    with whole(path) as part, open(part, "wb") as file:
        shutil.copyfileobj(source, file)
    if file_sum(path) != known:
        raise InputError(f"{path}: is not what was written, its sum differs: copy the results again")
    return True


def arrived(study: Study, found: Arrivals) -> str:
    """Lines that say what has come home, what was refused and which runs are left."""
    tokens = token_sums(study)
    left = [job["name"] for job in jobs(study) if not is_here(job, tokens)]
    lines = [f"{len(found.placed)} runs came home, {len(found.here)} were here already"]
    if found.without_weights:
        lines.append(f"the weights of {found.without_weights} stayed on the other machine, as their manifests say")
    lines += [f"refused {name}: {why}" for name, why in found.refused.items()]
    if left:
        more = " and others" if left[8:] else ""
        unfinished = {name.rsplit("seed", 1)[1] for name in left}
        complete = [str(seed) for seed in study.config.seeds if str(seed) not in unfinished]
        lines.append(f"{len(left)} runs are left, which snakemake trains here: {', '.join(left[:8])}{more}")
        lines.append(f"seeds of which all runs are here: {', '.join(complete) or 'none'}")
    return "\n".join(lines)


def tell_snakemake(study: Study, names: Iterable[str], overlays: Sequence[str]) -> None:
    """Let Snakemake note that these runs and their measures are what its rules would have made. Raises InputError.

    Its option --touch does: it runs nothing, and records what each file was made from. Files that the rules for other
    things make, such as tokens, are left as they are.
    """
    wanted = set(names)
    targets = []
    for job in jobs(study):
        if job["name"] in wanted:
            folder = RunFolder(job["folder"])
            targets += [folder.manifest, *(folder.measure(GROUPS[group].questions[0]) for group in job["groups"])]
    rules = [f"train_{name}" for name in (BASELINE, *study.ablations)] + [f"measure_{group}" for group in GROUPS]
    for first in range(0, len(targets), AT_ONCE):
        snakemake(
            ["--touch", "--force", *map(str, targets[first : first + AT_ONCE]), "--allowed-rules", *rules], overlays
        )


def snakemake(words: Sequence[str], overlays: Sequence[str], quiet: bool = True) -> None:
    """Run Snakemake here. Raises InputError where it fails."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *words]
    command += ["--configfile", *overlays] if overlays else []
    done = subprocess.run(command, capture_output=quiet, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or "").splitlines() if line.strip()] or ["see above"]
        raise InputError(f"snakemake {words[0]} failed: {' / '.join(lines[-3:])}")
