"""What quantisation learns from calibration text, as running statistics: no activation outlives its batch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.measures.probes.replaced import replaced
from spikesink.model.decoder import Decoder


def linears(model: Decoder) -> dict[str, nn.Linear]:
    """Every matrix inside the blocks by name, those of gates among them; the output head is not."""
    return {name: module for name, module in model.blocks.named_modules() if isinstance(module, nn.Linear)}


@contextmanager
def watched(modules: Iterable[nn.Module], watch: Callable) -> Iterator[None]:
    """While it is open, ``watch`` sees the inputs of these modules."""
    handles = [module.register_forward_pre_hook(watch) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def run_watched(model: Decoder, modules: Iterable[nn.Module], watch: Callable, tokens: Tensor, batch_size: int) -> None:
    """Run the model over tokens [n, T] while ``watch`` sees the inputs of these modules."""
    with watched(modules, watch):
        for batch in tokens.split(batch_size):
            model(batch.to(model.device))


def input_ranges(model: Decoder, tokens: Tensor, batch_size: int) -> dict[str, Tensor]:
    """Largest |x| that enters each matrix over tokens [n, T]: a MinMax observer of symmetric ranges."""
    ranges: dict[str, Tensor] = {}
    names = {module: name for name, module in linears(model).items()}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        largest = inputs[0].float().abs().amax()
        before = ranges.get(names[module], largest)
        ranges[names[module]] = torch.maximum(before, largest)

    run_watched(model, names, watch, tokens, batch_size)
    return ranges


@contextmanager
def with_weights(model: Decoder, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """While it is open, the matrices that ``weights`` names, also later, compute with the weights given there."""
    names = {module: name for name, module in linears(model).items()}

    def make(module: nn.Linear) -> Callable[[Tensor], Tensor]:
        return lambda x: F.linear(x, weights.get(names[module], module.weight), module.bias)

    with torch.no_grad(), replaced(names, "forward", make):
        yield


@dataclass
class Seen:
    """The inputs of one matrix over the calibration text, summed up."""

    hessian_II: Tensor | float = 0.0
    """Sum of x x^T over tokens, in float32: the Hessian of half the squared error of the matrix's output."""
    magnitude_I: Tensor | float = 0.0
    """Sum of |x|; a method that compares channels needs no mean."""
    inputs: list[Tensor] | None = field(default_factory=list)
    """The inputs themselves, as long as they are fewer than their channels; ``output_change`` then computes less."""

    def add(self, x: Tensor) -> None:
        x = x.flatten(0, -2).float()
        self.hessian_II = self.hessian_II + x.T @ x
        self.magnitude_I = self.magnitude_I + x.abs().sum(dim=0)
        if self.inputs is not None:
            self.inputs.append(x)
            if sum(map(len, self.inputs)) >= x.shape[1]:
                self.inputs = None

    def output_change(self, change_OI: Tensor) -> float:
        """Squared change of the matrix's output, summed over outputs and tokens, when ``change_OI`` is added to it."""
        if self.inputs:
            return sum((x @ change_OI.T).square().sum(dtype=torch.float64).item() for x in self.inputs)
        return ((change_OI @ self.hessian_II) * change_OI).sum(dtype=torch.float64).item()


@torch.no_grad()
def inputs_by_block(model: Decoder, tokens: Tensor, batch_size: int) -> Iterator[dict[str, Seen]]:
    """Yields for every block what its matrices saw over tokens [n, T], by name.

    A block's successors see what it computes after the statistics were yielded: whoever changes its weights then, with
    ``with_weights``, calibrates the later blocks on what the changed ones give. Memory: the residual stream of the
    calibration text, and the Hessians of one block.
    """
    batches = [batch.to(model.device) for batch in tokens.split(batch_size)]
    streams = [model.embedding(batch) for batch in batches]
    for index, block in enumerate(model.blocks):
        members = {module: f"{index}.{name}" for name, module in block.named_modules() if isinstance(module, nn.Linear)}
        seen = {name: Seen() for name in members.values()}

        def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen[members[module]].add(inputs[0])  # noqa: B023 (called before the next round)

        def run(block: nn.Module) -> list[Tensor]:
            embeddings = (model.embedding(batch) for batch in batches)
            return [block(h, model.context(e)) for h, e in zip(streams, embeddings, strict=True)]  # noqa: B023

        with watched(members, watch):
            run(block)
        yield seen
        streams = run(block)
