"""A figure and its data as files."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import polars as pl
from fontTools import subset
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from spikesink.figures.drawing.fit import fit_labels
from spikesink.runs.sums import noted
from spikesink.tables.outputs import write_table

Columns = Mapping[str, pl.DataType]
"""The columns of a figure's data: names and types, in order."""
WHOLE, REAL, TEXT, TRUTH = pl.Int64(), pl.Float64(), pl.String(), pl.Boolean()

NOT_IN_PDF = ("GDEF", "GPOS", "GSUB", "kern", "name")
"""Tables of a font that say how letters are placed, and what it is called. A PDF holds letters that are placed."""
# Matplotlib has no option for it. Of 0.085 s for a font, reading and writing these tables takes 0.055 s.
subset.Options._drop_tables_default = [*subset.Options._drop_tables_default, *NOT_IN_PDF]


def save(figure: Figure, data: pl.DataFrame, stem: str) -> None:
    """Write STEM.pdf (TrueType fonts), STEM.png (200 dpi), and STEM.csv, the data that the figure was drawn from.

    The files are as wide as the figure, so that a paper shows the text at the style's size. The same figure gives the
    same bytes.
    """
    # The layout and the box around all text are found once, not for every file.
    figure.align_ylabels([axis for axis in figure.axes if axis.get_ylabel()])
    fit_labels(figure)
    figure.set_layout_engine(None)
    drawn, width = figure.get_tightbbox(), figure.get_figwidth()
    box = Bbox.from_extents(min(0, drawn.x0), drawn.y0 - 0.03, max(width, drawn.x1), drawn.y1 + 0.03)
    keep_names(figure)
    # The resolution of a PDF is that of clouds of many points; all else has none.
    save_as(figure, f"{stem}.pdf", bbox_inches=box, dpi=300, metadata={"CreationDate": None})
    save_as(figure, f"{stem}.png", bbox_inches=box)
    write_table(data, f"{stem}.csv")


def keep_names(figure: Figure) -> None:
    """Leave the names of axes where they are: else the tick labels beside them are measured again for every file."""
    for axis in figure.axes:
        for one in (axis.xaxis, axis.yaxis):
            place = one.label.get_transform().transform(one.label.get_position())
            one.set_label_coords(*axis.transAxes.inverted().transform(place))


def save_as(figure: Figure, path: str, **options: Any) -> None:
    """Draw in memory, then write: Matplotlib hides a full disk behind errors of its own."""
    drawn = BytesIO()
    figure.savefig(drawn, format=path.rpartition(".")[2], **options)
    with noted(path) as part:
        part.write_bytes(drawn.getvalue())
