"""Perplexity and sink mass after taking the spike or the sink away, with matched controls (Sun et al., 2402.17762)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures import style

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
PANELS = (("perplexity", "Perplexity"), ("mass_sink", "Attention on position 0"))


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """Two panels side by side, interventions downwards, models by colour; with the BOS where sequences have one."""
    figure = style.new_figure(style.PAGE, 2.4)
    axes = figure.subplots(1, 2, sharey=True)
    looks = style.looks(models)
    for axis, (column, label) in zip(axes, PANELS, strict=True):
        for index, (name, tables) in enumerate(models.items()):
            table = tables["interventions"]
            table = table.filter(pl.col("start") == table["start"].sort()[0])  # bos before text
            place = (index - (len(models) - 1) / 2) * min(0.25, 0.8 / len(models))
            draw_marks(axis, table.drop_nulls(column), column, looks[name], place)
        axis.set_xlabel(label)
        axis.set_yticks(range(len(NAMES)), list(NAMES.values()))
        axis.grid(False, axis="y")
    axes[0].set_ylim(len(NAMES) - 0.5, -0.5)
    axes[1].set_xlim(left=0)
    if style.spans_a_decade(value for tables in models.values() for value in tables["interventions"]["perplexity"]):
        style.log_scale(axes[0].xaxis)
    handles = [
        Line2D([], [], color=looks[name].colour, marker=looks[name].marker, linestyle="none", label=name)
        for name in models
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def draw_marks(axis: Axes, table: pl.DataFrame, column: str, look: style.Look, place: float) -> None:
    """A mark per intervention, small ones for each key of a control; a line marks the model left alone."""
    for index, intervention in enumerate(NAMES):
        values = table.filter(pl.col("intervention") == intervention)[column].to_list()
        if not values:
            continue
        if len(values) > 1:
            axis.scatter(values, [index + place] * len(values), s=4, color=style.lighter(look.colour), linewidths=0)
        mean = sum(values) / len(values)
        axis.scatter([mean], [index + place], s=18, color=look.colour, marker=look.marker, zorder=3)
        if intervention == "none":
            axis.axvline(mean, color=look.colour, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
