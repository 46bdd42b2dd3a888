"""Cross-entropy of next tokens, whole or without ever forming all logits."""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def summed(h_PD: Tensor, head_VD: Tensor, targets_P: Tensor, dtype: torch.dtype) -> Tensor:
    """Sum over positions of the cross-entropy in nats, float32; that of each position is computed in ``dtype``."""
    if dtype == torch.float32:
        return F.cross_entropy(F.linear(h_PD, head_VD).float(), targets_P, reduction="sum")
    return F.cross_entropy(F.linear(h_PD.to(dtype), head_VD.to(dtype)), targets_P, reduction="none").float().sum()


def next_token_loss(
    h_BTD: Tensor,
    head_VD: Tensor,
    targets_BT: Tensor,
    chunk: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Mean cross-entropy in nats, float32, of the head's logits, computed in ``dtype``, against the targets.

    With ``chunk``, the logits of only this many positions exist at a time, forward and backward: a chunk keeps its
    hidden states, and computes its logits again for the gradient. The gradient is the same up to rounding.
    """
    h, targets = h_BTD.flatten(0, 1), targets_BT.flatten()
    # autocast would compute the cross-entropy in float32
    with nullcontext() if dtype == torch.float32 else torch.autocast(h.device.type, enabled=False):
        if chunk is None:
            total = summed(h, head_VD, targets, dtype)
        else:
            total = torch.zeros((), device=h.device)
            for h_PD, targets_P in zip(h.split(chunk), targets.split(chunk), strict=True):
                total = total + checkpoint(summed, h_PD, head_VD, targets_P, dtype, use_reentrant=False)
    return total / targets.numel()
