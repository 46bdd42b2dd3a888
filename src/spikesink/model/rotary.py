"""Rotary position embeddings in the rotate-half layout of Llama."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from spikesink.study.settings import Attention, RopeScaling


class Rotary(NamedTuple):
    """Cosines and sines of the angles at every position, float32. R is at most the head dimension."""

    cos_TR: Tensor
    sin_TR: Tensor


def rotary_tables(
    positions: int, shape: Attention, device: torch.device, *, windowed: bool = False, first: int = 0
) -> Rotary:
    """The tables of so many positions from ``first`` on. ``windowed``: of layers with a sliding window, which may have
    angles of their own.

    R is ``shape.rotary_channels``, the head dimension unless the settings rotate a part of it.
    """
    theta, scaling, width = shape.rope_theta, shape.rope_scaling, shape.rotary_channels or shape.head_dim
    if windowed and shape.window is not None and shape.window.rope_theta is not None:
        theta, scaling = shape.window.rope_theta, None
    exponents = torch.arange(0, width, 2, device=device, dtype=torch.float32) / width
    frequencies = 1.0 / theta**exponents
    if scaling is not None:
        frequencies = stretched(frequencies, scaling)
    places = torch.arange(first, first + positions, device=device, dtype=torch.float32)
    angles = torch.outer(places, frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    return Rotary(angles.cos(), angles.sin())


def stretched(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3's scaling: fast frequencies stay, slow ones are divided by ``factor``, those between are interpolated.

    A frequency's place is its number of turns over the original context.
    """
    turns = scaling.original_positions * frequencies / (2 * math.pi)
    span = scaling.high_frequency_factor - scaling.low_frequency_factor
    kept = ((turns - scaling.low_frequency_factor) / span).clamp(0, 1)
    return kept * frequencies + (1 - kept) * frequencies / scaling.factor


def rotate(x_BNTH: Tensor, cos_TR: Tensor, sin_TR: Tensor) -> Tensor:
    """Turn every pair (i, i + R / 2) of the first R channels by its position's angle; the others stay as they are.

    The norm of each pair is unchanged.
    """
    width = cos_TR.shape[-1]
    if width < x_BNTH.shape[-1]:
        return torch.cat((rotate(x_BNTH[..., :width], cos_TR, sin_TR), x_BNTH[..., width:]), dim=-1)
    half = width // 2
    # The partner of a channel of the first half counts negatively. The small table takes the sign, not x.
    signed_TR = torch.cat((-sin_TR[..., :half], sin_TR[..., half:]), dim=-1)
    x = x_BNTH.float()
    return torch.addcmul(x * cos_TR, x.roll(half, dims=-1), signed_TR).to(x_BNTH.dtype)
