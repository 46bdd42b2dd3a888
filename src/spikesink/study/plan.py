"""What a study will cost, from its config alone: tokens, FLOPs, GPU-hours, memory, disk. Nothing is trained or read.

GPU-hours and memory are estimates. GPU-hours follow from the utilisation that the config assumes, memory from
``memory_bytes``. The plan does not check whether the corpus holds enough text.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from spikesink.study import sizes
from spikesink.study.aligned import aligned
from spikesink.study.errors import ConfigError
from spikesink.study.memory import memory_bytes
from spikesink.study.run import Run, Study
from spikesink.study.settings import Config, Plan

GIB = 2**30
CONTEXT_GIB = 1.5
"""What CUDA, its libraries and its allocator take of a GPU beside the tensors of a run; see spikesink.study.memory."""


class Gpu(NamedTuple):
    """Peak dense throughput in TFLOP/s, bfloat16 on tensor cores and float32 outside them, and memory in GiB."""

    bfloat16: float
    float32: float
    memory_gib: float


# Vendor data sheets, without sparsity: half of the figure where a sheet prints it with sparsity. Their GB of memory are
# taken as GiB, which is near what drivers report.
GPUS = {
    # NVIDIA DGX and HGX B200 data sheets: an eighth of the system's 18 PFLOP/s and 1,440 GB.
    "B200": Gpu(2250, 75, 180),
    "H200": Gpu(989, 67, 141),  # NVIDIA H200 data sheet, SXM
    "H100": Gpu(989, 67, 80),  # NVIDIA H100 data sheet, SXM
    "A100-80GB": Gpu(312, 19.5, 80),  # NVIDIA A100 data sheet
    "A100-40GB": Gpu(312, 19.5, 40),  # NVIDIA A100 data sheet
    "L40S": Gpu(362, 91.6, 48),  # NVIDIA L40S data sheet
    "RTX4090": Gpu(165, 82.6, 24),  # NVIDIA Ada GPU architecture white paper, float32 accumulation
    "V100": Gpu(125, 15.7, 32),  # NVIDIA V100 data sheet, SXM2; float16, for it has no bfloat16
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one run will cost, and the assumptions behind it."""

    study: str
    ablation: str
    variant: str
    seed: int
    parameters: int
    tokens: int
    flops: float
    gpu_hours: float
    memory_gib: float
    """Of tensors, per GPU."""
    disk_gib: float
    """Disk that the finished run takes, its snapshots included."""
    checkpoint_gib: float
    """Disk that its checkpoints take in addition while it trains."""
    fits: bool
    """Whether the memory of one GPU is enough for these and for CUDA."""
    gpu: str
    gpus: int
    """GPUs of one run."""
    utilisation: float


def assumptions(plan: Plan, gpu: str | None = None, utilisation: str | None = None) -> Plan:
    """The config's assumptions; those given on the command line take precedence. Raises ConfigError."""
    gpu = plan.gpu if gpu is None else gpu
    if gpu not in GPUS:
        raise ConfigError(f"--gpu = {gpu!r}: use one of {', '.join(GPUS)}")
    try:
        return Plan(gpu=gpu, utilisation=plan.utilisation if utilisation is None else float(utilisation))
    except ValueError as error:
        raise ConfigError(
            f"--utilisation = {utilisation!r}: use a number greater than 0 and at most 1, for example 0.4"
        ) from error


def costs(study: Study, plan: Plan | None = None) -> list[Cost]:
    """The cost of every run of a study, in the order of its runs. Raises ConfigError if training would refuse a run."""
    resources = study.config.resources.train
    gpus = resources.nodes * max(1, resources.gpus_per_node)  # a run on CPUs is planned as if each machine had one GPU
    return [cost(run, plan or study.config.plan, gpus) for run in study.runs]


def cost(run: Run, plan: Plan, gpus: int) -> Cost:
    model, training, gpu = run.model, run.training, GPUS[plan.gpu]
    flops = sizes.training_flops(model, run.vocabulary, training)
    peak = gpu.float32 if training.precision == "float32" else gpu.bfloat16
    try:
        memory_gib = memory_bytes(model, run.vocabulary, training, gpus) / GIB
    except ValueError as error:
        raise ConfigError(f"{run.variant}: {error}") from error
    return Cost(
        study=run.study,
        ablation=run.ablation,
        variant=run.variant,
        seed=run.seed,
        parameters=sizes.parameters(model, run.vocabulary, training.sequence_length),
        tokens=sizes.training_tokens(training),
        flops=flops,
        gpu_hours=flops / (peak * 1e12 * plan.utilisation) / 3600,
        memory_gib=memory_gib,
        disk_gib=(1 + training.snapshots) * sizes.weights_bytes(model, run.vocabulary, training.sequence_length) / GIB,
        checkpoint_gib=sizes.checkpoint_bytes(model, run.vocabulary, training) / GIB,
        fits=memory_gib + CONTEXT_GIB <= gpu.memory_gib,
        gpu=plan.gpu,
        gpus=gpus,
        utilisation=plan.utilisation,
    )


def csv_text(planned: Sequence[Any], kind: type) -> str:
    """A plan as CSV: a row per cost and a column per field of its ``kind``."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, planned))
    return text.getvalue()


HEADER = ("ablation", "variant", "parameters", "runs", "tokens", "FLOPs", "GPU-hours", "memory", "disk", "checkpoints")


def table(planned: Sequence[Cost]) -> str:
    """The plan as text: a row per variant (its runs differ only in their seed), the totals and the assumptions."""
    variants: dict[str, list[Cost]] = {}
    for one in planned:
        variants.setdefault(one.variant, []).append(one)
    *lines, last = aligned([HEADER, *(row(members) for members in variants.values()), total(planned)], names=2)
    return "\n".join([*lines, "", last, "", *notes(planned)])


def row(members: Sequence[Cost]) -> tuple[str, ...]:
    one = members[0]
    cells = (
        one.ablation,
        one.variant,
        human(one.parameters),
        str(len(members)),
        human(one.tokens),
        operations(one.flops),
    )
    cells += (hours(one.gpu_hours), size(one.memory_gib), size(one.disk_gib), size(one.checkpoint_gib))
    return cells if one.fits else (*cells, "does not fit")


def total(planned: Sequence[Cost]) -> tuple[str, ...]:
    tokens, work = sum(one.tokens for one in planned), sum(one.flops for one in planned)
    cells = (
        "total",
        "",
        "",
        str(len(planned)),
        human(tokens),
        operations(work),
        hours(sum(one.gpu_hours for one in planned)),
    )
    return (*cells, "", size(sum(one.disk_gib for one in planned)), "")


def notes(planned: Sequence[Cost]) -> list[str]:
    one, largest = planned[0], max(cost.checkpoint_gib for cost in planned)
    memory = GPUS[one.gpu].memory_gib
    lines = [
        "A row is one run; runs of a variant differ in their seed. The total is over all runs.",
        f"GPU-hours and memory are estimates, for {one.gpus} x {one.gpu} per run at {one.utilisation:.0%} of peak "
        "throughput; memory is per GPU.",
        f"Disk is what stays; a run needs up to {size(largest)} more while it trains, for checkpoints.",
    ]
    misfits = sum(not cost.fits for cost in planned)
    if misfits:
        lines.append(
            f"{misfits} of {len(planned)} runs need more than the {memory:g} GiB of one {one.gpu}, of which CUDA takes "
            f"{CONTEXT_GIB:g}: lower micro_batch_size, set activation_checkpointing, loss_chunk or strategy: fsdp, or "
            "use more GPUs."
        )
    return lines


def same_settings(study: Study) -> list[str]:
    """A line for every variant that has the settings of an earlier one: it is trained all the same."""
    first: dict[tuple, str] = {}
    lines = []
    for run in study.runs:
        other = first.setdefault((run.model, run.training), run.variant)
        line = f"{run.variant} has the settings of {other}, and is trained all the same: {way_out(run, study.config)}."
        if other != run.variant and line not in lines:
            lines.append(line)
    return lines


def way_out(run: Run, config: Config) -> str:
    """How a study does without the variant of a run, which is of a grid, the config's own or of workflow/ablations."""
    if run.ablation in config.cross:
        return f"take its value, or the whole grid, out of cross.{run.ablation}"
    path = f"variants.{run.ablation}.{run.variant}"
    if run.variant in (config.variants.get(run.ablation) or {}):
        return f"take {path} out"
    return f"{path} = null leaves it out"


def human(number: float) -> str:
    """A number with three digits and a unit, for example 6.74B."""
    for unit, power in (("T", 12), ("B", 9), ("M", 6), ("K", 3)):
        if number >= 0.9995 * 10**power:  # 999,600,000 is 1B, not 1000M
            return f"{three(number / 10**power)}{unit}"
    return str(number)


def size(gib: float) -> str:
    if gib >= 1000:
        return f"{three(gib / 1024)} TiB"
    return f"{three(gib)} GiB" if gib >= 0.1 else f"{three(gib * 1024)} MiB"


def three(number: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{number:.0f}" if number >= 99.95 else f"{number:.3g}"


def operations(number: float) -> str:
    """FLOPs, for example 3.1e18."""
    return f"{number:.1e}".replace("e+", "e")


def hours(number: float) -> str:
    if number < 0.01:
        return "<0.01"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
