"""Where a run starts: at its latest intact checkpoint, or at step 0. All ranks start at the same one."""

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
    """The checkpoint of ``folder`` to resume from, None if there is none.

    Only rank zero calls ``prepare`` and then chooses. Ranks that srun or torchrun started receive its choice. If rank
    zero failed they raise its error, so they do not wait for a rank that has gone. Ranks that Lightning starts itself
    start later: by then rank zero has moved damaged checkpoints away, and the latest is the one that it chose.
    """
    if trainer.world_size > 1 and not launched_by_lightning():
        environment = trainer.strategy.cluster_environment
        if environment.creates_processes_externally:
            trainer.strategy.connect(module)  # Lightning does both too late: the choice needs it now
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
        trainer.strategy.barrier()  # no rank leaves before all have received the error
        raise outcome
    return outcome


def latest_intact(folder: Path) -> Path | None:
    """The latest intact checkpoint of ``folder``. Moves later, damaged ones beside the folder and reports each."""
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
    """Move the checkpoint beside its folder, which is removed when the run has finished; returns the new path."""
    folder = checkpoint.parent
    names = (f"{folder.name}-{checkpoint.stem}.damaged{number or ''}" for number in itertools.count())
    aside = next(path for path in map(folder.parent.joinpath, names) if not path.exists())
    with disk_errors(folder.parent):
        checkpoint.rename(aside)
    return aside
