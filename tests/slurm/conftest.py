"""One SLURM for all tests here, and one study run without it, which theirs are compared with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "workflow"))
sys.path.append(str(Path(__file__).parents[1] / "unit"))

from cluster import Cluster, NoCluster
from studies import RESULTS, configure, trained
from tiny_study import copy_project, snakemake


@pytest.fixture(scope="session")
def daemons(tmp_path_factory) -> Iterator[Cluster]:
    try:
        with Cluster(tmp_path_factory.mktemp("slurm")) as running:
            yield running
    except NoCluster as reason:
        pytest.fail(str(reason), pytrace=False)


@pytest.fixture
def cluster(daemons) -> Cluster:
    """The cluster with both nodes idle, whatever the test before has done to them."""
    daemons.wait_for_nodes()
    return daemons


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> Path:
    """The runs of the study, and an ablation's measures and table, made on this machine without SLURM."""
    project = copy_project(tmp_path_factory.mktemp("local"))
    configure(project, {})
    snakemake(project, f"{RESULTS}/tables/gating.csv", trained("v_scale"))
    return project
