"""Bring the results of a packed study home: compare them, put them into the runs' folders, and tell Snakemake."""

import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spikesink.measures.groups import GROUPS
from spikesink.measures.table import write_table
from spikesink.quantities import CAPABILITIES
from spikesink.runs.atomic import delete, whole
from spikesink.runs.command import said
from spikesink.runs.folder import LEFT_OUT, RunFolder
from spikesink.runs.inside import inside
from spikesink.runs.json_file import with_sum
from spikesink.runs.sums import file_sum, note_of
from spikesink.study.errors import InputError
from spikesink.study.run import Study
from spikesink.workflow.elsewhere.comparing import check
from spikesink.workflow.elsewhere.document import FINISHED, SUFFIX, read_document
from spikesink.workflow.elsewhere.jobs import is_here, jobs, token_sums

UNPACKED = "unpacked"
"""Key of a manifest: when the run came home."""
WEIGHTS = (RunFolder("").weights.name, RunFolder("").snapshots.name)


@dataclass
class Arrivals:
    """What archives held for the study: names of runs, each once."""

    placed: dict[str, bool] = field(default_factory=dict)
    """Runs that were put into their folders, and whether the weights of each are here too."""
    here: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    """And why each was refused."""


def unpack(study: Study, archives: Sequence[Path]) -> Arrivals:
    """Put the runs of the archives into their folders, all but those of other settings, code or text.

    Raises InputError for a file that is no archive of results, before anything is put anywhere.
    """
    tokens, arrivals = token_sums(study), Arrivals()
    expected = {job["name"]: job for job in jobs(study)}
    runs = {run.name: run for run in study.runs}
    for path in archives:
        with opened(path) as archive:
            if not any(documents(archive)):
                raise InputError(f"{path}: has no finished run: name the results.tar that run.py wrote")
    for path in archives:
        with opened(path) as archive:
            for name, content in documents(archive):
                folder = RunFolder(runs[name].folder) if name in runs else None
                try:
                    document = read_document(content)
                    check(document, expected.get(name), runs.get(name), tokens)
                    if is_here(expected[name], tokens) and UNPACKED not in folder.facts():
                        arrivals.here.add(name)
                    else:
                        arrivals.placed.pop(name, None)  # another archive may have had it
                        arrivals.placed[name] = place(document, expected[name]["groups"], folder, archive)
                except (InputError, OSError) as error:  # a full disk too: what is here already is told to Snakemake
                    arrivals.refused[name] = said(error)
    return arrivals


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive. Raises InputError where it is none, or is cut off."""
    try:
        with tarfile.open(path) as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise InputError(f"{path}: no archive of results ({error}): name the results.tar that run.py wrote") from error


def documents(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Name of the run and content of every document in an archive."""
    for member in archive.getmembers():
        name = member.name.removeprefix(f"{FINISHED}/").removesuffix(SUFFIX)
        if member.isfile() and member.name == f"{FINISHED}/{name}{SUFFIX}":
            yield name, archive.extractfile(member).read()


def place(document: dict[str, Any], groups: Iterable[str], folder: RunFolder, archive: tarfile.TarFile) -> bool:
    """Write the files of a run, the manifest last; returns whether its weights came along. Raises InputError.

    Of its measures those of ``groups``, which have been compared: Snakemake is not told of others. The tables of other
    groups are deleted, but not the capabilities, which are never measured elsewhere.
    """
    manifest = json.loads(document["manifest"])
    folder.manifest.unlink(missing_ok=True)
    for table in folder.measures.glob("*.parquet"):
        if table != folder.measure(CAPABILITIES):
            delete(note_of(table))
            delete(table)
    for path, text in ((folder.run, document["run"]), (folder.metrics, document["metrics"])):
        with whole(path) as part:
            part.write_text(text, encoding="utf-8")
    for group in groups:
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
    lines = [f"{len(found.placed)} runs came home"]
    if found.here:
        lines.append(f"{len(found.here)} were trained here, and stay as they are")
    if without_weights := list(found.placed.values()).count(False):
        lines.append(f"the weights of {without_weights} stayed on the other machine, as their manifests say")
    lines += [f"refused {name}: {why}" for name, why in found.refused.items()]
    if left:
        more = " and others" if left[8:] else ""
        unfinished = {name.rsplit("seed", 1)[1] for name in left}
        complete = [str(seed) for seed in study.config.seeds if str(seed) not in unfinished]
        lines.append(f"{len(left)} runs are left, which snakemake trains here: {', '.join(left[:8])}{more}")
        lines.append(f"seeds of which all runs are here: {', '.join(complete) or 'none'}")
    return "\n".join(lines)
