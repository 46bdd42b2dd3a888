"""Positions in bins, which curves over many positions are averaged in."""

import polars as pl

BINS = 16
"""At most so many bins."""


def middle_of_bin(position: pl.Expr, length: pl.Expr) -> pl.Expr:
    """The middle of the bin that a position lies in: the mean of its first and last position.

    Bins hold equally many of the positions from 0 to length - 1; the last one may hold fewer.
    """
    size = (length / BINS).ceil().clip(1)
    first = position // size * size
    return (first + pl.min_horizontal(first + size, length) - 1) / 2
