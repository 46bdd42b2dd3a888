"""Snakemake as a program: it packs tokens before a study travels, and notes what came home."""

import subprocess
import sys
from collections.abc import Iterable, Sequence

from spikesink.measures.groups import GROUPS
from spikesink.runs.folder import RunFolder
from spikesink.study.errors import InputError
from spikesink.study.names import BASELINE
from spikesink.study.run import Study
from spikesink.workflow.elsewhere.jobs import jobs

AT_ONCE = 3000
"""Targets on one command line of Snakemake."""


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
