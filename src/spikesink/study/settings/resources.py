"""What the jobs of each stage may use, for a scheduler such as SLURM."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spikesink.study.settings.checks import (
    SPECIFICATION,
    names_for_slurm,
    not_negative,
    positive,
    words_of_a_command,
)

AFFECTS_RESULTS = False


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one job of a stage may use, for a scheduler such as SLURM; see spikesink.workflow.cluster."""

    __pydantic_config__ = SPECIFICATION

    threads: int = 1
    """CPU threads of a job. A training job has as many for each of its processes, one per GPU."""
    memory_mb: int = 2000
    """Memory of a job in megabytes, on each of its machines. The second attempt asks for twice as much, and so on."""
    largest_memory_mb: int | None = None
    """Upper limit of memory_mb over retries. null: no limit."""
    runtime_minutes: int = 60
    """Time limit of a job in minutes. The second attempt asks for twice as much, and so on."""
    longest_runtime_minutes: int | None = None
    """Upper limit of runtime_minutes over retries, for example what the partition allows. null: no limit."""
    retries: int | None = None
    """How often a failed job is started again. null: as often as the Snakemake profile says."""
    account: str | None = None
    """SLURM account. null: the profile's, or the user's default."""
    partition: str | None = None
    """SLURM partition. null: the profile's, or the cluster's default."""
    constraint: str | None = None
    """Features that SLURM's machines must have, for example a100&nvlink. null: none."""
    qos: str | None = None
    """SLURM quality of service. null: the account's default."""
    sbatch: str | None = None
    """Further options of sbatch, for example --exclusive."""

    def __post_init__(self) -> None:
        positive(self, "threads", "memory_mb", "largest_memory_mb", "runtime_minutes", "longest_runtime_minutes")
        if self.retries is not None:
            not_negative(self, "retries")
        names_for_slurm(self, "account", "partition", "qos")
        names_for_slurm(self, "constraint", also="&|!*()[]")
        words_of_a_command(self, "sbatch")
        for limit, first in (("largest_memory_mb", "memory_mb"), ("longest_runtime_minutes", "runtime_minutes")):
            if getattr(self, limit) is not None and getattr(self, limit) < getattr(self, first):
                raise ValueError(
                    f"{limit} = {getattr(self, limit)} is less than {first} = {getattr(self, first)}, which the first "
                    f"attempt asks for: raise it, or lower {first}"
                )


@dataclass(frozen=True, kw_only=True)
class GPUResources(Resources):
    """What one job that uses GPUs may use."""

    __pydantic_config__ = SPECIFICATION

    gpus_per_node: int = 1
    """GPUs of a job on each of its machines. 0: the job runs on the CPU, as it does on a machine without a GPU. A
    measuring job uses one GPU."""
    gpu_type: str | None = None
    """Kind of GPU, by the cluster's name for it, for example a100. null: any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        not_negative(self, "gpus_per_node")
        if self.gpu_type is not None and not re.fullmatch(r"[A-Za-z0-9_.]+", self.gpu_type):
            raise ValueError(
                f"gpu_type = {self.gpu_type!r} must be a name of letters, digits, _ and ., for example a100"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingResources(GPUResources):
    """What one training job may use."""

    __pydantic_config__ = SPECIFICATION

    nodes: int = 1
    """Machines that a training job runs on."""
    runs_per_gpu: int = 1
    """Runs that share a GPU, where one run is too small to fill it. On a machine of your own so many train at a time,
    on its first GPU. On a cluster each asks for a shard of a GPU, of which every GPU must have so many. Their memory,
    as plan estimates it, must fit in the GPU of the plan."""
    warning_minutes: float = 5
    """This many minutes before its time limit SLURM tells a training job to write a checkpoint and end. A retry resumes
    from it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "nodes", "runs_per_gpu", "warning_minutes")
        if self.runs_per_gpu > 1 and (self.nodes, self.gpus_per_node) != (1, 1):
            raise ValueError(
                f"runs_per_gpu = {self.runs_per_gpu} with nodes = {self.nodes}, gpus_per_node = {self.gpus_per_node}: "
                "only runs of one GPU can share it, set both to 1"
            )
        if self.runs_per_gpu > 1 and self.gpu_type is not None:
            raise ValueError(
                f"gpu_type = {self.gpu_type!r} with runs_per_gpu = {self.runs_per_gpu}: SLURM's shards have no type, "
                "name the kind of GPU in constraint"
            )
        if self.warning_minutes >= self.runtime_minutes:
            raise ValueError(
                f"warning_minutes = {self.warning_minutes} leaves nothing of runtime_minutes = {self.runtime_minutes}: "
                "lower it"
            )


@dataclass(frozen=True, kw_only=True)
class StageResources:
    """Resources by stage."""

    __pydantic_config__ = SPECIFICATION

    data: Resources = Resources()
    """Training the tokenizer, and packing the tokens."""
    train: TrainingResources = TrainingResources()
    """A training run."""
    measure: GPUResources = GPUResources()
    """One group of measures of one model."""
    draw: Resources = Resources()
    """A table or a figure. On a cluster the tables and figures of one ablation share a job."""
