"""The optimiser of a run and the clipping of its gradients."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from spikesink.study.kinds import Kinds
from spikesink.study.settings import Optimiser
from spikesink.training.muon import build_muon, is_hidden_matrix


def decays(name: str, parameter: nn.Parameter, settings: Optimiser) -> bool:
    """Whether weight decay reaches the parameter: all, or those of two or more dimensions; V-scale's theta if asked."""
    if name.endswith(".theta"):
        return settings.decay_theta
    return settings.decay == "all" or parameter.dim() >= 2


def parameter_groups(
    parameters: Iterable[tuple[str, nn.Parameter]], settings: Optimiser, key: str = "weight_decay"
) -> list[dict]:
    """Named parameters for the optimiser, in groups with and without weight decay; ``key`` holds its strength."""
    decayed, plain = [], []
    for name, parameter in parameters:
        (decayed if decays(name, parameter, settings) else plain).append(parameter)
    groups = [{"params": decayed, key: settings.weight_decay}, {"params": plain, key: 0.0}]
    return [group for group in groups if group["params"]]


def adamw(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """Decoupled weight decay, two moments with bias correction."""
    betas = (settings.beta1, settings.beta2)
    groups = parameter_groups(model.named_parameters(), settings)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)


def sgd(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """buf <- momentum buf + (gradient + weight_decay p), p <- p - lr buf."""
    groups = parameter_groups(model.named_parameters(), settings)
    # torch's fused SGD does not support shards.
    sharded = any(isinstance(parameter, DTensor) for parameter in model.parameters())
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=not sharded, foreach=sharded)


def rmsprop(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """v <- beta2 v + (1 - beta2) gradient^2, p <- (1 - lr weight_decay) p - lr gradient / (sqrt(v) + eps).

    torch's own weight decay is added to the gradient and so divided by sqrt(v); here p shrinks before the step, as with
    AdamW.
    """
    groups = parameter_groups(model.named_parameters(), settings, key="decoupled_weight_decay")
    optimiser = torch.optim.RMSprop(groups, lr=settings.lr, alpha=settings.beta2, eps=settings.eps, foreach=True)
    optimiser.register_step_pre_hook(shrink)
    return optimiser


@torch.no_grad()
def shrink(optimiser: torch.optim.Optimizer, arguments: tuple, options: dict) -> None:
    for group in optimiser.param_groups:
        torch._foreach_mul_(group["params"], 1 - group["lr"] * group["decoupled_weight_decay"])


def muon(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        (matrices if is_hidden_matrix(name, parameter) else others).append((name, parameter))
    return build_muon(parameter_groups(matrices, settings), parameter_groups(others, settings), settings)


BUILDERS = Kinds("optimiser.kind", __name__, {"adamw": adamw, "sgd": sgd, "rmsprop": rmsprop, "muon": muon})


def build_optimiser(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of this kind. Raises ValueError for an unknown one."""
    return BUILDERS[settings.kind](model, settings)


def clip_gradients(model: nn.Module, largest_norm: float) -> Tensor:
    """Scale gradients to a global norm of at most ``largest_norm``; returns their norm before, over all shards."""
    parameters = list(model.parameters())
    # foreach is set because torch does not choose it for shards by itself.
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None], foreach=True)
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    clip_grads_with_norm_(parameters, largest_norm, norm, foreach=True)
    return norm
