"""Which token ids spike at position 0: largest magnitudes in order, against the threshold (2603.05498 Table 2)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikesink.figures.drawing.canvas import wrapped
from spikesink.figures.drawing.files import REAL, TEXT, TRUTH, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import log_scale, round_ticks, share_y
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import BASELINE_COLOUR, REFERENCE, SPIKE, Style

QUESTIONS = ("vocabulary_probe",)
CAPTION = (
    "Token ids alone at position 0, all of the vocabulary or as many as measures.vocabulary_tokens says, evenly "
    "spaced. They are in the order of their largest activation in units of the threshold that makes an activation "
    "massive (dashed), which the ordinary tokens of text set. Points above the line are spike tokens; above each "
    "panel, their share of these ids, and how many they are or how many are none. Table 2 of Sun et al. (arXiv "
    "2603.05498) finds 98 % and more in pretrained models."
)
COLUMNS = {"model": TEXT, "rank": WHOLE, "token_id": WHOLE, "excess": REAL, "is_spike": TRUTH}


def data(models: Models) -> pl.DataFrame:
    """A row per model and token id, by rank of its magnitude in units of the threshold."""
    probe = stacked(models, "vocabulary_probe", {"token_id": WHOLE, "excess": REAL, "is_spike": TRUTH})
    probe = probe.sort("excess", descending=True, maintain_order=True)
    ranked = probe.with_columns(rank=pl.int_range(pl.len()).over("model"))
    order = pl.DataFrame({"model": list(models)})
    return order.join(ranked, on="model", maintain_order="left_right").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """One panel per model, all on one scale."""
    names = list(style)
    figure, axes = grid(names, rows=1, row_height=1.9, extra_height=0.4, width=width)
    for name, (axis,) in axes.items():
        probe = data.filter(pl.col("model") == name)
        draw_model(axis, probe)
        axis.set_title(f"{wrapped(name, 30)}\n{share(probe)}")
        axis.set_xlabel("Token ids, by magnitude")
        round_ticks(axis.xaxis, 3)
        if is_left(axis):
            axis.set_ylabel("Largest |h| (× threshold)")
    panels = [axis for (axis,) in axes.values()]
    share_y(panels)
    log_scale(panels[0].yaxis)
    return figure


def draw_model(axis: Axes, ranked: pl.DataFrame) -> None:
    for is_spike, colour in ((True, SPIKE), (False, BASELINE_COLOUR)):
        part = ranked.filter(pl.col("is_spike") == is_spike)
        # Few spikes are drawn larger than many.
        size = 2.5 if len(part) > 20 else 5
        axis.plot(part["rank"], part["excess"], ".", color=colour, markersize=size, rasterized=len(part) > 2000)
    axis.axhline(1, **REFERENCE)


def share(probe: pl.DataFrame) -> str:
    """The share of spike tokens, and how many they are; where they are most, how many are none, as Table 2 has it."""
    spikes = probe["is_spike"].sum()
    exceptions = len(probe) - spikes
    counted = f"all but {exceptions:,}" if spikes > exceptions > 0 else f"{spikes:,}"
    return f"{100 * probe['is_spike'].mean():.2f} % of ids spike,\n{counted} of {len(probe):,}"
