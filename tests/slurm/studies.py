"""A small study that runs through the scheduler or without it, and what is compared afterwards."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import yaml
from cluster import slurm
from tiny_study import TINY

from spikesink.study.strict_yaml import merge

RESULTS = Path("results/tiny")
TIMES = ("tokens_per_second", "wall_seconds")
"""Columns of tables that say how fast a run was, not what came of it."""
# Long enough to be interrupted: some seconds a run. The scheduler's own bookkeeping takes longer than all else.
STUDY = merge(
    TINY,
    {
        "training": {"steps": 800, "log_every": 10, "checkpoint_every": 40, "schedule": {"warmup_steps": 100}},
        "resources": {stage: {"memory_mb": 1500} for stage in ("data", "train", "measure", "draw")},
    },
)
# What a cluster's user adds to the profile, and a shorter wait for files that a network disk shows late.
OPTIONS = ("--profile", "profiles/slurm", "--slurm-status-command", "squeue", "--latency-wait", "5")
SNAKEMAKE = Path(__file__).with_name("quick_snakemake.py")


def configure(project: Path, changes: dict) -> None:
    (project / "tiny.yaml").write_text(yaml.safe_dump(merge(STUDY, changes)))


def without_runs(finished: Path, folder: Path, changes: dict) -> Path:
    """A copy of a finished project that has the text, tokenizer and tokens, but no runs."""
    project = shutil.copytree(finished, folder)
    for name in ("runs", "tables", "figures", "logs", "checkpoints"):
        shutil.rmtree(project / RESULTS / name, ignore_errors=True)
    configure(project, changes)
    return project


@contextmanager
def started(project: Path, *options: str) -> Iterator[subprocess.Popen]:
    """Snakemake on its way, jobs in SLURM; its output is in snakemake.log."""
    command = [sys.executable, str(SNAKEMAKE), *options, *OPTIONS, "--configfile", "tiny.yaml"]
    with open(project / "snakemake.log", "w") as log:
        process = subprocess.Popen(
            command, cwd=project, stdout=log, stderr=log, env=os.environ | {"GLOO_SOCKET_IFNAME": "lo"}
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for job in slurm("squeue", "--noheader", "--format=%i").split():
            slurm("scancel", job)


def finish(project: Path, process: subprocess.Popen) -> str:
    """Wait for Snakemake's good end, on a slow machine too; what it said."""
    code = process.wait(1200)
    output = (project / "snakemake.log").read_text()
    assert code == 0, output
    return output


def through_slurm(project: Path, *options: str) -> str:
    with started(project, *options) as process:
        return finish(project, process)


def run_folder(project: Path, variant: str) -> Path:
    return project / RESULTS / f"runs/{variant}/seed0"


def manifest(project: Path, variant: str) -> dict:
    return json.loads((run_folder(project, variant) / "manifest.json").read_text())


def trained(variant: str) -> str:
    """The target that trains one variant."""
    return str(run_folder(Path(), variant) / "manifest.json")


def files_of_run(project: Path, variant: str) -> dict[str, bytes]:
    return files_in(run_folder(project, variant))


def files_in(folder: Path) -> dict[str, bytes]:
    """Weights, snapshots and metrics of a run."""
    paths = [folder / "model.safetensors", folder / "metrics.csv", *sorted(folder.glob("snapshots/*"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def assert_same_results(study: Path, expected: Path) -> None:
    """Every run, measure and table of a study's folder has the bits of the one in ``expected``; times aside."""
    runs = sorted(path.relative_to(study) for path in study.glob("runs/*/seed0"))
    assert len(runs) > 1
    for run in runs:
        assert files_in(study / run) == files_in(expected / run), run
    measures = sorted(path.relative_to(study) for path in study.glob("runs/*/seed0/measures/*.parquet"))
    assert len(measures) > len(runs)
    for path in measures:
        assert (study / path).read_bytes() == (expected / path).read_bytes(), path
    tables = sorted(path.relative_to(study) for path in study.glob("tables/*.csv"))
    assert tables
    for path in tables:
        ours, theirs = (pl.read_csv(root / path) for root in (study, expected))
        assert ours.drop(TIMES, strict=False).equals(theirs.drop(TIMES, strict=False)), path
