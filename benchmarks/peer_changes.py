"""Other ways of computing the same as our decoder, to see on a GPU what each would gain."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.model.feed_forward import SwiGLU


def joined(decoder: Decoder) -> None:
    """Queries, keys and values are one matrix product, and so are SwiGLU's gate and up projections."""
    for block in decoder.blocks:
        if isinstance(block.body, CausalAttention):
            together = Together([block.body.q, block.body.k, block.body.v])
            block.body.q, block.body.k, block.body.v = (Part(together, number) for number in range(3))
        elif isinstance(block.body, SwiGLU):
            block.body.forward = partial(swiglu, block.body)


class Together:
    """The product of one input with several matrices, computed when the first of them is asked for."""

    def __init__(self, matrices: list[nn.Linear]) -> None:
        self.matrices = matrices
        self.parts: tuple[Tensor, ...] = ()

    def part(self, x: Tensor, number: int) -> Tensor:
        if number == 0:
            self.parts = product(x, self.matrices)
        return self.parts[number]


class Part(nn.Module):
    """One of the matrices, in the place of its nn.Linear. The parameters stay those of the nn.Linear."""

    def __init__(self, together: Together, number: int) -> None:
        super().__init__()
        self.together, self.number = together, number
        self.weight = together.matrices[number].weight

    def forward(self, x: Tensor) -> Tensor:
        return self.together.part(x, self.number)


def product(x: Tensor, matrices: list[nn.Linear]) -> tuple[Tensor, ...]:
    weight = torch.cat([matrix.weight for matrix in matrices])
    return F.linear(x, weight).split([matrix.out_features for matrix in matrices], dim=-1)


def swiglu(body: SwiGLU, x_BTD: Tensor, context: object) -> Tensor:
    gate, up = product(x_BTD, [body.gate, body.up])
    return body.down(F.silu(gate) * up)


CHANGES = {"joined": joined}
