"""Between the tensors of a checkpoint and those of our decoder, where the two differ in more than their names."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from spikesink.pretrained.architectures import Architecture
from spikesink.pretrained.names import hub_name
from spikesink.study.settings import Attention

Shape = tuple[int, ...]


def stored_together(names: Mapping[str, Shape], architecture: Architecture) -> dict[str, list[str]]:
    """Our tensors by their name in the checkpoint: several, in their order, where it stores them as one."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(hub_name(name, architecture), []).append(name)
    return found


def stored_shapes(shapes: Mapping[str, Shape], architecture: Architecture) -> dict[str, Shape]:
    """The checkpoint's shapes by its names, from ours by ours: tensors stored as one stand above each other."""
    return {
        stored: (sum(shapes[name][0] for name in ours), *shapes[ours[0]][1:])
        for stored, ours in stored_together(shapes, architecture).items()
    }


def converted(
    stored: Tensor, ours: list[str], architecture: Architecture, shape: Attention
) -> Iterator[tuple[str, Tensor]]:
    """Each of our tensors that the checkpoint's tensor ``stored`` holds, by its name."""
    for name, tensor in zip(ours, stored.chunk(len(ours)), strict=True):
        if architecture.gain_offset and name.endswith("norm.weight"):
            yield name, tensor.float() + architecture.gain_offset
        elif architecture.rotary_neighbours and name.split(".")[-2] in ("q", "k"):
            yield name, halves(tensor, shape)
        else:
            yield name, tensor


def halves(rows: Tensor, shape: Attention) -> Tensor:
    """Rows, or biases, of a projection to queries or keys, so that the pairs (i, i + half) are the pairs (2i, 2i + 1).

    Queries and keys are put into the new order alike, so their products stay.
    """
    width = shape.rotary_channels or shape.head_dim
    order = torch.cat((torch.arange(0, width, 2), torch.arange(1, width, 2), torch.arange(width, shape.head_dim)))
    return rows.unflatten(0, (-1, shape.head_dim))[:, order.to(rows.device)].flatten(0, 1)
