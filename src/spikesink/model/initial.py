"""Initial weights, every parameter from a stream of its own named by seed and parameter.

Two variants of one seed therefore start from the same values wherever they share a parameter, and a difference between
them is paired. A value depends on nothing but settings, seed, name and shape, so a model that is sharded over many
devices starts from the same values without ever existing whole.
"""

import hashlib

import torch
from torch import Tensor

from spikesink.model.decoder import Decoder
from spikesink.model.norms import initial_norm
from spikesink.study.settings import Model


def initial_value(settings: Model, seed: int, name: str, shape: torch.Size) -> Tensor:
    """The float32 value that the parameter ``name`` of a decoder starts from, on the CPU.

    A norm says what its parameters start from. Everything else is normal around 0, or 0.
    """
    module, _, parameter = name.rpartition(".")
    if module.endswith("norm"):
        is_attention = module.startswith("blocks.") and int(name.split(".")[1]) % 2 == 0
        return initial_norm(settings.norm, parameter, shape, is_attention)
    std = standard_deviation(settings, name)
    if std == 0:
        return torch.zeros(shape)
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.empty(shape).normal_(0, std, generator=generator)


def standard_deviation(settings: Model, name: str) -> float:
    """Standard deviation of the initial values of the parameter ``name``, which is no norm's; 0: all start from 0."""
    initialisation = settings.initialisation
    if name.endswith((".bias", ".theta", ".extra_key.logit")):
        return 0.0
    if name.endswith((".extra_key.key", ".extra_key.value")):
        return initialisation.extra_key_std
    if name == "embedding.weight":
        return initialisation.embedding_std
    if name == "head.weight":
        return initialisation.head_std or settings.d_model**-0.5
    if name.endswith((".body.q.weight", ".body.k.weight")):
        return initialisation.query_key_std or initialisation.linear_std
    return initialisation.linear_std


@torch.no_grad()
def initialise(model: Decoder, seed: int) -> None:
    """Set every parameter of a decoder to its initial value."""
    for name, parameter in model.named_parameters():
        parameter.copy_(initial_value(model.settings, seed, name, parameter.shape))
