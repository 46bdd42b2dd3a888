"""Rotary position embeddings in the rotate-half layout of Llama."""

import torch
from torch import Tensor


def rotary_tables(positions: int, head_dim: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine tables, each [positions, head_dim], float32."""
    exponents = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    angles = torch.outer(torch.arange(positions, device=device, dtype=torch.float32), theta**-exponents)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x_BNTH: Tensor, cos_TH: Tensor, sin_TH: Tensor) -> Tensor:
    """Turn every pair (i, i + head_dim / 2) by its position's angle; the norm of each pair is unchanged."""
    first, second = x_BNTH.float().chunk(2, dim=-1)
    turned = x_BNTH.float() * cos_TH + torch.cat((-second, first), dim=-1) * sin_TH
    return turned.to(x_BNTH.dtype)
