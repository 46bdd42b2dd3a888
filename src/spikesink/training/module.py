"""The LightningModule: loss, optimiser, clipping."""

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.model.decoder import Decoder
from spikesink.settings import Training
from spikesink.training.schedule import learning_rate_share


def next_token_loss(model: nn.Module, rows: Tensor, window: tuple[int, int] | None) -> Tensor:
    """Mean cross-entropy in nats over rows [B, T + 1], in float32.

    With a loss window [first, last) only the predictions made at those positions count; earlier tokens stay visible as
    context (2603.05498 Table 8).
    """
    targets = rows[:, 1:] if window is None else rows[:, 1:][:, window[0] : window[1]]
    logits = model(rows[:, :-1], window)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def parameter_groups(model: nn.Module, weight_decay: float, decay: str) -> list[dict]:
    """AdamW groups: everything decays (2603.05498) or only parameters of two or more dimensions (2603.17771)."""
    decayed, plain = [], []
    for parameter in model.parameters():
        (decayed if decay == "all" or parameter.dim() >= 2 else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


class LanguageModel(L.LightningModule):
    """Next-token training of a decoder; leaves ``last_loss`` and ``last_gradient_norm`` on the device for callbacks."""

    def __init__(self, decoder: Decoder, training: Training) -> None:
        super().__init__()
        self.decoder = decoder
        self.training_settings = training
        # Compiling the LightningModule itself breaks its logging: only the inner module is compiled. A plain reference
        # in a list keeps the compiled wrapper out of state_dict.
        self._forward = [torch.compile(decoder) if training.compile else decoder]
        self.last_loss = torch.zeros(())
        self.last_gradient_norm = torch.zeros(())

    def training_step(self, rows: Tensor, batch_index: int) -> Tensor:
        loss = next_token_loss(self._forward[0], rows, self.training_settings.loss_window)
        self.last_loss = loss.detach()
        return loss

    def configure_optimizers(self) -> dict:
        settings, training = self.training_settings.optimiser, self.training_settings
        optimiser = torch.optim.AdamW(
            parameter_groups(self.decoder, settings.weight_decay, settings.decay),
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            fused=True,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate_share(training.schedule, step, training.steps)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        # Own hook: Lightning refuses gradient_clip_val with fused AdamW under bf16-mixed.
        self.last_gradient_norm = torch.nn.utils.clip_grad_norm_(
            self.decoder.parameters(), self.training_settings.optimiser.clip_norm
        )
