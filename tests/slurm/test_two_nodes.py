"""One run on two nodes, a process on each, started by srun inside the job."""

from pathlib import Path

import pytest
from ranks import difference
from studies import manifest, run_folder, through_slurm, trained, without_runs
from tiny_study import snakemake

# Few steps: rounding errors of sums over two processes grow with every step.
SHORT = {"training": {"steps": 20, "schedule": {"warmup_steps": 5}}}


@pytest.fixture(scope="module")
def one_process(local, tmp_path_factory) -> Path:
    project = without_runs(local, tmp_path_factory.mktemp("one") / "project", SHORT)
    snakemake(project, trained("baseline"))
    return run_folder(project, "baseline")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_nodes_train_what_one_process_does(cluster, local, one_process, tmp_path, strategy):
    """The nodes would otherwise train two models, or one on a wrong batch."""
    changes = {"training": SHORT["training"] | {"strategy": strategy}, "resources": {"train": {"nodes": 2}}}
    project = without_runs(local, tmp_path / "project", changes)
    through_slurm(project, trained("baseline"))
    facts = manifest(project, "baseline")
    assert (facts["devices"], facts["nodes"], facts["strategy"]) == (2, 2, strategy)
    assert difference(run_folder(project, "baseline"), one_process) < 1e-4
