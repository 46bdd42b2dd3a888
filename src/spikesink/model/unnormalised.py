"""Attention weights without a sum that all keys share: what one key gets leaves the others' weights as they are."""

import torch
from torch import Tensor

PART = "unnormalised"


def sigmoid(scores: Tensor) -> Tensor:
    """1 / (1 + e^-x) of every entry (Gu et al., 2410.10781); -inf marks masked scores, whose weight is 0."""
    return scores.sigmoid()


def relu(scores: Tensor) -> Tensor:
    """relu(x) / n over the last dimension, n being the number of visible keys (Wortsman et al., 2309.08586).

    So does the code of Guo et al. (2410.13835): it divides the weights of query t, counted from 0, by t + 1. -inf marks
    masked scores, whose weight is 0.
    """
    visible = (scores > float("-inf")).sum(dim=-1, keepdim=True)
    return torch.relu(scores / visible)
