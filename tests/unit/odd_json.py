"""JSON documents in which one value is not what it should be."""

from collections.abc import Iterator
from typing import Any

ODD = (None, True, 5, 1e308, "x", "../x", "a\nb\x1b[31m", [], [1], {}, {"a": 1})


def odd(document: Any, where: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """The document again and again, each time with another value odd or gone; first where that is."""
    if isinstance(document, dict):
        for key, value in document.items():
            rest = {name: item for name, item in document.items() if name != key}
            yield (*where, key, "gone"), rest
            yield from (((*where, key, other), document | {key: other}) for other in ODD)
            yield from ((place, document | {key: inner}) for place, inner in odd(value, (*where, key)))
    elif isinstance(document, list):
        for number, value in enumerate(document[:1]):
            for place, inner in odd(value, (*where, number)):
                yield place, [inner, *document[1:]]
