"""Which token ids spike at position 0: largest magnitudes in order, against the threshold (2603.05498 Table 2)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikesink.figures import style
from spikesink.figures.grid import grid, is_left

QUESTIONS = ("vocabulary_probe",)
CAPTION = (
    "Every token id of the vocabulary alone at position 0, in the order of its largest activation in units of the "
    "threshold that makes an activation massive (dashed). Points above the line are spike tokens; above each panel, "
    "their share of the vocabulary and the number of exceptions. Table 2 of Sun et al. (arXiv 2603.05498) finds 98 "
    "% and more in pretrained models."
)


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """One panel per model, all on one scale."""
    names = list(models)
    figure, axes = grid(names, rows=1, row_height=1.9, extra_height=0.55)
    drawn = [draw_model(axes[name][0], tables["vocabulary_probe"]) for name, tables in models.items()]
    for name, axis in zip(names, drawn, strict=True):
        probe = models[name]["vocabulary_probe"]
        axis.set_title(f"{style.wrapped(name, 30)}\n{share(probe)}")
        axis.sharey(drawn[0])
        axis.set_xlabel("Token ids, by magnitude")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 5, 10]))
        if is_left(axis):
            axis.set_ylabel("Largest |h| (× threshold)")
        axis.tick_params(labelleft=is_left(axis))
    drawn[0].autoscale_view()
    style.log_scale(drawn[0].yaxis)
    return figure


def draw_model(axis: Axes, probe: pl.DataFrame) -> Axes:
    ordered = probe.sort("excess", descending=True).with_row_index("rank")
    for is_spike, colour in ((True, "#D55E00"), (False, style.BASELINE_COLOUR)):
        part = ordered.filter(pl.col("is_spike") == is_spike)
        # Few spikes are drawn larger than many.
        size = 2.5 if len(part) > 20 else 5
        axis.plot(part["rank"], part["excess"], ".", color=colour, markersize=size, rasterized=len(part) > 2000)
    axis.axhline(1, **style.REFERENCE)
    return axis


def share(probe: pl.DataFrame) -> str:
    """As Table 2 has it: the share of spike tokens, and how many ids are none."""
    exceptions = len(probe) - probe["is_spike"].sum()
    return f"{100 * probe['is_spike'].mean():.2f} % of ids spike,\nall but {exceptions:,} of {len(probe):,}"
