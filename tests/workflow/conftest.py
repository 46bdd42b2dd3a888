"""One finished tiny study for all tests of the workflow."""

import shutil
from pathlib import Path

import pytest
from tiny_study import copy_project, restore, snakemake


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """What a checkout has; never run, never changed."""
    return copy_project(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def finished(checkout, tmp_path_factory) -> Path:
    """The tiny study, run to its end."""
    project = shutil.copytree(checkout, tmp_path_factory.mktemp("finished") / "project")
    snakemake(project)
    return project


@pytest.fixture
def project(finished, checkout):
    """The finished project; its sources and overlay are put back afterwards."""
    yield finished
    restore(finished, checkout)
