"""Muon for the matrices inside the layers and AdamW for everything else, as Muon's authors say, as one optimiser."""

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from spikesink.study.settings import Optimiser

PART = "muon"


class Together(Optimizer):
    """Several optimisers, each with parameters of its own, that step, save and load as one.

    Their groups and state are kept here, so that a schedule and a checkpoint see a single optimiser.
    """

    def __init__(self, optimisers: list[Optimizer]) -> None:
        self.optimisers = optimisers
        groups = [group | {"of": number} for number, one in enumerate(optimisers) for group in one.param_groups]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for number, one in enumerate(self.optimisers):
            # Given anew at every step: loading a checkpoint replaces both.
            one.state = self.state
            one.param_groups = [group for group in self.param_groups if group["of"] == number]
            one.step()


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a decoder's parameter is a matrix inside its layers: no embedding, no head, no table over positions."""
    return name.startswith("blocks.") and parameter.dim() == 2


def build_muon(matrices: list[dict], others: list[dict], settings: Optimiser) -> Optimizer:
    """Muon for the groups ``matrices``, AdamW for the groups ``others``.

    Muon's steps are scaled by 0.2 sqrt(largest side) (Liu et al., 2502.16982), to the root mean square of AdamW's, so
    that both take one learning rate. The momentum is Nesterov's, with five Newton-Schulz iterations.
    """
    betas = (settings.beta1, settings.beta2)
    optimisers: list[Optimizer] = []
    if matrices:
        muon = Muon(matrices, lr=settings.lr, momentum=settings.momentum, adjust_lr_fn="match_rms_adamw")
        optimisers.append(muon)
    if others:
        optimisers.append(AdamW(others, lr=settings.lr, betas=betas, eps=settings.eps, fused=True))
    return Together(optimisers)
