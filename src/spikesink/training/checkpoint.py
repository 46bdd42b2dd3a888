"""The undeclared folder that a run resumes from: results/<study>/checkpoints/<digest>/.

Snakemake deletes the declared outputs of a failed job, so what a retry needs lives here, under a name that changes with
everything the run depends on: a checkpoint of other settings, code or data is never found, let alone resumed.
"""

import os
import signal
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

CHECKPOINT = "last.ckpt"


class Interrupted(Exception):
    """A signal asked the run to stop; its checkpoint has been written."""

    def __init__(self, signal_number: int, step: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(
            f"stopped by {signal.Signals(signal_number).name} after step {step}; checkpoint written, "
            "start it again to resume"
        )


class Checkpointing(Callback):
    """Save every ``every`` steps, and on SIGTERM, SIGINT or SIGUSR1 save and raise Interrupted."""

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self.received: int | None = None

    def save(self, trainer: L.Trainer) -> None:
        """Write a new checkpoint beside the old one, then replace it in one move."""
        temporary = self.folder / f"{CHECKPOINT}.part"
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, self.folder / CHECKPOINT)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Installed here, after Lightning's own handlers, because those end a run with exit code 0.
        self.previous = {number: signal.signal(number, self.remember) for number in self.signals}

    def remember(self, number: int, frame: object) -> None:
        self.received = number

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        step = trainer.global_step
        if self.received is not None:
            self.save(trainer)
            raise Interrupted(self.received, step)
        if step % self.every == 0 and step < trainer.max_steps:
            self.save(trainer)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        for number, handler in getattr(self, "previous", {}).items():
            signal.signal(number, handler)
