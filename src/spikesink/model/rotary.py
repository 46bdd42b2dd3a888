"""Rotary position embeddings in the rotate-half layout of Llama."""

import math

import torch
from torch import Tensor

from spikesink.study.settings import Attention, RopeScaling


def rotary_tables(positions: int, shape: Attention, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine tables, each [positions, head_dim], float32."""
    exponents = torch.arange(0, shape.head_dim, 2, device=device, dtype=torch.float32) / shape.head_dim
    frequencies = 1.0 / shape.rope_theta**exponents
    if shape.rope_scaling is not None:
        frequencies = stretched(frequencies, shape.rope_scaling)
    angles = torch.outer(torch.arange(positions, device=device, dtype=torch.float32), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def stretched(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3's scaling: fast frequencies stay, slow ones are divided by ``factor``, those between are interpolated.

    A frequency's place is its number of turns over the original context.
    """
    turns = scaling.original_positions * frequencies / (2 * math.pi)
    span = scaling.high_frequency_factor - scaling.low_frequency_factor
    kept = ((turns - scaling.low_frequency_factor) / span).clamp(0, 1)
    return kept * frequencies + (1 - kept) * frequencies / scaling.factor


def rotate(x_BNTH: Tensor, cos_TH: Tensor, sin_TH: Tensor) -> Tensor:
    """Turn every pair (i, i + head_dim / 2) by its position's angle; the norm of each pair is unchanged."""
    first, second = x_BNTH.float().chunk(2, dim=-1)
    turned = x_BNTH.float() * cos_TH + torch.cat((-second, first), dim=-1) * sin_TH
    return turned.to(x_BNTH.dtype)
