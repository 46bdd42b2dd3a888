"""Checkpoints that a run resumes from, in results/<study>/checkpoints/<digest>/.

Snakemake deletes the declared outputs of a failed job. What a retry needs is therefore kept in this folder, which no
rule declares. The digest in its name covers everything that the run depends on, so a checkpoint of other settings, code
or data is never resumed. A checkpoint is a folder. It holds what Lightning wrote (a file, or with strategy fsdp a
folder of shards) and its checksums. Any number of devices can resume from it.
"""

from contextlib import nullcontext
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO

from spikesink.runs.atomic import part, remove, whole
from spikesink.training.ranks import largest_over_ranks
from spikesink.training.storage.disk_errors import disk_errors
from spikesink.training.storage.intact import STATE, seal
from spikesink.training.storage.interruption import Interrupted, end_at_once, install

KEPT = 2


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, the latest last."""
    return sorted(folder.glob("step????????.ckpt"))


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("step"))


class StraightToFile(TorchCheckpointIO):
    """Writes a checkpoint straight to its file.

    Lightning's own class first builds the file in memory and in the system's temporary folder, where a killed process
    leaves it behind.
    """

    def save_checkpoint(self, checkpoint: dict, path: Path, storage_options: object = None) -> None:
        with open(path, "wb") as file:
            torch.save(checkpoint, file)


class Checkpointing(Callback):
    """Save every ``every`` steps, and on SIGTERM, SIGINT or SIGUSR1 save and raise Interrupted."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self.received = 0
        self.stepped = False

    def save(self, trainer: L.Trainer) -> None:
        """Write a checkpoint, then delete all but the last ``KEPT``. It gets its name only when it is complete."""
        path = self.folder / f"step{trainer.global_step:08d}.ckpt"
        with disk_errors(self.folder), whole(path) if trainer.is_global_zero else nullcontext():
            if trainer.is_global_zero:
                part(path).mkdir()
            trainer.strategy.barrier()
            trainer.save_checkpoint(part(path) / STATE)  # returns when all ranks have written
            if trainer.is_global_zero:
                seal(part(path), path)
        if trainer.is_global_zero:
            with disk_errors(self.folder):
                for old in checkpoints(self.folder)[:-KEPT]:
                    remove(old)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Here, because Lightning installs its own handlers before, and those end a run with exit code 0.
        install(self.remember)

    def remember(self, number: int, frame: object) -> None:
        if not self.stepped:
            end_at_once(number, frame)
        self.received = number

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        step, self.stepped = trainer.global_step, True
        # A signal may reach only some ranks, or reach them at different steps; all ranks must save together.
        received = largest_over_ranks(self.received, pl_module.device)
        if received:
            self.save(trainer)
            raise Interrupted(received, f"after step {step}; checkpoint written")
        if step % self.every == 0 and step < trainer.max_steps:
            self.save(trainer)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        install(end_at_once)
