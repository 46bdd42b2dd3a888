"""Replace a method of some modules for a while, to change what a model computes without touching its weights."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def replaced(modules: Iterable[nn.Module], method: str, make: Callable[[nn.Module], Callable]) -> Iterator[None]:
    """While it is open, ``module.method`` is what ``make(module)`` returned; the model's weights stay as they are."""
    modules = list(modules)
    try:
        for module in modules:
            setattr(module, method, make(module))
        yield
    finally:
        for module in modules:
            vars(module).pop(method, None)
