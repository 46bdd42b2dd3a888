"""Softpick (Zuhri et al., 2504.20966): attention weights that need not sum to one and may be exactly zero."""

import torch
from torch import Tensor

PART = "softpick"

EPSILON = 1e-8


def softpick(scores: Tensor) -> Tensor:
    """relu(e^x_i - 1) / (sum_j |e^x_j - 1| + 1e-8) over the last dimension, in float32; -inf marks masked entries.

    It is computed as e^(x - m) - e^-m with m the largest score. Masked entries are left out of the sum, because each
    would add e^-m to it.
    """
    x = scores.float()
    masked = x == float("-inf")
    largest = x.amax(dim=-1, keepdim=True).clamp(min=0).detach()
    shifted = torch.exp(x - largest) - torch.exp(-largest)
    total = shifted.abs().masked_fill(masked, 0).sum(dim=-1, keepdim=True)
    return (shifted.relu() / (total + EPSILON * torch.exp(-largest))).to(scores.dtype)
