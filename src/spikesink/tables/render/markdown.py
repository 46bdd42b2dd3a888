"""Tables as Markdown."""

from collections.abc import Mapping

from spikesink.tables.render.layout import TEXTS, Column
from spikesink.tables.render.markdown_text import escaped


def markdown(tables: Mapping[str, tuple[list[Column], list[str]]]) -> str:
    """Every table by its title, with a line for every note: the first under the page's heading, others below it."""
    parts = [
        f"{'#' if place == 0 else '##'} {escaped(title)}\n\n{table(columns)}\n\n"
        + "\n".join(f"- {escaped(note)}" for note in notes)
        for place, (title, (columns, notes)) in enumerate(tables.items())
    ]
    return "\n\n".join(parts) + "\n"


def table(columns: list[Column]) -> str:
    """A pipe table; columns of a group other than this study's name it in their heading."""
    headings = [
        escaped(f"{column.group}: {column.heading}" if column.group not in ("", "this study") else column.heading)
        for column in columns
    ]
    alignment = ["---" if column.heading in TEXTS else "---:" for column in columns]
    rows = zip(*(cells(column) for column in columns), strict=True)
    lines = [headings, alignment, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cells(column: Column) -> list[str]:
    """A column's cells as Markdown, the best in bold."""
    plain = [escaped(cell) for cell in column.cells]
    return [f"**{cell}**" if place in column.best else cell for place, cell in enumerate(plain)]
