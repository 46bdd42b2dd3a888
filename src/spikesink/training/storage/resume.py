"""How a run begins or goes on: from the latest checkpoint that is intact, the same on all ranks."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import lightning as L

from spikesink.training.devices import launched_by_lightning
from spikesink.training.storage.checkpoint import checkpoints
from spikesink.training.storage.disk_errors import disk_errors
from spikesink.training.storage.intact import damage

AFFECTS_RESULTS = False


def checkpoint_to_resume(
    trainer: L.Trainer, module: L.LightningModule, folder: Path, prepare: Callable[[], None]
) -> Path | None:
    """The checkpoint of ``folder`` that rank zero chooses after it has called ``prepare``; it alone does either.

    Ranks that srun or torchrun started hear of it, or raise what kept rank zero from it, instead of waiting for one
    that has gone. Lightning starts the others itself, later: they find no later checkpoint than the intact one.
    """
    if trainer.world_size > 1 and not launched_by_lightning():
        environment = trainer.strategy.cluster_environment
        if environment.creates_processes_externally:
            trainer.strategy.connect(module)  # Lightning would do both, but later than it wants to know the checkpoint
            trainer.strategy.setup_environment()
    outcome: Path | Exception | None
    if trainer.is_global_zero:
        try:
            prepare()
            outcome = latest_intact(folder)
        except Exception as error:
            outcome = error
    else:
        outcome = next(reversed(checkpoints(folder)), None)
    outcome = trainer.strategy.broadcast(outcome)
    if isinstance(outcome, Exception):
        trainer.strategy.barrier()  # so that nobody leaves before all have heard
        raise outcome
    return outcome


def latest_intact(folder: Path) -> Path | None:
    """The latest intact checkpoint of ``folder``; damaged ones after it are moved beside the folder and named."""
    set_aside = []
    chosen = None
    for checkpoint in reversed(checkpoints(folder)):
        why = damage(checkpoint)
        if why is None:
            chosen = checkpoint
            break
        set_aside.append((why, move_aside(checkpoint)))
    goes_on = f"resumes from {chosen.name}" if chosen else "starts again from step 0"
    for why, path in set_aside:
        print(f"damaged checkpoint: {why}; it is kept as {path}, the run {goes_on}", file=sys.stderr)
    return chosen


def move_aside(checkpoint: Path) -> Path:
    """Out of the run's folder, which is removed when the run has finished."""
    folder = checkpoint.parent
    names = (f"{folder.name}-{checkpoint.stem}.damaged{number or ''}" for number in itertools.count())
    aside = next(path for path in map(folder.parent.joinpath, names) if not path.exists())
    with disk_errors(folder.parent):
        checkpoint.rename(aside)
    return aside
