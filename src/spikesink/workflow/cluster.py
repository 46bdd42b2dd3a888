"""What jobs ask a cluster for, as resources of Snakemake rules in the words of its SLURM executor.

One machine with one or several GPUs: a job is one task, and Lightning starts a process for every GPU. Several machines:
``srun`` inside the job starts one process per GPU on every machine, which the executor knows by the resource ``mpi``.
"""

import shlex
from collections.abc import Callable

from spikesink.study.settings import GPUResources, Resources, TrainingResources

TRAINING_HERE = "training_here"
"""Snakemake's resource of which a training run takes one, where runs share the GPU of the machine at hand."""


def job_resources(stage: Resources) -> dict:
    """Keyword arguments of the ``resources`` of a stage's rules; memory and time are functions of the attempt."""
    found = {
        "mem_mb": growing(stage.memory_mb, stage.largest_memory_mb),
        "runtime": growing(stage.runtime_minutes, stage.longest_runtime_minutes),
    }
    names = {"slurm_account": "account", "slurm_partition": "partition", "constraint": "constraint", "qos": "qos"}
    found |= {name: getattr(stage, key) for name, key in names.items() if getattr(stage, key)}
    options = shlex.split(stage.sbatch or "")
    if isinstance(stage, TrainingResources):
        # SLURM sends it to all processes of the job's steps. All but training ignore it (workflow.setup).
        options.append(f"--signal=USR1@{round(60 * stage.warning_minutes)}")
        if stage.nodes > 1:
            options.append(f"--ntasks-per-node={processes(stage)}")
            found |= several_machines(stage)
        else:
            found |= gpus(stage) | {
                TRAINING_HERE: 1,
                "nodes": 1,
                "cpus_per_task": stage.threads * processes(stage),
            }
    elif isinstance(stage, GPUResources):
        found |= gpus(stage)
    return found | ({"slurm_extra": shlex.join(options)} if options else {})


def growing(first: int, largest: int | None) -> Callable:
    """The amount that an attempt asks for: ``first`` times its number, at most ``largest``."""

    def amount(wildcards: object, attempt: int) -> int:
        return min(first * attempt, largest or first * attempt)

    return amount


def processes(stage: GPUResources) -> int:
    """How many processes a job has on each machine: one per GPU, or one on the CPU."""
    return max(1, stage.gpus_per_node)


def gpus(stage: GPUResources) -> dict:
    """The GPUs of a job on one machine, or its share of one."""
    if isinstance(stage, TrainingResources) and stage.runs_per_gpu > 1:
        return {"gres": "shard:1"}
    typed = stage.gpu_type and stage.gpus_per_node
    return {"gpu": stage.gpus_per_node} | ({"gpu_model": stage.gpu_type} if typed else {})


def several_machines(stage: TrainingResources) -> dict:
    """A task per process; the executor's ``gpu`` would count the GPUs of all machines together."""
    # Without tasks_per_gpu the executor would ask for all tasks on every GPU.
    found = {"mpi": "srun", "nodes": stage.nodes, "tasks": stage.nodes * processes(stage), "tasks_per_gpu": 0}
    return found | ({"gres": gres(stage)} if stage.gpus_per_node else {})


def gres(stage: GPUResources) -> str:
    """The GPUs of each machine, in SLURM's words."""
    return ":".join(filter(None, ["gpu", stage.gpu_type, str(stage.gpus_per_node)]))


def launcher(stage: Resources) -> list[str]:
    """The words before a job's command that start it on several machines; none on one machine.

    srun inside a job of the executor does not know what the job was asked for, so it is told again. SPIKESINK_LAUNCHER
    tells training that srun started it: SLURM's own variables may be those of a shell around.
    """
    if not isinstance(stage, TrainingResources) or stage.nodes == 1:
        return []
    words = [
        "srun",
        "--kill-on-bad-exit=1",
        "--export=ALL,SPIKESINK_LAUNCHER=srun",
        f"--nodes={stage.nodes}",
        f"--ntasks={stage.nodes * processes(stage)}",
        f"--ntasks-per-node={processes(stage)}",
        f"--cpus-per-task={stage.threads}",
    ]
    return [*words, f"--gres={gres(stage)}"] if stage.gpus_per_node else words


def devices(stage: Resources) -> list[str]:
    """The options of training that say how many GPUs and machines share a run; none for other stages."""
    if not isinstance(stage, TrainingResources):
        return []
    return ["--gpus", str(stage.gpus_per_node), "--nodes", str(stage.nodes)]
