"""What jobs ask a cluster for, as resources of Snakemake rules in the words of its SLURM executor.

One machine with one or several GPUs: a job is one task, and Lightning starts a process for every GPU. Several machines:
``srun`` inside the job starts one process per GPU on every machine, which the executor knows by the resource ``mpi``.
"""

from collections.abc import Callable

from spikesink.settings import GPUResources, Resources, TrainingResources


def job_resources(stage: Resources) -> dict:
    """Keyword arguments of the ``resources`` of a stage's rules; memory and time are functions of the attempt."""
    found = {
        "mem_mb": growing(stage.memory_mb, stage.largest_memory_mb),
        "runtime": growing(stage.runtime_minutes, stage.longest_runtime_minutes),
    }
    names = {"slurm_account": "account", "slurm_partition": "partition", "constraint": "constraint", "qos": "qos"}
    found |= {name: getattr(stage, key) for name, key in names.items() if getattr(stage, key)}
    options = [stage.sbatch] if stage.sbatch else []
    if isinstance(stage, GPUResources):
        found["gpu"] = stage.gpus_per_node
        if stage.gpu_type and stage.gpus_per_node:
            found["gpu_model"] = stage.gpu_type
    if isinstance(stage, TrainingResources):
        # To the processes of the job's steps; of these only training does not ignore it (see the Snakefile).
        options.append(f"--signal=USR1@{round(60 * stage.warning_minutes)}")
        found |= several_machines(stage) if stage.nodes > 1 else one_machine(stage)
        found["devices"] = f"--gpus {stage.gpus_per_node} --nodes {stage.nodes}"
    if options:
        found["slurm_extra"] = " ".join(options)
    return found


def growing(first: int, largest: int | None) -> Callable:
    """The amount that an attempt asks for: ``first`` times its number, at most ``largest``."""

    def amount(wildcards: object, attempt: int) -> int:
        return min(first * attempt, largest or first * attempt)

    return amount


def one_machine(stage: TrainingResources) -> dict:
    """A single task, which starts the processes of the other GPUs itself and shares its CPUs with them."""
    return {"nodes": 1, "cpus_per_task": stage.threads * max(1, stage.gpus_per_node), "launcher": ""}


def several_machines(stage: TrainingResources) -> dict:
    """A process per GPU on every machine; the executor's ``gpu`` would count the GPUs of all machines together."""
    processes = max(1, stage.gpus_per_node)  # without GPUs: one on the CPU of each machine
    found = {"mpi": "srun", "nodes": stage.nodes, "gpu": 0}
    launcher = f"srun --kill-on-bad-exit=1 --nodes={stage.nodes} --ntasks-per-node={processes}"
    launcher += f" --cpus-per-task={stage.threads}"
    if processes > 1:
        found["tasks_per_node"] = processes
    else:  # which the executor does not allow for tasks_per_node
        found |= {"tasks": stage.nodes, "tasks_per_gpu": 0}
    if stage.gpus_per_node:
        found["gres"] = ":".join(["gpu", *([stage.gpu_type] if stage.gpu_type else []), str(stage.gpus_per_node)])
        launcher += f" --gres={found['gres']}"
    return found | {"launcher": launcher}
