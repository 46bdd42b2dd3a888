"""Save the weights at some steps during training, to see when sinks and spikes begin."""

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file

from spikesink.runs.folder import snapshot
from spikesink.runs.sums import noted
from spikesink.training.parallel import whole_weights
from spikesink.training.storage.disk_errors import disk_errors


def snapshot_steps(count: int, steps: int) -> list[int]:
    """``count`` steps in geometric progression from a hundredth of ``steps`` to the last; fewer if some coincide."""
    if count <= 1:
        return [steps] * count
    first = max(1.0, steps / 100)
    return sorted({round(first * (steps / first) ** (index / (count - 1))) for index in range(count)})


class Snapshots(Callback):
    """Write folder/step<8 digits>.safetensors, float32, after every step of ``steps``."""

    def __init__(self, folder: Path, steps: list[int]) -> None:
        self.folder, self.steps = folder, frozenset(steps)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            with disk_errors(self.folder.parent):
                self.folder.mkdir(exist_ok=True)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        if trainer.global_step not in self.steps:
            return
        weights = whole_weights(pl_module.decoder, keep=trainer.is_global_zero)
        if trainer.is_global_zero:
            # Must be on the disk before the next checkpoint is: a restart from that one would not write it again.
            with disk_errors(self.folder), noted(snapshot(self.folder, trainer.global_step)) as part:
                save_file(weights, part)
