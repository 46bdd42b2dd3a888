"""Names beside the ends of lines: where there is room for them, they read better than a legend."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from spikesink.figures.drawing.canvas import lay_out, wrapped

WIDEST = 16
"""The most characters in a line of a name."""
LINE = 8.5
"""Height of a line of text in points."""


def label_ends(axis: Axes, ends: Mapping[str, tuple[float, str]]) -> bool:
    """Write every name right of the axes, where its line ends, in its colour. Returns whether there was room.

    Names that would touch move apart. Where one would have to move farther than a line of text, nothing is written:
    then a legend is better. Call it when everything else is drawn and the limits are set.
    """
    if not ends:
        return False
    lay_out(axis.figure)
    pixels = axis.figure.dpi / 72
    texts = {name: wrapped(name, WIDEST) for name in ends}
    order = sorted(ends, key=lambda name: ends[name][0])
    at = axis.transData.transform([(axis.get_xlim()[1], ends[name][0]) for name in order])[:, 1]
    heights = np.array([LINE * pixels * (1 + texts[name].count("\n")) for name in order])
    moved = spread(at, heights) - at
    if np.abs(moved).max() > LINE * pixels:
        return False
    for name, move in zip(order, moved, strict=True):
        y, colour = ends[name]
        where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
        axis.annotate(texts[name], (1, y), (3, move / pixels), color=colour, fontsize=7, annotation_clip=False, **where)
    return True


def spread(at: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Centres near the given ones, which are sorted, at which texts of these heights do not overlap (least squares)."""
    offsets = np.concatenate([[0], np.cumsum((heights[1:] + heights[:-1]) / 2)])
    # Without their own extent the centres must not fall: pool neighbours that do (isotonic regression).
    pools: list[tuple[float, int]] = []
    for value in at - offsets:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (value, count), (before, others) = pools.pop(), pools.pop()
            pools.append(((value * count + before * others) / (count + others), count + others))
    return np.repeat([value for value, _ in pools], [count for _, count in pools]) + offsets
