"""Draw figures in tests, and check each: drawn from its CSV alone, as wide as asked, no text cut off or overlapping."""

import re
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure
from matplotlib.text import Text
from polars.testing import assert_frame_equal

from spikesink.figures.drawing.files import NOT_IN_PDF, save
from spikesink.figures.drawing.style import Style, style_of_variants
from spikesink.tables.parts import read_runs, variant_names


def draw_ablation(module: ModuleType, parts: Path, ablation: str, width: str = "auto") -> Figure:
    """A figure of an ablation from its collected tables."""
    return module.draw(module.data(parts, ablation), ablation_style(parts, ablation), width)


def ablation_style(parts: Path, ablation: str) -> Style:
    return style_of_variants(variant_names(read_runs(parts, ablation)))


def draw_models(module: ModuleType, models: dict, width: str = "auto", style: Style | None = None) -> Figure:
    """A figure of models from their tables by label and question."""
    return module.draw(module.data(models), style or style_of_variants(models), width)


def check_drawn_from_its_csv(
    draw: Callable[[pl.DataFrame], Figure], data: pl.DataFrame, columns: dict, folder: Path, again: bool = False
) -> Figure:
    """Check that the CSV beside a figure is the data that it was drawn from, to the last digit.

    The PDF is as wide as the figure, which is returned, and has fonts for print. ``again``: the CSV draws the same
    bytes again. Of what a tiny study has, tests/workflow/test_published.py checks that in all figures.
    """
    save(figure := draw(data), data, str(folder / "first"))
    table = read_data(folder / "first.csv", columns)
    assert_frame_equal(table, data, check_exact=True)
    assert len(data) and (folder / "first.png").read_bytes().startswith(b"\x89PNG")
    pdf = (folder / "first.pdf").read_bytes()
    check_fonts(pdf)
    assert abs(width_of(pdf) - figure.get_figwidth()) < 0.02
    if again:
        save(draw(table), table, str(folder / "again"))
        for kind in ("png", "pdf", "csv"):
            assert (folder / f"first.{kind}").read_bytes() == (folder / f"again.{kind}").read_bytes(), kind
    return figure


def read_data(path: Path, columns: dict) -> pl.DataFrame:
    """The data of a figure from its CSV, with these columns in these types."""
    return pl.read_csv(path, columns=list(columns), schema_overrides=columns)


def check_layout(figure: Figure, width: float | None = None) -> None:
    """Check that the figure has the width in inches, everything lies inside it, and no two texts touch."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    if width:
        assert abs(figure.get_figwidth() - width) < 1e-9
    box, (wide, high) = figure.get_tightbbox(renderer), figure.get_size_inches()
    assert box.x0 >= -0.01 and box.x1 <= wide + 0.01, f"cut at a side: {box.x0:.2f} to {box.x1:.2f} of {wide:.2f}"
    assert box.y0 >= -0.01 and box.y1 <= high + 0.01, f"cut above or below: {box.y0:.2f} to {box.y1:.2f} of {high:.2f}"
    found = texts(figure)
    boxes = np.reshape([text.get_window_extent(renderer).padded(-0.5).extents for text in found], (-1, 4))
    reaches = (boxes[:, None, :2] <= boxes[None, :, 2:]).all(2)
    touching = np.argwhere(np.triu(reaches & reaches.T, 1))
    assert [(found[one].get_text(), found[other].get_text()) for one, other in touching] == [], "these texts touch"


def texts(figure: Figure) -> list[Text]:
    """All texts of the figure, without tick labels outside the limits of their axis."""
    found = list(figure.texts)
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes)]
    found += [text for legend in legends if legend for text in legend.get_texts()]
    for axis in figure.axes:
        if not axis.axison:
            continue
        found += [axis.title, axis._left_title, axis._right_title, *axis.texts]
        for one in (axis.xaxis, axis.yaxis):
            low, high = sorted(one.get_view_interval())
            edge = 1e-9 * (high - low)
            found += [one.label] + [
                tick.label1
                for tick in one.get_major_ticks()
                if tick.label1.get_visible() and low - edge <= tick.get_loc() <= high + edge
            ]
    return [text for text in found if text.get_text() and text.get_visible()]


def check_fonts(pdf: bytes) -> None:
    """Check that the PDF has text and that every font is embedded as TrueType, none as Type 3."""
    fonts = re.findall(rb"<<[^<>]*/Type\s*/FontDescriptor.*?>>", pdf, re.DOTALL)
    assert fonts, "the PDF has no text"
    assert all(b"/FontFile2" in font for font in fonts), "TrueType, which journals ask for"
    streams = re.findall(rb"/FlateDecode[^>]*>>\s*stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    streams = [zlib.decompressobj().decompress(stream) for stream in streams]
    everything = pdf + b"".join(streams)
    assert b"/Type3" not in everything and b"/Subtype /Type3" not in everything
    assert b"CreationDate" not in everything
    letters = [TTFont(BytesIO(stream)) for stream in streams if stream.startswith(b"\0\1\0\0")]
    assert len(letters) == len(fonts)
    assert not any(table in font for font in letters for table in NOT_IN_PDF), "what nobody reads takes time to write"


def width_of(pdf: bytes) -> float:
    """Width of the page in inches."""
    left, right = re.search(rb"/MediaBox \[\s*([\d.-]+) [\d.-]+ ([\d.-]+) [\d.-]+\s*\]", pdf).groups()
    return (float(right) - float(left)) / 72
