"""Perplexity and sink mass after taking the spike or the sink away, with matched controls (Sun et al., 2402.17762)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing import style
from spikesink.figures.drawing.grid import strip

QUESTIONS = ("interventions",)
CAPTION = (
    "Perplexity of the same held-out text, and mean attention on position 0 over the heads after the step-up block, "
    "when the spike is set to zero or to its mean once, at the step-up block, or when no query may attend to the key "
    "of the sink. Controls: as many channels of median magnitude at the same token, and another key (one mark each, "
    "the large mark is their mean). What the model needs costs more than its control. After the interventions of Sun "
    "et al., Massive Activations in Large Language Models (arXiv 2402.17762, Table 3)."
)
NAMES = {
    "none": "none",
    "zero_spike": "spike to 0",
    "mean_spike": "spike to its mean",
    "zero_median": "control: median\nchannels to 0",
    "mask_sink": "sink masked",
    "mask_other": "control: another\nkey masked",
}
PANELS = (("perplexity", "Perplexity"), ("sink_mass", "Attention on position 0"))


def data(models: dict[str, dict[str, pl.DataFrame]]) -> pl.DataFrame:
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
    return pl.DataFrame(found, schema=["model", "intervention", "quantity", "mark", "value"], orient="row")


def draw(
    models: dict[str, dict[str, pl.DataFrame]], width: str = "auto", looks: dict[str, style.Look] | None = None
) -> Figure:
    """Two panels, interventions downwards, models by colour."""
    shown, looks = data(models), looks or style.looks(models)
    figure, axes = strip(2, 2.0, 0.1, width, sharey=True)
    for axis, (column, label) in zip(axes, PANELS, strict=True):
        for index, name in enumerate(models):
            place = (index - (len(models) - 1) / 2) * min(0.25, 0.8 / len(models))
            ours = shown.filter((pl.col("model") == name) & (pl.col("quantity") == column))
            draw_marks(axis, ours, looks[name], place)
        axis.set_xlabel(label)
        axis.set_yticks(range(len(NAMES)), list(NAMES.values()))
        axis.grid(False, axis="y")
    axes[0].set_ylim(len(NAMES) - 0.5, -0.5)
    axes[1].set_xlim(left=0)
    if style.spans_a_decade(shown.filter(pl.col("quantity") == "perplexity")["value"]):
        style.log_scale(axes[0].xaxis)
    handles = [
        Line2D([], [], color=looks[name].colour, marker=looks[name].marker, linestyle="none", label=name)
        for name in models
    ]
    style.legend(figure, handles)
    return figure


def draw_marks(axis: Axes, shown: pl.DataFrame, look: style.Look, place: float) -> None:
    """A mark per intervention, small ones for each key of a control; a line marks the model left alone."""
    for index, intervention in enumerate(NAMES):
        rows = shown.filter(pl.col("intervention") == intervention)
        if rows.is_empty():
            continue
        keys = rows.filter(pl.col("mark") == "one")["value"].to_list()
        axis.scatter(keys, [index + place] * len(keys), s=4, color=style.lighter(look.colour), linewidths=0)
        mean = rows.filter(pl.col("mark") == "mean")["value"][0]
        axis.scatter([mean], [index + place], s=18, color=look.colour, marker=look.marker, zorder=3)
        if intervention == "none":
            axis.axvline(mean, color=look.colour, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
