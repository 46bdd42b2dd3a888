"""Write the archive that another machine runs: the runs that are left, the packed tokens and this package."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

from spikesink.runs.atomic import whole
from spikesink.runs.checkout import PACKAGE, git_state
from spikesink.study.errors import ConfigError
from spikesink.study.run import Study
from spikesink.workflow.elsewhere.jobs import is_here, jobs, token_sums
from spikesink.workflow.elsewhere.package import modules, modules_sum

SUFFIXES = {".tar": "w:", ".gz": "w:gz", ".xz": "w:xz"}
START = Path(__file__).with_name("start.py")


def check_can_be_packed(study: Study, target: Path) -> None:
    """Raises ConfigError for runs that need several devices, and for a name that says no format."""
    if not study.runs:
        raise ConfigError(f"study = {study.config.study!r}: has no runs, and published models are measured here")
    if target.suffix not in SUFFIXES:
        raise ConfigError(f"--output {target}: a name that ends in .tar, .tar.gz or .tar.xz is needed")
    for run in study.runs:
        if run.training.strategy != "auto":
            raise ConfigError(
                f"training.strategy = {run.training.strategy!r} of variant {run.variant!r}: elsewhere a run has one "
                "device: set it to auto, or train on a cluster with profiles/slurm"
            )


def pack(study: Study, target: Path) -> str:
    """Write the archive; returns lines that say what is in it. Raises InputError, ConfigError."""
    check_can_be_packed(study, target)
    tokens = token_sums(study)
    everything = jobs(study)
    left = [job for job in everything if not is_here(job, tokens)]
    if not left:
        raise ConfigError(f"study = {study.config.study!r}: all runs are here, there is nothing to pack")
    content = {
        "study": study.config.study,
        "tokens": tokens,
        "folders": {name: str(folder) for name, folder in study.token_folders.items()},
        "git": git_state(),
        "sources": modules_sum(),
        "jobs": left,
    }
    root = Path(study.config.study)
    with whole(target) as part, tarfile.open(part, SUFFIXES[target.suffix]) as archive:
        archive.add(START, str(root / "run.py"))
        add_content(archive, root / "jobs.json", json.dumps(content).encode())
        for path in modules():
            archive.add(path, str(root / "src/spikesink" / path.relative_to(PACKAGE)))
        for path in data_files(study):
            archive.add(path, str(root / path))
    here = f"; {len(everything) - len(left)} are here already" if len(left) < len(everything) else ""
    line = f"{target}: {len(left)} runs to train and measure{here}; {target.stat().st_size / 1e6:.1f} MB"
    if study.config.capabilities.tasks:
        line += "\ncapabilities.tasks are given here and need the weights: start run.py with --weights"
    return line


def data_files(study: Study) -> Iterable[Path]:
    """The packed tokens and the tokenizer, with the notes of their sums."""
    folders = dict.fromkeys(study.token_folders.values())
    found = [path for folder in folders for path in sorted(folder.rglob("*"))]
    data = next(iter(folders)).parent
    found += [path for name in ("tokenizer*.json", ".sums/tokenizer*.json") for path in sorted(data.glob(name))]
    return [path for path in found if path.is_file()]


def add_content(archive: tarfile.TarFile, name: Path, content: bytes) -> None:
    member = tarfile.TarInfo(str(name))
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
