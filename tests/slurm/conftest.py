"""One SLURM for all tests here, and one study run without it, which theirs are compared with."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "workflow"))
sys.path.append(str(Path(__file__).parents[1] / "unit"))

from cluster import Cluster, NoCluster
from studies import SMOKE, configure, run_folder
from tiny_study import ROOT, copy_project, snakemake


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    try:
        with Cluster(tmp_path_factory.mktemp("slurm")) as running:
            yield running
    except NoCluster as reason:
        pytest.fail(str(reason), pytrace=False)


@pytest.fixture(scope="session")
def smoke() -> Path:
    """The smoke study of this checkout, made without SLURM: nothing to do after ``make study STUDY=smoke``."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", SMOKE]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=900)
    return ROOT / "results/smoke"


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> Path:
    """The runs, measures and tables of the study, made on this machine without SLURM."""
    project = copy_project(tmp_path_factory.mktemp("local"))
    configure(project, {})
    snakemake(project, "tables", f"{run_folder(Path(), 'baseline')}/measures/lifecycle.parquet")
    return project
