"""metrics.csv, the record of a run: append-only while training, the same bytes after an interruption or without."""

import csv
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from spikesink.training.module import LanguageModel

COLUMNS = ("step", "tokens", "loss", "learning_rate", "gradient_norm")


class Diverged(Exception):
    """The loss is no longer a finite number."""


class MetricsRecord(Callback):
    """Append a row every ``every`` steps: loss is the mean over those steps in nats, the rest is the last step's.

    Values stay on the device between rows, so logging costs one synchronisation per row. ``mirror`` receives every row.
    Raises Diverged when a row's loss or gradient norm is not finite.
    """

    def __init__(self, path: Path, every: int, tokens_per_step: int, mirror: Callable[[int, dict], None]) -> None:
        self.path, self.every, self.tokens_per_step, self.mirror = path, every, tokens_per_step, mirror
        self.loss_sum: torch.Tensor | float = 0.0
        self.losses = 0

    def state_dict(self) -> dict:
        return {"loss_sum": torch.as_tensor(self.loss_sum), "losses": self.losses}

    def load_state_dict(self, state: dict) -> None:
        self.loss_sum, self.losses = state["loss_sum"], state["losses"]

    def on_train_start(self, trainer: L.Trainer, pl_module: LanguageModel) -> None:
        """Keep the rows up to the step that training resumes from."""
        rows = []
        if self.path.exists() and trainer.global_step > 0:
            with open(self.path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= trainer.global_step]
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def on_before_zero_grad(self, trainer: L.Trainer, pl_module: LanguageModel, optimizer: object) -> None:
        # The scheduler has not stepped yet when an optimiser step is under way: this is the rate that is being used.
        self.learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: LanguageModel, *_: object) -> None:
        self.loss_sum = self.loss_sum + pl_module.last_loss
        self.losses += 1
        step = trainer.global_step
        if step % self.every and step != trainer.max_steps:
            return
        row = {
            "step": step,
            "tokens": step * self.tokens_per_step,
            "loss": float(self.loss_sum) / self.losses,
            "learning_rate": self.learning_rate,
            "gradient_norm": float(pl_module.last_gradient_norm),
        }
        self.loss_sum, self.losses = 0.0, 0
        if not (torch.isfinite(torch.tensor([row["loss"], row["gradient_norm"]])).all()):
            raise Diverged(
                f"loss {row['loss']} and gradient norm {row['gradient_norm']} near step {step} are not finite numbers: "
                "lower training.optimiser.lr or lengthen training.schedule.warmup_steps"
            )
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        self.mirror(step, row)
