"""Combine numbers over the processes (ranks) of a run. With one process the functions return what they are given."""

import torch
from torch import Tensor, distributed


def several_ranks() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of ``value`` over all ranks; ``value`` itself is not changed."""
    if not several_ranks():
        return value
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def largest_over_ranks(value: int, device: torch.device) -> int:
    """The largest ``value`` of all ranks; costs nothing with one rank."""
    if not several_ranks():
        return value
    largest = torch.tensor(value, device=device)
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return int(largest)
