"""Corrections of p values for many tests; None is no test, stays None and is not counted."""

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) step-down correction: p values that hold together."""
    order = ascending(p_values)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's (1995) step-up correction: the share of false ones among those below 5 % is at most 5
    %."""
    order = ascending(p_values)
    corrected: list[float | None] = [None] * len(p_values)
    smallest = 1.0
    for rank in range(len(order), 0, -1):
        index = order[rank - 1]
        smallest = min(smallest, p_values[index] * len(order) / rank)
        corrected[index] = smallest
    return corrected


def ascending(p_values: Sequence[float | None]) -> list[int]:
    return sorted((index for index, p in enumerate(p_values) if p is not None), key=lambda index: p_values[index])
