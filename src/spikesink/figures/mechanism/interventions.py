"""What is left of a model after taking its spike or its sink away, with matched controls (Sun et al., 2402.17762)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend
from spikesink.figures.drawing.files import REAL, TEXT
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.scales import log_scale, spans_a_decade
from spikesink.figures.drawing.stacked import Models
from spikesink.figures.drawing.style import REFERENCE, Look, Style, lighter

QUESTIONS = ("interventions", "intervention_heads")
CAPTION = (
    "The same held-out text after an intervention, one run per model: perplexity; mean attention on position 0 over "
    "the heads after the step-up block; gradient sink ratio over its value under uniform attention (dashed: 1, no "
    "gradient sink); and spike, the largest channel at position 0. The spike is set to zero or to its mean once, at "
    "the step-up block; the sink's key is hidden from all other queries. Controls, in brackets, take away as many "
    "channels of median magnitude, as much norm from later tokens, as much attention on other keys, or one other key "
    "(one small mark each, the large mark is their mean). Small dots are heads. A dotted line marks the model left "
    "alone. If spikes make sinks through the norm, the attention changes when the spike goes; if sinks make gradient "
    "sinks, the ratio falls to 1 or below when the sink is hidden. After the interventions of Sun et al. (arXiv "
    "2402.17762, Table 3)."
)
COLUMNS = {"model": TEXT, "intervention": TEXT, "quantity": TEXT, "mark": TEXT, "value": REAL}
NAMES = {
    "none": "none",
    "zero_spike": "spike to 0",
    "mean_spike": "spike to mean",
    "zero_median": "(as many channels)",
    "zero_equal_norm": "(equal norm)",
    "mask_sink": "sink hidden",
    "mask_equal_mass": "(equal attention)",
    "mask_other": "(another key)",
}
PANELS = (
    ("perplexity", "Perplexity"),
    ("sink_mass", "Attention on position 0"),
    ("gradient_sink_over_uniform", "Gradient sink ratio over uniform"),
    ("spike", "Spike (magnitude)"),
)

ALONE = {"linewidth": 0.6, "linestyle": (0, (1, 2))}


def data(models: Models) -> pl.DataFrame:
    """A value per model, intervention and quantity: of every key of a control (mark "one"), and the mean (mark "mean").

    Of sink_mass, every head's too (mark "head"). Of sequences with and without a BOS those with one are drawn.
    """
    found = []
    for name, tables in models.items():
        table = tables["interventions"]
        start = pl.col("start") == table["start"].sort()[0]  # bos before text
        table, heads = table.filter(start), tables["intervention_heads"].filter(start & pl.col("after_block"))
        for intervention in NAMES:
            members = table.filter(pl.col("intervention") == intervention)
            for quantity, _ in PANELS:
                values = members[quantity].drop_nulls()
                values = values.filter(values.is_finite()).to_list()
                marks = [("one", value) for value in values] if len(values) > 1 else []
                marks += [("mean", sum(values) / len(values))] if values else []
                if quantity == "sink_mass" and intervention != "mask_other":
                    own = heads.filter(pl.col("intervention") == intervention)[quantity].to_list()
                    marks += [("head", value) for value in own]
                found += [(name, intervention, quantity, mark, value) for mark, value in marks]
    return pl.DataFrame(found, schema=COLUMNS, orient="row")


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A panel per quantity, interventions downwards, models by colour."""
    figure, axes = strip(len(PANELS), 2.2, 0.1, width, sharey=True)
    for axis, (column, label) in zip(axes, PANELS, strict=True):
        shown = data.filter(pl.col("quantity") == column)
        for index, (name, look) in enumerate(style.items()):
            place = (index - (len(style) - 1) / 2) * min(0.25, 0.8 / len(style))
            draw_marks(axis, shown.filter(pl.col("model") == name), look, place)
        axis.set_xlabel(label)
        axis.set_yticks(range(len(NAMES)), list(NAMES.values()))
        axis.grid(False, axis="y")
        if column == "sink_mass":
            axis.set_xlim(left=0)
        elif column == "spike" or spans_a_decade(shown["value"]):
            log_scale(axis.xaxis)
        if column == "gradient_sink_over_uniform":
            axis.axvline(1, **REFERENCE)
    axes[0].set_ylim(len(NAMES) - 0.5, -0.5)
    marks = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle="none", label=name)
        for name, look in style.items()
    ]
    small = {"color": "0.6", "marker": "o", "markersize": 2, "linestyle": "none"}
    marks += [
        Line2D([], [], **small, label="one head or one key of a control"),
        Line2D([], [], color="0.3", **ALONE, label="model left alone"),
        Line2D([], [], **REFERENCE, label="uniform attention"),
    ]
    legend(figure, marks)
    return figure


def draw_marks(axis: Axes, shown: pl.DataFrame, look: Look, place: float) -> None:
    """A mark per intervention, small ones for heads and keys of a control; a line marks the model left alone."""
    rows = {intervention: index + place for index, intervention in enumerate(NAMES)}
    points = shown.select("value", y=pl.col("intervention").replace_strict(rows))
    is_mean = shown["mark"] == "mean"
    small = {"s": 4, "color": lighter(look.colour), "linewidths": 0}
    mean = {"s": 18, "color": look.colour, "marker": look.marker, "zorder": 3}
    for kind, marks in ((~is_mean, small), (is_mean, mean)):
        axis.scatter(*points.filter(kind), **marks)
    for value in shown.filter(is_mean & (shown["intervention"] == "none"))["value"]:
        axis.axvline(value, color=look.colour, zorder=1, **ALONE)
