"""Keep a finished study in git: what its tables, figures and claims are drawn from, without weights, and a manifest.

The folder ``results/published/<study>`` then holds

study.yaml      the whole config: `snakemake --configfile` of it repeats the study
provenance.csv  every run's settings, code, text and machine
tables/parts/   the runs of every ablation; runs/, pretrained/: measures of the models analysed in depth
manifest.json   what is drawn of them, the code and software that made them, SHA-256 of every file

and `snakemake published` draws everything from it anew.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from spikesink.runs.atomic import whole
from spikesink.runs.checkout import git_state
from spikesink.study.errors import InputError

SOFTWARE = ("spikesink", "torch", "lightning", "numpy", "scipy", "polars", "matplotlib", "seaborn", "snakemake")


def publish(source: Path, target: Path, files: Iterable[str], study: Mapping, facts: Mapping[str, Any]) -> str:
    """Copy files of a study, by their paths in it, and write study.yaml and manifest.json; returns a line that says so.

    ``study`` is the whole config, ``facts`` goes into the manifest: what is drawn, and digests of code.

    What was published there before goes, README's pictures and what else is drawn stay. Raises InputError.
    """
    for path in listed(target):
        (target / path).unlink(missing_ok=True)
    sums = {}
    for path in files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source / path, target / path)
        except FileNotFoundError as error:
            raise InputError(f"{source / path}: missing: run the study to its end, then publish it") from error
        sums[path] = sha256((target / path).read_bytes()).hexdigest()
    text = yaml.safe_dump(study, sort_keys=False)
    with whole(target / "study.yaml") as part:
        part.write_text(f"# The whole config of a published study.\n{text}")
    manifest = {
        "published": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_state(),
        "versions": {name: metadata.version(name) for name in SOFTWARE},
        **facts,
        "sha256": sums,
    }
    with whole(target / "manifest.json") as part:
        part.write_text(json.dumps(manifest, indent=1) + "\n")
    size = sum((target / path).stat().st_size for path in sums)
    return f"{target}: {len(sums)} files, {size / 1e6:.1f} MB"


def listed(target: Path) -> list[str]:
    """The files that an earlier manifest names."""
    try:
        return list(json.loads((target / "manifest.json").read_text())["sha256"])
    except (OSError, ValueError, KeyError):
        return []


def damaged(target: Path) -> list[str]:
    """Files of a published study that are missing or not as its manifest says."""
    sums = json.loads((target / "manifest.json").read_text())["sha256"]
    return [
        path
        for path, known in sums.items()
        if not (target / path).exists() or sha256((target / path).read_bytes()).hexdigest() != known
    ]


def intact(target: Path) -> Path:
    """The folder itself. Raises InputError where a file is missing or not as its manifest says."""
    if faults := damaged(target):
        more = f" and {len(faults) - 1} more files" if len(faults) > 1 else ""
        manifest = target / "manifest.json"
        raise InputError(f"{target / faults[0]}{more}: not what {manifest} says: bring it back from git")
    return target
