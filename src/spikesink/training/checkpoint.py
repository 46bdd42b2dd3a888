"""The undeclared folder that a run resumes from: results/<study>/checkpoints/<digest>/.

Snakemake deletes the declared outputs of a failed job, so what a retry needs lives here, under a name that changes with
everything the run depends on: a checkpoint of other settings, code or data is never found, let alone resumed. A
checkpoint is a file, or a folder of shards with strategy fsdp, and fits any number of devices.
"""

import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from spikesink.training.ranks import largest_over_ranks

KEPT = 2


class Interrupted(Exception):
    """A signal asked the run to stop; its checkpoint has been written."""

    def __init__(self, signal_number: int, step: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(
            f"stopped by {signal.Signals(signal_number).name} after step {step}; checkpoint written, "
            "start it again to resume"
        )


def run_digest(run: dict, tokens_sha256: str) -> str:
    """Everything that the weights depend on: settings, code and data, not the number of devices."""
    relevant = {key: run.get(key) for key in ("tokenizer", "model", "training", "seed", "code")}
    relevant["tokens"] = tokens_sha256
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, the latest last."""
    return sorted(folder.glob("step????????.ckpt"))


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("step"))


class Checkpointing(Callback):
    """Save every ``every`` steps, and on SIGTERM, SIGINT or SIGUSR1 save and raise Interrupted."""

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self.received = 0

    def save(self, trainer: L.Trainer) -> None:
        """Write a checkpoint under a temporary name, move it when it is complete, and keep the last ``KEPT``."""
        path = self.folder / f"step{trainer.global_step:08d}.ckpt"
        temporary = path.with_suffix(".part")
        if trainer.is_global_zero:
            remove(temporary)  # an interrupted save of more ranks than now would leave its shards among the new ones
        trainer.strategy.barrier()
        trainer.save_checkpoint(temporary)  # returns when all ranks have written
        if trainer.is_global_zero:
            for file in [temporary, *temporary.glob("*")]:
                synchronise(file)
            os.replace(temporary, path)
            for old in checkpoints(self.folder)[:-KEPT]:
                remove(old)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Installed here, after Lightning's own handlers, because those end a run with exit code 0.
        self.previous = {number: signal.signal(number, self.remember) for number in self.signals}

    def remember(self, number: int, frame: object) -> None:
        self.received = number

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        step = trainer.global_step
        # A signal may reach some ranks only, or between the steps of two; saving takes all of them.
        received = largest_over_ranks(self.received, pl_module.device)
        if received:
            self.save(trainer)
            raise Interrupted(received, step)
        if step % self.every == 0 and step < trainer.max_steps:
            self.save(trainer)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        for number, handler in getattr(self, "previous", {}).items():
            signal.signal(number, handler)


def synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
