"""Perplexity and sink mass after taking the spike or the sink away, with matched controls (Sun et al., 2402.17762)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend
from spikesink.figures.drawing.files import REAL, TEXT
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.scales import log_scale, spans_a_decade
from spikesink.figures.drawing.stacked import Models
from spikesink.figures.drawing.style import Look, Style, lighter

QUESTIONS = ("interventions",)
CAPTION = (
    "Perplexity of the same held-out text, and mean attention on position 0 over the heads after the step-up block, "
    "when the spike is set to zero or to its mean once, at the step-up block, or when no query may attend to the key "
    "of the sink. Controls: as many channels of median magnitude at the same token, and another key (one mark each, "
    "the large mark is their mean). Taking away what the model needs costs more than the control. After the "
    "interventions of Sun et al., Massive Activations in Large Language Models (arXiv 2402.17762, Table 3)."
)
COLUMNS = {"model": TEXT, "intervention": TEXT, "quantity": TEXT, "mark": TEXT, "value": REAL}
NAMES = {
    "none": "none",
    "zero_spike": "spike to 0",
    "mean_spike": "spike to its mean",
    "zero_median": "control: median\nchannels to 0",
    "mask_sink": "sink masked",
    "mask_other": "control: another\nkey masked",
}
PANELS = (("perplexity", "Perplexity"), ("sink_mass", "Attention on position 0"))


def data(models: Models) -> pl.DataFrame:
    """A value per model, intervention and quantity: of every key of a control (mark "one"), and the mean (mark "mean").

    Of sequences with and without a BOS those with one are drawn.
    """
    found = []
    for name, tables in models.items():
        table = tables["interventions"]
        table = table.filter(pl.col("start") == table["start"].sort()[0])  # bos before text
        for intervention in NAMES:
            members = table.filter(pl.col("intervention") == intervention)
            for quantity, _ in PANELS:
                values = members[quantity].drop_nulls().to_list()
                marks = [("one", value) for value in values] if len(values) > 1 else []
                marks += [("mean", sum(values) / len(values))] if values else []
                found += [(name, intervention, quantity, mark, value) for mark, value in marks]
    return pl.DataFrame(found, schema=COLUMNS, orient="row")


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Two panels, interventions downwards, models by colour."""
    figure, axes = strip(2, 2.0, 0.1, width, sharey=True)
    for axis, (column, label) in zip(axes, PANELS, strict=True):
        for index, (name, look) in enumerate(style.items()):
            place = (index - (len(style) - 1) / 2) * min(0.25, 0.8 / len(style))
            ours = data.filter((pl.col("model") == name) & (pl.col("quantity") == column))
            draw_marks(axis, ours, look, place)
        axis.set_xlabel(label)
        axis.set_yticks(range(len(NAMES)), list(NAMES.values()))
        axis.grid(False, axis="y")
    axes[0].set_ylim(len(NAMES) - 0.5, -0.5)
    axes[1].set_xlim(left=0)
    if spans_a_decade(data.filter(pl.col("quantity") == "perplexity")["value"]):
        log_scale(axes[0].xaxis)
    marks = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle="none", label=name)
        for name, look in style.items()
    ]
    legend(figure, marks)
    return figure


def draw_marks(axis: Axes, shown: pl.DataFrame, look: Look, place: float) -> None:
    """A mark per intervention, small ones for each key of a control; a line marks the model left alone."""
    for index, intervention in enumerate(NAMES):
        rows = shown.filter(pl.col("intervention") == intervention)
        if rows.is_empty():
            continue
        keys = rows.filter(pl.col("mark") == "one")["value"].to_list()
        axis.scatter(keys, [index + place] * len(keys), s=4, color=lighter(look.colour), linewidths=0)
        mean = rows.filter(pl.col("mark") == "mean")["value"][0]
        axis.scatter([mean], [index + place], s=18, color=look.colour, marker=look.marker, zorder=3)
        if intervention == "none":
            axis.axvline(mean, color=look.colour, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
