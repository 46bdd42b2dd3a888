"""Rise, plateau and fall of massive activations: the three largest channel magnitudes over the blocks, per variant."""

from pathlib import Path

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spikesink.figures.drawing.canvas import legend, note, title, wrapped
from spikesink.figures.drawing.channels import ROWS, channel_legend, draw_channels, finish_rows
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid
from spikesink.figures.drawing.seeds import ablation_of, meaning_of_band, named_variants, with_band
from spikesink.figures.drawing.style import BASELINE_COLOUR, REFERENCE, Style
from spikesink.study.names import BASELINE
from spikesink.tables.parts import read_part, read_runs

CAPTION = (
    "The three largest channel magnitudes after every block (top) and in the block's own output (bottom), one column "
    "per variant, as in Fig. 1 of arXiv 2603.05498. A channel's magnitude is its largest absolute value over the "
    "tokens of a sequence, averaged over sequences. Lines are geometric means over seeds. The band of the largest "
    "channel is their 95 % t interval on the logarithmic scale; with two seeds it is their range. Attention branches "
    "and feed-forward branches are counted as blocks from 1 (odd: attention); 0 is the embedding. Look for the rise "
    "after a step-up block, the plateau that the residual stream carries, and the fall at a step-down block. The "
    "dashed line is the baseline's largest channel."
)
PARTS = ("runs", "states")
COLUMNS = {"ablation": TEXT, "variant": TEXT, "label": TEXT, "outcome": TEXT, "quantity": TEXT, "state": WHOLE} | {
    "seeds": WHOLE,
    "value": REAL,
    "low": REAL,
    "high": REAL,
}
MEDIAN = "median"
QUANTITIES = ((*ROWS[0][1], MEDIAN), ROWS[1][1])
"""What each row shows."""
MEDIAN_LINE = {"color": "0.7", "linewidth": 2.2, "zorder": 1}


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """Geometric means over seeds by variant, quantity and hidden state; the largest channels have a band.

    A variant without a finished run has one row without a value.
    """
    runs, states = read_runs(parts, ablation), read_part(parts, "states")
    found = []
    for (_, channels), quantities in zip(ROWS, QUANTITIES, strict=True):
        for quantity in quantities:
            means = with_band(states, ("variant", "state"), quantity, log=True)
            band = [pl.when(quantity == channels[0]).then(end).alias(end) for end in ("low", "high")]
            found.append(means.with_columns(*band, quantity=pl.lit(quantity)))
    variants = named_variants(runs, ablation)
    return variants.join(pl.concat(found), on="variant", how="left", maintain_order="left_right").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Two panels per variant; the baseline's largest channel is a dashed line in every other panel."""
    variants = data.unique("variant", maintain_order=True).rows_by_key("variant", named=True, unique=True)
    figure, axes = grid(list(variants), rows=2, row_height=1.1, extra_height=0.4, width=width)
    values = data.drop_nulls("value")
    last = values["state"].max() or 1
    for name, facts in variants.items():
        members = values.filter(pl.col("variant") == name)
        for axis, (_, channels) in zip(axes[name], ROWS, strict=True):
            draw_band(axis, members.filter(pl.col("quantity") == channels[0]), style[name].colour)
            draw_channels(axis, [line_of(members, quantity) for quantity in channels], style[name].colour)
            if name != BASELINE:
                axis.plot(*line_of(values.filter(pl.col("variant") == BASELINE), channels[0]), **REFERENCE)
            axis.set_xlim(-0.3, last + 0.3)
        axes[name][0].plot(*line_of(members, MEDIAN), **MEDIAN_LINE)
        axes[name][0].set_title(wrapped(facts["label"], 24))
        if members.is_empty():
            note(axes[name][0], wrapped(facts["outcome"], 14))
    shown = [values.filter(pl.col("quantity").is_in(quantities))["value"] for quantities in QUANTITIES]
    finish_rows(list(axes.values()), shown)
    seeds = data["seeds"].max() or 0
    of_seeds = f"geometric means of {seeds} seeds" if seeds > 1 else "one seed"
    title(figure, f"Channel magnitudes over the blocks: {ablation_of(data)} ({of_seeds})")
    legend(figure, handles(seeds))
    return figure


def line_of(members: pl.DataFrame, quantity: str) -> tuple[list[int], list[float]]:
    """Hidden states and the mean of a quantity there."""
    mean = members.filter(pl.col("quantity") == quantity)
    return mean["state"].to_list(), mean["value"].to_list()


def draw_band(axis: Axes, means: pl.DataFrame, colour: str) -> None:
    ends = (means.drop_nulls("low")[name].to_list() for name in ("state", "low", "high"))
    axis.fill_between(*ends, color=colour, alpha=0.2, linewidth=0)


def handles(seeds: int) -> list[Artist]:
    """The legend, whatever the colours of the variants."""
    largest, *others = channel_legend()
    band = Patch(color=BASELINE_COLOUR, alpha=0.2, linewidth=0, label=f"its {meaning_of_band(seeds)}")
    return [
        largest,
        *([band] if seeds > 1 else []),
        *others,
        Line2D([], [], **MEDIAN_LINE, label="median"),
        Line2D([], [], **REFERENCE, label="baseline's largest channel"),
    ]
