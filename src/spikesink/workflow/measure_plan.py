"""What measuring will cost, by model and group of questions: operations, time on this machine, memory.

Times are those of one CPU core of the machine that is asked, whose speed at a matrix product is tried out, and of the
GPU that the config plans with. They are estimates: within a third for a model like SmolLM2, up to three
times too low for some groups of a model as small as nano (benchmarks/growth.md).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from spikesink.measures.groups import GROUPS
from spikesink.pretrained.formats import read_config
from spikesink.runs.free_memory import free_memory
from spikesink.runs.json_file import read_json
from spikesink.runs.json_kinds import MEASURED_MODEL
from spikesink.study.aligned import aligned
from spikesink.study.errors import InputError
from spikesink.study.measure_cost import flops, peak_bytes, work
from spikesink.study.plan import GIB, GPUS, hours, operations, size
from spikesink.study.run import Study
from spikesink.study.settings import Model, Plan, Pretrained
from spikesink.workflow.drawn import GROUPS_OF_ALL, model_folder

SHARE_OF_PEAK = 0.3
"""Of a GPU's float32 throughput."""
CPU_SHARE = 0.7
"""Of a core's speed at a matrix product; softmax, norms and hooks take the rest (benchmarks/growth.md)."""
START = 2.0
"""Seconds of a core in which a job starts Python and PyTorch and loads a model."""
ALSO = {"geometry": 3.0}
"""Seconds of a core that a group takes besides: scikit-learn's import, and t-SNE of a few hundred points."""
SHARE, MOST = 0.4, 3 * GIB
"""What a job on CPUs plans to take of the free memory, at most; see spikesink.measures.fitting."""


@dataclass(frozen=True, kw_only=True)
class MeasureCost:
    """What one group of questions costs for one model."""

    model: str
    group: str
    jobs: int
    """One per seed of a variant."""
    flops: float
    """Of one job."""
    cpu_minutes: float
    """Of one job, on one core of this machine."""
    gpu_hours: float
    memory_gib: float
    """The most that one job takes on a CPU. On a GPU it takes what is free."""


def measure_costs(study: Study, plan: Plan | None = None) -> Iterator[MeasureCost]:
    """The cost of every group for every variant and published model, whose files must be here to be known.

    ``plan`` is assumed instead of the config's.
    """
    config, speed = study.config, matrix_speed()
    free, gpu = min(MOST, SHARE * free_memory()), GPUS[(plan or config.plan).gpu]
    seeds, first_runs = Counter(run.variant for run in study.runs), {run.variant: run for run in reversed(study.runs)}
    subjects = [
        (name, run.model, run.vocabulary, run.training.sequence_length, run.training.snapshots, run.bos)
        for name, run in first_runs.items()
    ]
    for name, published in config.pretrained.items():
        with suppress(InputError, ValueError):
            described = described_model(f"results/{config.study}/{model_folder(name)}/pretrained.json", published)
            subjects.append((name, *described, 0, published.bos))
    for name, model, words, context, snapshots, bos in subjects:
        deep = name in config.pretrained or config.mechanism.variants == "all" or name in config.mechanism.compare
        for group in GROUPS:
            if not deep and group not in GROUPS_OF_ALL:
                continue
            asked = work(group, config.measures, context, words, snapshots, bos=bos)
            counted = flops(model, asked, context, words)
            yield MeasureCost(
                model=name,
                group=group,
                jobs=seeds.get(name, 1),
                flops=counted,
                cpu_minutes=(START + ALSO.get(group, 0) + counted / (CPU_SHARE * speed)) / 60,
                gpu_hours=counted / (1e12 * gpu.float32 * SHARE_OF_PEAK) / 3600,
                memory_gib=peak_bytes(model, group, config.measures, context, words, free) / GIB,
            )


def described_model(description: str, published: Pretrained) -> tuple[Model, int, int]:
    """Settings, vocabulary and context of a published model that is a folder, or has been fetched.

    Raises InputError, PretrainedError where it is neither.
    """
    folder = Path(published.source)
    if published.is_gguf or not folder.is_dir():
        folder = Path(read_json(Path(description), "fetch it first", MEASURED_MODEL)["folder"])
    found = read_config(folder)
    return found.settings, found.vocabulary, min(published.context, found.positions)


def matrix_speed() -> float:
    """Operations per second of one core's time, of a matrix product in float32, tried out for a fifth of a second."""
    import numpy as np  # late: no other command of this module needs it

    width = 1024
    one = np.ones((width, width), np.float32)
    one @ one
    started, times = process_time(), 0
    while process_time() - started < 0.2:
        one @ one
        times += 1
    return 2 * width**3 * times / (process_time() - started)


def unknown_models(study: Study, planned: Sequence[MeasureCost]) -> list[str]:
    """Published models whose cost is not known, because nothing of them is here."""
    known = {cost.model for cost in planned}
    return [name for name in study.config.pretrained if name not in known]


def measure_table(study: Study, planned: Sequence[MeasureCost], plan: Plan | None = None) -> str:
    """The plan as text: a line per published model and group, and per group of all variants together."""
    gpu = (plan or study.config.plan).gpu
    lines = [("measures of", "group", "jobs", "FLOPs", "CPU minutes", f"{gpu}-hours", "memory")]
    published = [cost for cost in planned if cost.model in study.config.pretrained]
    lines += [line(cost.model, cost.group, [cost]) for cost in published]
    for group in GROUPS:
        if members := [cost for cost in planned if cost.group == group and cost.model not in study.config.pretrained]:
            lines.append(line("all runs", group, members))
    lines.append(line("total", "", planned))
    text = [
        *aligned(lines, names=2),
        "",
        "CPU minutes are of one core of this machine, of all jobs; memory is the most that one job takes.",
    ]
    if unknown := unknown_models(study, planned):
        text.append(f"Not known before `snakemake --until pretrained_model` fetches them: {', '.join(unknown)}.")
    return "\n".join(text)


def line(model: str, group: str, members: Sequence[MeasureCost]) -> tuple[str, ...]:
    """The cells of a line: sums over jobs, and the largest memory."""
    jobs = sum(cost.jobs for cost in members)
    minutes = sum(cost.jobs * cost.cpu_minutes for cost in members)
    numbers = sum(cost.jobs * cost.flops for cost in members), sum(cost.jobs * cost.gpu_hours for cost in members)
    memory = size(max((cost.memory_gib for cost in members), default=0))
    return (model, group, str(jobs), operations(numbers[0]), f"{minutes:,.1f}", hours(numbers[1]), memory)
