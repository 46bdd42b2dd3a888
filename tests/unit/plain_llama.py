"""A Llama in plain torch, written from the papers' formulas alone, with the weights of a baseline decoder.

It shares no line with the package: measures are computed a second time from what it shows.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Seen(NamedTuple):
    """One forward pass over tokens [B, T]."""

    logits: Tensor
    states: list[Tensor]
    """The embedding, then the stream after every block: [B, T, D] each."""
    maps: list[Tensor]
    """The attention map of every layer: [B, N, T, T]."""
    inputs: list[Tensor]
    """What every layer's attention reads, after the norm: [B, T, D]."""
    mixtures: list[Tensor]
    """What attention gives before the output projection, heads side by side: [B, T, N H]."""


def norm(x: Tensor, gain: Tensor, eps: float = 1e-5) -> Tensor:
    return gain * x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()


def turned(x: Tensor, theta: float = 10_000.0) -> Tensor:
    """Rotary embedding of [B, N, T, H]: channel i and i + H / 2 are one complex number, turned by t theta^(-2i / H)."""
    half, length = x.shape[-1] // 2, x.shape[-2]
    angles = torch.arange(length)[:, None] * theta ** (-torch.arange(half) / half)
    z = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat((z.real, z.imag), dim=-1)


def run(w: dict[str, Tensor], tokens: Tensor, layers: int, heads: int, product=None) -> Seen:
    """The forward pass with the state ``w`` of a decoder.

    ``product`` (name of a matrix inside the blocks, its input) computes x W^T in another way.
    """
    product = product or (lambda name, x: x @ w[name].T)
    h = w["embedding.weight"][tokens]
    seen = Seen(h, [h], [], [], [])
    for layer in range(layers):
        a, f = f"blocks.{2 * layer}", f"blocks.{2 * layer + 1}"
        x = norm(h, w[f"{a}.pre_norm.weight"])
        q, k, v = (product(f"{a}.body.{n}.weight", x).unflatten(-1, (heads, -1)).transpose(1, 2) for n in "qkv")
        scores = turned(q) @ turned(k).transpose(-1, -2) / math.sqrt(q.shape[-1])
        future = torch.triu(torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool), 1)
        weights = scores.masked_fill(future, -math.inf).softmax(-1)
        mixture = (weights @ v).transpose(1, 2).flatten(2)
        seen.inputs.append(x)
        seen.maps.append(weights)
        seen.mixtures.append(mixture)
        h = h + product(f"{a}.body.o.weight", mixture)
        seen.states.append(h)
        x = norm(h, w[f"{f}.pre_norm.weight"])
        gate, up = product(f"{f}.body.gate.weight", x), product(f"{f}.body.up.weight", x)
        h = h + product(f"{f}.body.down.weight", gate * gate.sigmoid() * up)
        seen.states.append(h)
    return seen._replace(logits=norm(h, w["norm.weight"]) @ w["head.weight"].T)
