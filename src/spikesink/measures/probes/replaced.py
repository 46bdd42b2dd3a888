"""Change what a model computes for a while, without touching its weights."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def replaced(modules: Iterable[nn.Module], method: str, make: Callable[[nn.Module], Callable]) -> Iterator[None]:
    """For a while ``module.method`` is what ``make(module)`` returns; the model's weights are not touched."""
    modules = list(modules)
    try:
        for module in modules:
            setattr(module, method, make(module))
        yield
    finally:
        for module in modules:
            vars(module).pop(method, None)
