"""A study through a real SLURM, undisturbed and disturbed: what comes out has the bits of a run without SLURM."""

import re
from concurrent.futures import ThreadPoolExecutor

from cluster import slurm
from faults import cancel, in_training, lose_node, reach_time_limit
from studies import (
    RESULTS,
    assert_same_results,
    configure,
    files_of_run,
    finish,
    manifest,
    started,
    through_slurm,
    trained,
    without_runs,
)
from tiny_study import copy_project


def test_a_study_through_slurm_has_the_results_of_a_local_one(cluster, local, tmp_path):
    """An ablation from text to figures, every job in SLURM; the scheduler may not change a bit."""
    project = copy_project(tmp_path)
    configure(project, {})
    output = through_slurm(project, "gating")
    assert_same_results(project / RESULTS, local / RESULTS)
    figures = {path.name for path in (project / RESULTS / "figures").glob("*.png")}
    assert {"gating_ablation.png", "gating_training.png"} <= figures
    # The tokenizer, the tokens, two runs, their measures (an array if both are ready at once), and all that draws.
    arrays = re.findall(r"array job with Snakemake IDs ([\d,]+)", output)
    alone = output.count("has been submitted with SLURM jobid")
    assert alone + sum(ids.count(",") + 1 for ids in arrays) == 7


def test_runs_survive_a_cancelled_job_a_time_limit_and_a_lost_node(cluster, local, tmp_path):
    """A fault would cost a run, or a run that was continued would differ from one that was not."""
    minute = {"resources": {"train": {"runtime_minutes": 1, "warning_minutes": 0.1}}}
    project = without_runs(local, tmp_path / "project", minute)
    faults = {"baseline": reach_time_limit, "conditional_head": cancel, "v_scale": lose_node}
    with started(project, *map(trained, faults)) as process, ThreadPoolExecutor(len(faults)) as pool:
        ends = [pool.submit(fault, project, process, variant) for variant, fault in faults.items()]
        for end in ends:
            end.result()
        output = finish(project, process)
    assert "SLURM status is: 'CANCELLED'" in output
    assert "stopped by SIGUSR1" in output
    for variant in faults:
        assert manifest(project, variant)["resumed_from_step"] > 0, variant
        assert files_of_run(project, variant) == files_of_run(local, variant), variant


def test_a_run_that_needs_more_memory_gets_it(cluster, local, tmp_path):
    """It would otherwise fail in every attempt in the same way. The run has a share of a GPU, as small ones may."""
    train = {"memory_mb": 450, "runs_per_gpu": 2}
    project = without_runs(local, tmp_path / "project", {"resources": {"train": train}})
    through_slurm(project, trained("baseline"))
    failed = list(project.glob(".snakemake/slurm_logs/rule_train_baseline/*baseline_0/*.log"))
    assert len(failed) == 1
    assert "exceeded memory limit" in failed[0].read_text()
    assert files_of_run(project, "baseline") == files_of_run(local, "baseline")


def test_a_preempted_run_goes_back_to_the_queue_and_resumes(cluster, local, tmp_path):
    """A study could otherwise not use machines that belong to someone else."""
    project = without_runs(local, tmp_path / "project", {"resources": {"train": {"partition": "main"}}})
    with started(project, trained("baseline")) as process:
        job = in_training(project, process, "baseline")
        slurm("sbatch", "--partition=urgent", "--nodes=2", "--gres=gpu:1", "--output=/dev/null", "--wrap=sleep 2")
        output = finish(project, process)
    assert output.count("has been submitted with SLURM jobid") == 1
    assert "Restarts=1" in slurm("scontrol", "show", "job", job)
    assert manifest(project, "baseline")["resumed_from_step"] > 0
    assert files_of_run(project, "baseline") == files_of_run(local, "baseline")
