"""What several questions of a job ask of the same model and text is computed once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from torch import Tensor

from spikesink.model.decoder import Decoder

KEPT: ContextVar[dict[tuple, Any] | None] = ContextVar("KEPT", default=None)
"""What has been computed; None where nothing is kept."""


@contextmanager
def kept() -> Iterator[None]:
    """While it is open, a function with ``once`` is computed once for a model and a text. The model must not change."""
    token = KEPT.set({})
    try:
        yield
    finally:
        KEPT.reset(token)


def once(function: Callable) -> Callable:
    """Decorator for a function of (model, tokens, **options), whose options are hashable."""

    @wraps(function)
    def asked(model: Decoder, tokens: Tensor, **options: Any) -> Any:
        found = KEPT.get()
        if found is None:
            return function(model, tokens, **options)
        text = (tuple(tokens.shape), tokens.cpu().numpy().tobytes())
        key = (function.__name__, id(model), text, tuple(sorted(options.items())))
        if key not in found:
            found[key] = function(model, tokens, **options)
        return found[key]

    return asked
