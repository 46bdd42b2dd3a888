"""Labels as they stand: a dollar sign in one is a dollar sign, where matplotlib would begin mathematics."""

import polars as pl

from spikesink.figures.drawing.style import Style


def literal(text: str) -> str:
    """The text as matplotlib must get it to show its dollar signs."""
    return text.replace("$", r"\$")


def literal_texts(data: pl.DataFrame) -> pl.DataFrame:
    """A figure's data with every text as matplotlib must get it."""
    return data.with_columns(pl.col(pl.String).str.replace_all("$", r"\$", literal=True))


def literal_names(style: Style) -> Style:
    """A style whose names are as in ``literal_texts``."""
    return {literal(name): look for name, look in style.items()}
