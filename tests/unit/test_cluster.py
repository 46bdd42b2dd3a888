"""What jobs ask a cluster for follows from the config; the lines of sbatch that it becomes are in tests/slurm."""

import shlex
import subprocess
from types import SimpleNamespace

import pytest

from spikesink.study.settings import GPUResources, Resources, TrainingResources
from spikesink.workflow.cluster import TRAINING_HERE, devices, job_resources, launcher
from spikesink.workflow.setup import share_gpu


def asked(stage: Resources, attempt: int = 1) -> dict:
    """Resources of an attempt, as Snakemake evaluates them."""
    found = job_resources(stage)
    return {name: value(None, attempt) if callable(value) else value for name, value in found.items()}


def test_every_attempt_asks_for_more_up_to_the_limit():
    stage = Resources(memory_mb=1000, runtime_minutes=30, longest_runtime_minutes=70)
    amounts = [(asked(stage, attempt)["mem_mb"], asked(stage, attempt)["runtime"]) for attempt in (1, 2, 3)]
    assert amounts == [(1000, 30), (2000, 60), (3000, 70)]


def test_a_stage_names_its_account_partition_and_further_options():
    stage = Resources(account="a", partition="p", constraint="nvlink", qos="long", sbatch="--exclusive")
    assert asked(stage) == {
        "mem_mb": 2000,
        "runtime": 60,
        "slurm_account": "a",
        "slurm_partition": "p",
        "constraint": "nvlink",
        "qos": "long",
        "slurm_extra": "--exclusive",
    }
    assert set(asked(Resources())) == {"mem_mb", "runtime"}  # what is null is left to the profile and the cluster


def test_the_type_of_a_gpu_is_asked_for_only_with_a_gpu():
    assert asked(GPUResources(gpu_type="a100")).items() >= {"gpu": 1, "gpu_model": "a100"}.items()
    assert "gpu_model" not in asked(GPUResources(gpu_type="a100", gpus_per_node=0))


def test_one_machine_is_one_task_with_the_cpus_of_all_its_processes():
    """The task starts the processes of the other GPUs itself; srun would start the task on each of them."""
    stage = TrainingResources(threads=8, gpus_per_node=4, gpu_type="h100")
    found = asked(stage)
    assert (found["gpu"], found["gpu_model"], found["nodes"], found["cpus_per_task"]) == (4, "h100", 1, 32)
    assert (launcher(stage), devices(stage)) == ([], ["--gpus", "4", "--nodes", "1"])
    assert not {"mpi", "tasks", "gres"} & set(found)


@pytest.mark.parametrize("gpus, gres", [(8, "gpu:h100:8"), (1, "gpu:h100:1"), (0, None)])
def test_several_machines_have_a_task_for_every_process(gpus, gres):
    stage = TrainingResources(threads=4, nodes=2, gpus_per_node=gpus, gpu_type="h100")
    found = asked(stage)
    tasks = 2 * max(1, gpus)
    assert (found["mpi"], found["nodes"], found["tasks"], found.get("gres")) == ("srun", 2, tasks, gres)
    assert found["tasks_per_gpu"] == 0 and not {"gpu", "gpu_model"} & set(found)  # they would count all GPUs together
    assert devices(stage) == ["--gpus", f"{gpus}", "--nodes", "2"]
    options = {"--nodes=2", f"--ntasks={tasks}", f"--ntasks-per-node={tasks // 2}", "--cpus-per-task=4"}
    assert set(launcher(stage)) == {
        "srun",
        "--kill-on-bad-exit=1",
        "--export=ALL,SPIKESINK_LAUNCHER=srun",
        *options,
    } | ({f"--gres={gres}"} if gres else set())
    assert f"--ntasks-per-node={tasks // 2}" in found["slurm_extra"].split()


def test_runs_that_share_a_gpu_ask_for_a_shard_of_it():
    """A whole GPU for each would leave most of it idle."""
    found = asked(TrainingResources(runs_per_gpu=4))
    assert found["gres"] == "shard:1" and "gpu" not in found
    assert devices(TrainingResources(runs_per_gpu=4)) == ["--gpus", "1", "--nodes", "1"]


@pytest.mark.parametrize(
    ("stage", "is_local", "has_gpu", "expected"),
    [
        (TrainingResources(runs_per_gpu=4), True, True, {TRAINING_HERE: 4}),
        (TrainingResources(), True, True, {TRAINING_HERE: 1}),
        (TrainingResources(runs_per_gpu=4), True, False, {}),
        (TrainingResources(gpus_per_node=0), True, True, {}),
        (TrainingResources(runs_per_gpu=4), False, True, {}),
    ],
)
def test_so_many_runs_train_at_a_time_on_the_gpu_of_this_machine(tmp_path, stage, is_local, has_gpu, expected):
    """As many as there are cores would run out of its memory."""
    limits, gpu = {}, tmp_path / "nvidia0"
    if has_gpu:
        gpu.touch()
    workflow = SimpleNamespace(local_exec=is_local, is_main_process=True, register_resource=limits.__setitem__)
    share_gpu(workflow, stage, gpu)
    assert limits == expected and asked(stage)[TRAINING_HERE] == 1


def test_options_of_sbatch_are_words_that_no_shell_reads():
    """The executor puts them into a shell line as they are."""
    extra = asked(Resources(sbatch="--comment='two words' --nodelist=n[1-3] --chdir=$(touch x) --exclude=a;b"))[
        "slurm_extra"
    ]
    words = ["--comment=two words", "--nodelist=n[1-3]", "--chdir=$(touch", "x)", "--exclude=a;b"]
    assert shlex.split(extra) == words
    printed = subprocess.run(f"printf '%s\\n' {extra}", shell=True, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == words


def test_training_is_warned_before_its_time_limit():
    extra = asked(TrainingResources(runtime_minutes=60, warning_minutes=2.5, sbatch="--exclusive"))["slurm_extra"]
    assert extra.split() == ["--exclusive", "--signal=USR1@150"]


@pytest.mark.parametrize(
    "kind, values, message",
    [
        (Resources, {"largest_memory_mb": 100}, "largest_memory_mb = 100 is less than memory_mb = 2000"),
        (Resources, {"longest_runtime_minutes": 5}, "longest_runtime_minutes = 5 is less than runtime_minutes = 60"),
        (Resources, {"retries": -1}, "retries = -1 must be a number, 0 or greater"),
        (TrainingResources, {"runtime_minutes": 5}, "warning_minutes = 5 leaves nothing of runtime_minutes = 5"),
        (TrainingResources, {"runs_per_gpu": 0}, "runs_per_gpu = 0 must be a number greater than 0"),
        (
            TrainingResources,
            {"runs_per_gpu": 2, "nodes": 2},
            "runs_per_gpu = 2 with nodes = 2, gpus_per_node = 1: only",
        ),
        (
            TrainingResources,
            {"runs_per_gpu": 2, "gpu_type": "a100"},
            "gpu_type = 'a100' with runs_per_gpu = 2: SLURM's",
        ),
        (TrainingResources, {"nodes": 0}, "nodes = 0 must be a number greater than 0"),
        (
            TrainingResources,
            {"gpu_type": "$(touch x)"},
            r"gpu_type = '\$\(touch x\)' must be a name of letters, digits",
        ),
        (Resources, {"partition": "gpu; touch x"}, "partition = 'gpu; touch x' is no name in SLURM"),
        (Resources, {"account": "a\nb"}, r"account = 'a\\nb' is no name in SLURM"),
        (Resources, {"qos": ""}, "qos = '' is no name in SLURM"),
        (Resources, {"constraint": "a100&`touch x`"}, "constraint = 'a100&`touch x`' is no name in SLURM"),
        (Resources, {"sbatch": "--comment='a"}, "sbatch = .* cannot be split into words"),
        (Resources, {"sbatch": "touch x"}, "sbatch = 'touch x' must be options on one line"),
        (Resources, {"sbatch": "--exclusive\ntouch x"}, "must be options on one line"),
    ],
)
def test_resources_that_cannot_be_are_refused(kind, values, message):
    with pytest.raises(ValueError, match=message):
        kind(**values)
