"""metrics.csv, the record of a run: append-only while training, the same bytes after an interruption or without."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from spikesink.tracking import Mirror, live_store, run_name, run_params, run_tags
from spikesink.training.module import LanguageModel
from spikesink.training.ranks import mean_over_ranks

COLUMNS = ("step", "tokens", "loss", "learning_rate", "gradient_norm")


class Diverged(Exception):
    """The loss is no longer a finite number."""


class MetricsRecord(Callback):
    """Append a row every ``every`` steps: loss is the mean over those steps in nats, the rest is the last step's.

    Values stay on the device between rows, so logging costs one synchronisation and, with several ranks, one reduction
    per row. Rank zero writes, and passes every row to ``mirror``. Raises Diverged, on all ranks alike, when a row's
    loss or gradient norm is not finite.
    """

    def __init__(self, path: Path, every: int, tokens_per_step: int) -> None:
        self.path, self.every, self.tokens_per_step = path, every, tokens_per_step
        self.mirror: Callable[[int, dict], None] = lambda step, row: None
        self.loss_sum = torch.zeros(())
        self.losses = 0

    def state_dict(self) -> dict:
        # All ranks save, one writes, and any number may resume: from here on every rank's sum is the mean of all.
        self.loss_sum = mean_over_ranks(self.loss_sum)
        return {"loss_sum": self.loss_sum.cpu(), "losses": self.losses}

    def load_state_dict(self, state: dict) -> None:
        self.loss_sum, self.losses = state["loss_sum"], state["losses"]

    def on_train_start(self, trainer: L.Trainer, pl_module: LanguageModel) -> None:
        """Keep the rows up to the step that training resumes from."""
        self.loss_sum = self.loss_sum.to(pl_module.device)
        if not trainer.is_global_zero:
            return
        rows = []
        if self.path.exists() and trainer.global_step > 0:
            with open(self.path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= trainer.global_step]
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: LanguageModel, *_: object) -> None:
        self.loss_sum = self.loss_sum + pl_module.last_loss
        self.losses += 1
        step = trainer.global_step
        if step % self.every and step != trainer.max_steps:
            return
        row = {
            "step": step,
            "tokens": step * self.tokens_per_step,
            "loss": float(mean_over_ranks(self.loss_sum)) / self.losses,
            "learning_rate": pl_module.last_learning_rate,
            "gradient_norm": float(pl_module.last_gradient_norm),
        }
        self.loss_sum, self.losses = torch.zeros_like(self.loss_sum), 0
        if not (torch.isfinite(torch.tensor([row["loss"], row["gradient_norm"]])).all()):
            raise Diverged(
                f"diverged: loss {row['loss']} and gradient norm {row['gradient_norm']} near step {step} are not "
                "finite numbers; to avoid it, lower training.optimiser.lr or lengthen training.schedule.warmup_steps"
            )
        if not trainer.is_global_zero:
            return
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        self.mirror(step, row)


def live_mirror(run: dict, digest: str, folder: Path) -> Mirror | None:
    """The run in MLflow if SPIKESINK_TRACKING_URI names a store that jobs may write; see ``tracking.store``.

    It needs no MLflow to be installed until it writes.
    """
    uri = live_store(os.environ.get("SPIKESINK_TRACKING_URI"))
    if not uri:
        return None
    return Mirror(
        uri=uri,
        experiment=run["study"],
        run_name=run_name(run),
        tags=run_tags(run, digest),
        params=run_params(run),
        run_id_file=folder / "mlflow_run_id",
    )
