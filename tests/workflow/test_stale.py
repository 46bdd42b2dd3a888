"""After failures, a kill and changes, the same command ends with the results of a fresh study, or names what failed.

With real programs, which take long: one study goes through all of it. benchmarks/never_stale.py tries many orders.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_study import ROOT, arguments, configure, jobs, snakemake

from spikesink.measures.groups import GROUPS

STEPS = {"variants": {"gating": {"conditional_head": {"training": {"steps": 14}}}}}
"""Another training of one variant."""
GATING = {"ablations": ["gating/conditional_head"]}
TARGETS = ("tables", "claims")
"""All but figures, which are drawn from these."""


@contextmanager
def hidden(path: Path) -> Iterator[None]:
    """The file is gone, as on a disk that is not mounted."""
    aside = path.rename(path.with_name("hidden"))
    try:
        yield
    finally:
        aside.rename(path)


@pytest.fixture
def project(finished, checkout, tmp_path) -> Path:
    """A finished study of two runs, to change."""
    project = shutil.copytree(checkout, tmp_path / "project")
    shutil.copytree(finished / "results", project / "results")
    configure(project, GATING)
    snakemake(project, *TARGETS)
    return project


def stop_when(project: Path, ready: Path, *targets: str) -> None:
    """Run Snakemake, and end its process group with SIGTERM, as systems do that shut down, when a file is written."""
    before = ready.stat().st_mtime_ns if ready.exists() else 0
    command = subprocess.Popen(
        arguments(*targets), cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 300
        while not (ready.exists() and ready.stat().st_mtime_ns != before):
            assert command.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(command.pid, signal.SIGTERM)
        command.wait(timeout=120)
    assert command.returncode != 0


def fresh_study(project: Path, folder: Path, changes: dict) -> Path:
    """A study with the final config, in a checkout of its own. It has what the changes do not touch: the text, the
    baseline's run, and its measures but those whose setting has changed."""
    fresh = shutil.copytree(project, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    kept = ("data", "runs/baseline/seed0", "records")
    for name in kept:
        shutil.copytree(project / "results/tiny" / name, fresh / "results/tiny" / name)
    for question in GROUPS["forward"].questions:
        (fresh / f"results/tiny/runs/baseline/seed0/measures/{question}.parquet").unlink()
    configure(fresh, changes)
    snakemake(fresh, *TARGETS)
    return fresh


def test_results_after_failures_and_a_kill_are_those_of_a_fresh_study(project, tmp_path):
    tokens, run = project / "results/tiny/data/tokens", project / "results/tiny/runs/conditional_head/seed0"
    configure(project, GATING | STEPS)
    with hidden(tokens / "train.bin"):
        said = snakemake(project, *TARGETS, expect=1)
    assert "tokens/train.bin is missing" in said
    assert not (run / "manifest.json").exists()
    left = jobs(project)
    assert {"train gating/conditional_head seed 0", "table of all runs", "figure overview of all ablations"} <= left

    final = GATING | STEPS | {"measures": {"perplexity_tokens": 512}}
    configure(project, final)
    with hidden(tokens / "validation.bin"):
        said = snakemake(project, *TARGETS, "--keep-going", expect=1)
    assert "tokens/validation.bin is missing" in said
    assert (run / "manifest.json").exists(), "the repaired training ran"
    left = jobs(project)
    assert {f"measure forward of runs/{variant}/seed0" for variant in ("baseline", "conditional_head")} <= left

    stop_when(project, run / "measures/perplexity.parquet", *TARGETS)
    snakemake(project, "--unlock")
    snakemake(project, *TARGETS)
    fresh = fresh_study(project, tmp_path / "fresh", final)
    places = [str(where / "results/tiny") for where in (fresh, project)]
    compared = [sys.executable, str(ROOT / "benchmarks/same_results.py"), *places]
    result = subprocess.run(compared, capture_output=True, text=True)
    faults = [line for line in result.stdout.splitlines() if not line.startswith(("figures/", "runs/v_scale"))]
    assert faults == []

    (tokens / "validation.bin").unlink()
    snakemake(project, "results/tiny/data/tokens/validation.bin")
    assert jobs(project, *TARGETS) == set(), "tokens that were packed again are the same, so nothing is trained again"
