"""Write metrics.csv, the record of a run. Interrupted or not, a run leaves the same bytes.

Rows are appended while the run trains. A checkpoint holds the rows up to its step, and a restart writes the file again
from them. A row that a kill cut short, or that a power cut lost, does no harm.
"""

import csv
import math
import os
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from spikesink.runs.atomic import whole
from spikesink.tracking import Mirror, run_name, run_params, run_tags
from spikesink.training.module import LanguageModel
from spikesink.training.ranks import mean_over_ranks
from spikesink.training.storage.disk_errors import disk_errors

COLUMNS = ("step", "tokens", "loss", "learning_rate", "gradient_norm")
EXPLODED = 3.0
"""A run has diverged when a row's loss exceeds this many times the first step's. With the initial weights the loss is
about the logarithm of the vocabulary, the loss of a uniform guess, or more: a run that learns never comes near three
times that."""


class Diverged(Exception):
    """The loss is no longer a finite number, or has exploded."""


class MetricsRecord(Callback):
    """Append a row every ``every`` steps: loss is the mean over those steps in nats, the rest is the last step's.

    Values stay on the device between rows, so logging costs one synchronisation and, with several ranks, one reduction
    per row. Rank zero writes, and passes every row to ``mirror``. Raises Diverged, on all ranks alike, when a row's
    loss or gradient norm is not finite, or its loss more than ``EXPLODED`` times that of the first step.
    """

    def __init__(self, path: Path, every: int, tokens_per_step: int) -> None:
        self.path, self.every, self.tokens_per_step = path, every, tokens_per_step
        self.mirror: Callable[[int, dict], None] = lambda step, row: None
        self.loss_sum = torch.zeros(())
        self.losses = 0
        self.first_loss: float | None = None
        self.rows: list[dict] = []

    def state_dict(self) -> dict:
        # All ranks save, one writes, and any number may resume: from now on each rank holds the mean of all sums.
        self.loss_sum = mean_over_ranks(self.loss_sum)
        sums = {"loss_sum": self.loss_sum.cpu(), "losses": self.losses}
        return {**sums, "first_loss": self.first_loss, "rows": self.rows}

    def load_state_dict(self, state: dict) -> None:
        self.loss_sum, self.losses = state["loss_sum"], state["losses"]
        self.first_loss, self.rows = state["first_loss"], state["rows"]

    def on_train_start(self, trainer: L.Trainer, pl_module: LanguageModel) -> None:
        self.loss_sum = self.loss_sum.to(pl_module.device)
        if trainer.is_global_zero:
            with (
                disk_errors(self.path.parent),
                whole(self.path) as part,
                open(part, "w", encoding="utf-8", newline="") as file,
            ):
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: LanguageModel, *_: object) -> None:
        self.loss_sum = self.loss_sum + pl_module.last_loss
        self.losses += 1
        step = trainer.global_step
        if self.first_loss is None:
            self.first_loss = float(mean_over_ranks(pl_module.last_loss))
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
        if trouble := divergence(row, self.first_loss):
            raise Diverged(
                f"diverged: near step {step} {trouble}; to avoid it, lower training.optimiser.lr or lengthen "
                "training.schedule.warmup_steps"
            )
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        with disk_errors(self.path.parent), open(self.path, "a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        self.mirror(step, row)


def divergence(row: dict, first_loss: float) -> str | None:
    """How a row shows that the run has diverged; None if it does not."""
    if not (math.isfinite(row["loss"]) and math.isfinite(row["gradient_norm"])):
        return f"loss {row['loss']} and gradient norm {row['gradient_norm']} are not finite numbers"
    if row["loss"] > EXPLODED * first_loss:
        return f"loss {row['loss']:.4g} is more than {EXPLODED:g} times the first step's {first_loss:.4g}: it exploded"
    return None


def live_mirror(run: dict, digest: str, folder: Path) -> Mirror | None:
    """The run's mirror in MLflow, or None unless SPIKESINK_TRACKING_URI names a store.

    MLflow has to be installed only when the mirror writes.
    """
    uri = os.environ.get("SPIKESINK_TRACKING_URI")
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
