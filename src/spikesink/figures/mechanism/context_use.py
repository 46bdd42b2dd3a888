"""How a model uses its context: loss by position, induction, retrieval by distance, and text beyond the context."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.bins import middle_of_bin
from spikesink.figures.drawing.canvas import legend, note
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.scales import log_scale, spans_a_decade, whole_ticks
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import Look, Style, line

QUESTIONS = ("perplexity", "induction", "retrieval", "beyond_context")
CAPTION = (
    "Text: loss of held-out text by position in the trained context. Repeated random tokens: loss by place in the "
    "first copy (thin) and in the second, which a model with induction heads predicts (after Olsson et al., arXiv "
    "2209.11895). Planted values: how often a value is likelier after its key than the values of three other keys, by "
    "distance; bars are the standard deviation over five seeds of the planting, the dotted line is chance (after the "
    "multi-key needles of Chen et al., arXiv 2603.17771). Beyond the context: perplexity of text of four contexts by "
    "position, in trained contexts; a model whose gate has a table over positions has none."
)
COLUMNS = {"model": TEXT, "panel": TEXT, "copy": WHOLE, "x": REAL, "value": REAL, "spread": REAL}
PANELS = {
    "position": ("Text", "Position", "Loss (nats)"),
    "induction": ("Repeated random tokens", "Place in the copy", "Loss (nats)"),
    "retrieval": ("Planted values", "Distance (tokens)", "Right among\nfour values (%)"),
    "beyond": ("Beyond the context", "Position (contexts)", "Perplexity"),
}
"""Title and labels of both axes of every panel."""
CHANCE = 25.0
CHANCE_LINE = {"color": "0.5", "linewidth": 0.8, "linestyle": (0, (1, 1.5)), "zorder": 1}


def data(models: Models) -> pl.DataFrame:
    """A value per model, panel and x: positions and distances in tokens, in panel "beyond" in contexts."""
    losses = {"tokens": WHOLE, "nll_nats": REAL}
    positions = stacked(models, "perplexity", {"position": WHOLE} | losses)
    copies = stacked(models, "induction", {"copy": WHOLE, "place": WHOLE} | losses)
    counts = {"seed": WHOLE, "distance": WHOLE, "sequences": WHOLE, "chosen": WHOLE}
    needles = stacked(models, "retrieval", counts)
    beyond = stacked(models, "beyond_context", {"first": WHOLE, "last": WHOLE, "contexts": WHOLE} | losses)
    by_seed = needles.group_by("model", "distance", "seed", maintain_order=True).agg(
        (100 * pl.col("chosen").sum() / pl.col("sequences").sum()).alias("share")
    )
    trained = beyond.filter(pl.col("contexts") == 1).group_by("model").agg(context=pl.col("last").max())
    loss = (pl.col("nll_nats").sum() / pl.col("tokens").sum()).alias("value")
    parts = {
        "position": binned(positions, "position", "model").agg(loss),
        "induction": binned(copies, "place", "model", "copy").agg(loss),
        "retrieval": by_seed.group_by("model", pl.col("distance").alias("x"), maintain_order=True).agg(
            pl.col("share").mean().alias("value"), pl.col("share").std().alias("spread")
        ),
        "beyond": beyond.join(trained, on="model", maintain_order="left").select(
            "model",
            x=(pl.col("first") + pl.col("last")) / 2 / pl.col("context"),
            value=(pl.col("nll_nats") / pl.col("tokens")).exp(),
        ),
    }
    found = [part.with_columns(panel=pl.lit(name)) for name, part in parts.items()]
    empty = pl.DataFrame(schema=COLUMNS)
    return pl.concat([empty, *found], how="diagonal_relaxed").select(
        pl.col(name).cast(kind) for name, kind in COLUMNS.items()
    )


def binned(table: pl.DataFrame, column: str, *by: str) -> pl.dataframe.group_by.GroupBy:
    """The rows grouped by model and bin; x is the middle of the bin."""
    middle = middle_of_bin(pl.col(column), pl.col(column).max().over("model") + 1)
    return table.with_columns(x=middle).group_by(*by, "x", maintain_order=True)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Four panels, two in a row on a page, models by colour."""
    figure, axes = strip(len(PANELS), 1.8, 0.1, width)
    for (panel, (name, x, y)), axis in zip(PANELS.items(), axes, strict=True):
        shown = data.filter(pl.col("panel") == panel)
        for model, look in style.items():
            draw_panel(axis, shown.filter(pl.col("model") == model), look)
        axis.set(title=name, xlabel=x, ylabel=y)
        if shown.is_empty():
            note(axis, "not measured")
        if panel != "beyond":
            whole_ticks(axis.xaxis)
        if panel == "retrieval":
            axis.set_ylim(-4, 104)
            axis.axhline(CHANCE, **CHANCE_LINE)
        if panel == "beyond" and spans_a_decade(shown["value"]):
            log_scale(axis.yaxis)
    handles = [Line2D([], [], color=look.colour, marker=look.marker, label=name) for name, look in style.items()]
    handles.append(Line2D([], [], color="0.5", linewidth=0.6, label="first copy"))
    handles.append(Line2D([], [], **CHANCE_LINE, label="chance"))
    legend(figure, handles)
    return figure


def draw_panel(axis: Axes, table: pl.DataFrame, look: Look) -> None:
    """A line per model; two of the induction, and bars where values have a spread."""
    for (copy,), rows in table.group_by("copy", maintain_order=True):
        rows = rows.sort("x")
        thin = {"linewidth": 0.6} if copy == 1 else {"marker": look.marker, "markersize": 3}
        axis.plot(rows["x"].to_list(), rows["value"].to_list(), color=look.colour, linestyle=line(look), **thin)
        if rows["spread"].is_not_null().any():
            spread = rows["spread"].to_list()
            axis.errorbar(
                rows["x"].to_list(), rows["value"].to_list(), yerr=spread, fmt="none", color=look.colour, elinewidth=0.8
            )
