"""Only what is finite is drawn: the figure says how much it leaves out, and its CSV keeps every value."""

from collections.abc import Callable

import polars as pl
from matplotlib.figure import Figure

from spikesink.figures.drawing.canvas import title

FARTHEST = 1e300
"""The end of an interval that has none, which every axis cuts."""


def draw_finite(draw: Callable[[pl.DataFrame], Figure], data: pl.DataFrame) -> Figure:
    """The picture that ``draw`` makes of the finite values; its title says how many others there are."""
    picture, left_out = draw(finite(data)), count_not_finite(data)
    if left_out:
        values = "value is" if left_out == 1 else "values are"
        said = f"{left_out} {values} not finite and left out"
        title(picture, f"{before}; {said}" if (before := picture.get_suptitle()) else said)
    return picture


def finite(data: pl.DataFrame) -> pl.DataFrame:
    """The data with null in place of values that are not finite; an interval without an end gets a very distant one."""
    return data.with_columns(
        pl.col(name).clip(-FARTHEST, FARTHEST).fill_nan(None)
        if ends_an_interval(name)
        else pl.when(pl.col(name).is_finite()).then(name)
        for name in numbers(data)
    )


def count_not_finite(data: pl.DataFrame) -> int:
    """How many values are infinite or no number, apart from the ends of intervals."""
    return sum(int((~data[name].is_finite()).sum()) for name in numbers(data) if not ends_an_interval(name))


def numbers(data: pl.DataFrame) -> list[str]:
    return [name for name, kind in data.schema.items() if kind.is_float()]


def ends_an_interval(name: str) -> bool:
    return name.rpartition("_")[2] in ("low", "high")
