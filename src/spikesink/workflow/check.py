"""The one check of a study, for the command ``spikesink`` and for Snakemake: what one refuses, the other refuses too.

What the config alone decides is decided here, before anything starts: also what a later job would refuse.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from spikesink.study.errors import ConfigError
from spikesink.study.glyphs import missing_glyphs
from spikesink.study.micro_batch import micro_batch
from spikesink.study.plan import CONTEXT_GIB, GPUS, costs, size
from spikesink.study.resolve import read_config, resolve
from spikesink.study.run import Study
from spikesink.tables.paper.rows import paper_rows
from spikesink.workflow.check_files import check_files, check_names


def checked_study(
    overlays: Iterable[Path | str] = (),
    base: Path | str = "config.yaml",
    changes: Mapping | None = None,
    workflow: Path | str = "workflow",
) -> tuple[Study, dict]:
    """The study of ``base`` with overlays on top, and ``changes`` last; and the config that it was read from.

    ``workflow`` is the folder that has scales/ and ablations/. Raises ConfigError for a study that cannot be run.
    """
    config = read_config(overlays, base, changes, workflow)
    study = resolve(config, workflow)
    check_devices(study)
    check_shared_gpu(study)
    check_shown(study)
    check_names(study.config)
    check_files(study.config)
    return study, config


def check_devices(study: Study) -> None:
    """Raises ConfigError where the devices of training cannot have equal shares of a batch."""
    resources = study.config.resources.train
    devices = resources.nodes * max(1, resources.gpus_per_node)
    for training in dict.fromkeys(run.training for run in study.runs):
        try:
            micro_batch(training, devices)
        except ValueError as error:
            raise ConfigError(str(error)) from error


def check_shared_gpu(study: Study) -> None:
    """Raises ConfigError where the runs that shall share a GPU need more memory than the plan's GPU has."""
    number, gpu = study.config.resources.train.runs_per_gpu, study.config.plan.gpu
    if number == 1:
        return
    planned = costs(study)
    largest = max(planned, key=lambda cost: cost.memory_gib, default=None)
    if largest and (needed := number * (largest.memory_gib + CONTEXT_GIB)) > GPUS[gpu].memory_gib:
        raise ConfigError(
            f"resources.train.runs_per_gpu = {number}: so many runs of {largest.variant} need {size(needed)} with "
            f"{CONTEXT_GIB} GiB each for CUDA, and one {gpu} has {size(GPUS[gpu].memory_gib)}: lower it, or name your "
            "GPU in plan.gpu"
        )


def check_shown(study: Study) -> None:
    """Raises ConfigError for a row of the papers that there is not, and for a label that figures cannot show."""
    for run in study.runs:
        if run.stands_for is not None and run.stands_for not in paper_rows():
            raise ConfigError(
                f"stands_for = {run.stands_for!r} of variant {run.variant!r}: the papers have no such row; use one of "
                f"{', '.join(paper_rows())}, or null"
            )
        if run.label and (missing := missing_glyphs(run.label)):
            raise ConfigError(
                f"label = {run.label!r} of variant {run.variant!r}: no font here has {missing[0]!r}: install one that "
                "has it, for example Noto Sans CJK, or write the label in other letters"
            )
