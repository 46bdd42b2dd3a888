"""The optimiser of a run and the clipping of its gradients."""

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from spikesink.study.settings import Optimiser


def parameter_groups(model: nn.Module, weight_decay: float, decay: str) -> list[dict]:
    """Parameters for the optimiser, in groups with and without weight decay.

    ``decay``: with "all" every parameter decays (2603.05498), else those of two or more dimensions (2603.17771).
    """
    decayed, plain = [], []
    for parameter in model.parameters():
        (decayed if decay == "all" or parameter.dim() >= 2 else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimiser(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum: buf <- momentum buf + (gradient + weight_decay p), p <- p - lr buf."""
    groups = parameter_groups(model, settings.weight_decay, settings.decay)
    if settings.kind == "sgd":
        # torch's fused SGD does not support shards.
        sharded = any(isinstance(parameter, DTensor) for parameter in model.parameters())
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=not sharded, foreach=sharded)
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)


def clip_gradients(model: nn.Module, largest_norm: float) -> Tensor:
    """Scale gradients to a global norm of at most ``largest_norm``; returns their norm before, over all shards."""
    parameters = list(model.parameters())
    # foreach is set because torch does not choose it for shards by itself.
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None], foreach=True)
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    clip_grads_with_norm_(parameters, largest_norm, norm, foreach=True)
    return norm
