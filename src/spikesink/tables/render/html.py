"""Tables as one HTML page, made by great-tables: it stands alone and loads nothing."""

from collections.abc import Mapping
from html import escape
from itertools import groupby

import polars as pl
from great_tables import GT, loc, style

from spikesink.tables.render.layout import TEXTS, Column

LONGEST = 30
"""Letters of a cell of numbers that stays on one line; a longer list is broken."""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
</head>
<body style="margin: 1.5em">
{tables}
</body>
</html>
"""


def html(tables: Mapping[str, tuple[list[Column], list[str]]], reference: str) -> str:
    """A page of tables by title. ``reference`` is the id of the first; the others have a number behind it."""
    shown = [
        table(title, f"{reference}{place or ''}", columns, notes).as_raw_html()
        for place, (title, (columns, notes)) in enumerate(tables.items())
    ]
    return PAGE.format(title=escape(next(iter(tables))), tables="\n".join(shown))


def table(title: str, reference: str, columns: list[Column], notes: list[str]) -> GT:
    """Title, column groups, all columns, the best in bold, notes below."""
    # Headings repeat in both groups: the frame's columns have numbers for names.
    names = [str(place) for place in range(len(columns))]
    frame = pl.DataFrame({name: column.cells for name, column in zip(names, columns, strict=True)})
    numbers = [name for name, column in zip(names, columns, strict=True) if column.heading not in TEXTS]
    texts = [name for name in names if name not in numbers]
    made = (
        GT(frame, id=reference)
        .tab_header(title)
        .cols_label({name: column.heading for name, column in zip(names, columns, strict=True)})
        .cols_align("right")
        .cols_align("left", columns=texts)
        .tab_style(style.css("min-width: 10em;"), loc.body(columns=texts))
        .tab_options(
            heading_align="left",
            table_margin_left="0",
            table_margin_right="auto",
            table_font_size="14px",
            data_row_padding="4px",
            data_row_padding_horizontal="10px",
            column_labels_padding_horizontal="10px",
            heading_padding_horizontal="10px",
            source_notes_padding="2px",
            source_notes_padding_horizontal="10px",
        )
    )
    for group, members in groupby(zip(names, columns, strict=True), key=lambda pair: pair[1].group):
        if group:
            made = made.tab_spanner(group, columns=[name for name, _ in members])
    for name, column in zip(names, columns, strict=True):
        short = [place for place, cell in enumerate(column.cells) if len(cell) <= LONGEST]
        if name in numbers and short:
            made = made.tab_style(style.css("white-space: nowrap;"), loc.body(columns=name, rows=short))
        if column.best:
            made = made.tab_style(style.text(weight="bold"), loc.body(columns=name, rows=sorted(column.best)))
    for note in notes:
        made = made.tab_source_note(note)
    return made
