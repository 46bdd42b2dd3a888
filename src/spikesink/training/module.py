"""The LightningModule: an optimiser step as equal micro-batches."""

from contextlib import AbstractContextManager, nullcontext

import lightning as L
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from spikesink.model.decoder import Decoder
from spikesink.study.settings import Training
from spikesink.training.optimiser import build_optimiser, clip_gradients
from spikesink.training.parallel import materialise, prepare, shard
from spikesink.training.schedule import learning_rate_share


def next_token_loss(decoder: Decoder, rows: Tensor, training: Training) -> Tensor:
    """Mean cross-entropy in nats over rows [B, T + 1], in float32.

    With a loss window [first, last) only the predictions made at those positions count; earlier tokens stay visible as
    context (2603.05498 Table 8). With a residual stream in bfloat16 each position's loss is computed in bfloat16.
    """
    window = training.loss_window
    residual = torch.bfloat16 if training.residual == "bfloat16" else None
    inputs, targets = rows[:, :-1], rows[:, 1:]
    if window is not None:
        targets = targets[:, window[0] : window[1]]
    rotary = decoder.rotary(inputs.shape[1])
    return decoder(inputs, window, targets, training.loss_chunk, residual, rotary)


class LanguageModel(L.LightningModule):
    """Next-token training of a decoder. A batch is this device's rows of one optimiser step.

    Uses Lightning's manual optimisation: after a batch, callbacks always see a finished optimiser step. A checkpoint
    does not depend on micro-batches, so other devices can resume it. For callbacks it sets ``last_loss`` (this device's
    mean), ``last_gradient_norm`` and ``last_learning_rate``; the tensors stay on the device.

    A decoder that is to be sharded comes on the meta device: configure_model shards it over Lightning's device mesh
    and then draws the initial weights of ``seed``.
    """

    def __init__(
        self, decoder: Decoder, training: Training, *, micro_batch: int, dtype: torch.dtype, seed: int
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.decoder = decoder
        self.training_settings, self.micro_batch, self.dtype_of_matrices, self.seed = training, micro_batch, dtype, seed
        self.last_loss = torch.zeros(())
        self.last_gradient_norm = torch.zeros(())
        self.last_learning_rate = 0.0

    def configure_model(self) -> None:
        training, mesh = self.training_settings, self.device_mesh
        prepare(
            self.decoder,
            compile=training.compile,
            activation_checkpointing=training.activation_checkpointing,
            by_block=mesh is not None,
        )
        if mesh is not None:
            shard(self.decoder, mesh["data_parallel"], self.dtype_of_matrices, getattr(torch, training.residual))
            materialise(self.decoder, mesh["data_parallel"], self.device, self.seed)

    def configure_optimizers(self) -> dict:
        training = self.training_settings
        optimiser = build_optimiser(self.decoder, training.optimiser)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate_share(training.schedule, step, training.steps)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, rows: Tensor, batch_index: int) -> None:
        parts = rows.split(self.micro_batch)
        losses = []
        for number, part in enumerate(parts, start=1):
            with self.autocast():
                loss = next_token_loss(self.decoder, part, self.training_settings)
            with nullcontext() if number == len(parts) else self.without_communication():
                self.manual_backward(loss / len(parts))
            losses.append(loss.detach())
        self.last_loss = torch.stack(losses).mean()
        self.last_gradient_norm = clip_gradients(self.decoder, self.training_settings.optimiser.clip_norm)
        optimiser = self.optimizers()
        self.last_learning_rate = optimiser.param_groups[0]["lr"]
        optimiser.step()
        optimiser.zero_grad()
        self.lr_schedulers().step()

    def autocast(self) -> AbstractContextManager:
        """Matrix products in bfloat16 if that is the precision, in the same way on all devices and strategies."""
        # Lightning's own bf16-mixed refuses clipping with a fused optimiser and does not support shards.
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype_of_matrices == torch.bfloat16)

    def without_communication(self) -> AbstractContextManager:
        """While this holds, a copy of the model (ddp) keeps its gradients; the step's last micro-batch reduces them.

        With fsdp gradients are reduced after every micro-batch, because whole gradients would need memory again.
        """
        model = self.trainer.strategy.model
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
