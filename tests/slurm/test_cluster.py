"""Where there can be no SLURM the tests say so in one line, and a real cluster is left alone."""

import os
from concurrent.futures import ThreadPoolExecutor

import cluster as module
import pytest
from cluster import NODES, SHARDS, NoCluster, refuse_if_impossible, slurm, sole_use


def test_missing_programs_are_one_line_that_names_the_packages(monkeypatch):
    """A fresh machine has none of them, and a test that is skipped tells nobody."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoCluster, match=r"^the tests of SLURM need more programs: apt-get install munge slurm-wlm$"):
        refuse_if_impossible()


def test_the_configuration_of_a_real_cluster_is_refused_and_kept(monkeypatch, tmp_path):
    """The tests would otherwise cut a machine off from its cluster."""
    theirs = tmp_path / "slurm.conf"
    theirs.write_text("ClusterName=real\n")
    monkeypatch.setattr(module, "CONFIGURATION", tmp_path)
    with pytest.raises(NoCluster, match=r"slurm\.conf is not from spikesink's tests"):
        refuse_if_impossible()
    assert theirs.read_text() == "ClusterName=real\n"
    theirs.write_text(f"{module.OURS}ClusterName=ours\n")  # of tests that were killed
    refuse_if_impossible()


def test_two_clusters_at_once_are_refused(tmp_path):
    """The second would overwrite the configuration of the first."""
    first = sole_use(tmp_path)
    with pytest.raises(NoCluster, match="other tests of SLURM run"):
        sole_use(tmp_path)
    os.close(first)
    os.close(sole_use(tmp_path))


def test_jobs_have_gpus_of_their_own(cluster):
    """Training would otherwise find none, or one that another job uses."""
    assert slurm("srun", "--gpus=1", "printenv", "CUDA_VISIBLE_DEVICES") == "0"
    script = "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"
    both = slurm("srun", "--nodes=2", "--ntasks-per-node=1", "--gres=gpu:1", "sh", "-c", script)
    assert sorted(both.splitlines()) == [f"{node} 0" for node in NODES]


def test_so_many_jobs_share_a_gpu(cluster, tmp_path):
    """Runs that share one would otherwise wait for each other, as each of these does until all have begun."""
    all_here = f'touch {tmp_path}/$SLURM_JOB_ID; until [ "$(ls {tmp_path} | wc -l)" = {SHARDS} ]; do sleep 0.1; done'
    script = f"{all_here}; echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"
    with ThreadPoolExecutor(SHARDS) as pool:
        jobs = [
            pool.submit(slurm, "srun", "--mem=100", "--gres=shard:1", f"--nodelist={NODES[0]}", "sh", "-c", script)
            for _ in range(SHARDS)
        ]
    assert [job.result() for job in jobs] == [f"{NODES[0]} 0"] * SHARDS
