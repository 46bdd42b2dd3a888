"""INT8 weights and inputs, W8A8: inputs by token or by tensor, and SmoothQuant (2211.10438)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.measures.probes.replaced import replaced
from spikesink.measures.quantised.calibration import linears, run_watched
from spikesink.measures.quantised.grids import SMALLEST_RANGE, per_row, rounded
from spikesink.model.decoder import Decoder

ALPHA = 0.5
"""SmoothQuant's migration strength, its authors' default."""


@contextmanager
def quantised(
    members: dict[str, nn.Linear], ranges: Mapping[str, Tensor] | None, smoothing: Mapping[str, Tensor] | None = None
) -> Iterator[None]:
    """While it is open, these matrices compute in simulated INT8, weights with a range per output channel.

    ``ranges`` are static input ranges; None: a range for each token. ``smoothing`` divides the inputs of the matrices
    that it names, channel by channel, and multiplies their weights.
    """
    names = {module: name for name, module in members.items()}
    smoothing = smoothing or {}

    def make(module: nn.Linear) -> Callable[[Tensor], Tensor]:
        fixed = None if ranges is None else ranges[names[module]]
        weight, scale = module.weight, smoothing.get(names[module])
        if scale is None:
            weight = rounded(weight, per_row(weight))
            return lambda x: F.linear(rounded(x, per_row(x) if fixed is None else fixed), weight, module.bias)
        weight = weight.float() * scale
        weight = rounded(weight, per_row(weight)).to(module.weight.dtype)

        def forward(x: Tensor) -> Tensor:
            x = (x.float() / scale).to(x.dtype)
            return F.linear(rounded(x, per_row(x) if fixed is None else fixed), weight, module.bias)

        return forward

    with torch.no_grad(), replaced(names, "forward", make):
        yield


def smoothing(model: Decoder, tokens: Tensor, batch_size: int, alpha: float = ALPHA) -> dict[str, Tensor]:
    """SmoothQuant's scale of every input channel, max|x|^alpha / max|w|^(1 - alpha), by name of the matrix.

    x are the inputs over tokens [n, T], w the weights of all matrices that share them. As in the authors' code, the
    matrices are those that read what a block reads: queries, keys and values, the feed-forward's first matrices, and a
    gate on the normalised input. The code folds the scale into the norm before the block; here the input is divided,
    which every norm, and a block without one, allows.
    """
    names = {module: name for name, module in linears(model).items()}
    body_of = {module: block.body for block in model.blocks for module in block.body.modules()}
    entered: dict[nn.Module, Tensor] = {}
    largest: dict[nn.Module, Tensor] = {}
    readers: dict[nn.Module, dict[str, nn.Linear]] = {}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        body, x = body_of[module], inputs[0]
        if module is body:
            channels = x.float().abs().flatten(0, -2).amax(dim=0)
            entered[body], largest[body] = x, torch.maximum(largest.get(body, channels), channels)
        elif x is entered[body]:
            readers.setdefault(body, {})[names[module]] = module

    run_watched(model, [*{*body_of.values(), *names}], watch, tokens, batch_size)
    scales = {}
    for body, members in readers.items():
        weights = torch.stack([module.weight.float().abs().amax(dim=0) for module in members.values()]).amax(dim=0)
        scale = largest[body] ** alpha / weights.clamp(min=SMALLEST_RANGE) ** (1 - alpha)
        scales |= dict.fromkeys(members, scale.clamp(min=SMALLEST_RANGE))
    return scales
