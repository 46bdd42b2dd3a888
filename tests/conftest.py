"""How the tests are shared out to the processes of `make test`, in the order of the files, the longest first."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

TRAINING = {
    *(f"test_training{of}" for of in ("", "_distributed", "_faults", "_kills")),
    *("test_loopback", "test_positive_control", "test_pretrained_export"),
}
"""Unit tests whose runs are forked from a process that has imported PyTorch, which takes seconds (see ranks.py)."""
LONG = TRAINING | {"test_tracking_load", "test_tracking_variants", "test_why"}
"""Unit tests that would come late by their names, so that one process would wait for the other at the end."""

gc.disable()


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: garbage is looked for among what tests make, and less often."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file stays together, for its fixtures; so do all tests of the finished study, of training, and of SLURM."""
    items.sort(key=lambda item: item.path.parent.name == "unit" and item.path.stem not in LONG)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.path, set(getattr(item, "fixturenames", ())))))


def group_of(path: Path, fixtures: set[str]) -> str:
    """The group of a test: those of one group run in one process, one after the other."""
    if {"finished", "checkout"} & fixtures:
        return "finished study"
    if path.stem in TRAINING:
        return "training"
    # A machine has one SLURM. What needs none goes to the other process.
    return "SLURM" if "daemons" in fixtures else path.stem


LIMITS = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")
"""Set for the whole process by the first use of a store, which may be a fixture's."""


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test changes in the environment ends with it, and no limit of another test's store holds for it."""
    kept = dict(os.environ)
    for name in LIMITS:
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(kept)
