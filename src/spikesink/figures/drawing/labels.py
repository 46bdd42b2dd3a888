"""Labels beside marks that neither touch each other nor hide a mark: every label takes the best place around its mark.

A box is an array of left, lower, right and upper edge in pixels; an array of boxes has a row for each. A line is x and
y of its start, then x and y of its end.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

DIRECTIONS = 16
DISTANCES = (4, 7, 11, 16, 22, 29, 37, 46)
"""From the mark to the nearest point of its label, in points."""
LINE_FROM = 7
"""A label farther away than this has a line to its mark."""
CROSSING, AMBIGUOUS, TANGLED, HIDING, TOUCHING, OUTSIDE = 5, 12, 40, 1000, 100_000, 1_000_000
"""Costs in points of distance: a label that lies on a thin line, that is nearer to another mark, whose line to its mark
tangles with others, that hides anything, that touches another label, and that leaves the axes."""
ROUNDS = 5
"""The labels choose their places in turn, at most this many times."""
MARK = 3.0
"""Half a mark's size in points."""
GAP = np.array([-2, -2, 2, 2])
"""What a label leaves free around another one, and inside the axes, in points."""


class Label(NamedTuple):
    """A text for the mark at (x, y) in data coordinates."""

    x: float
    y: float
    text: str
    colour: str


class Surroundings(NamedTuple):
    """What a label must not hide or leave, in pixels."""

    at: np.ndarray
    """Where the marks are, one row each."""
    fixed: np.ndarray
    """Boxes that no label hides; those of the marks come first, in the order of ``at``."""
    paths: np.ndarray
    """Thin lines."""
    room: np.ndarray
    """Where a label may be: the axes without a narrow edge."""
    pixels: float
    """Pixels per point."""


def place(
    axis: Axes, labels: Sequence[Label], obstacles: Iterable[Sequence] = (), lines: Iterable[Sequence] = ()
) -> list[Annotation]:
    """Write the labels into the axes. Call it when everything else is drawn and laid out.

    ``obstacles`` are boxes that no label hides, as it hides no mark. ``lines`` are pairs of points in data coordinates;
    a label crosses one only where every other place is far away.
    """
    if not labels:
        return []
    figure = axis.figure
    pixels = figure.dpi / 72
    points = [(label.x, label.y) for label in labels]
    at = axis.transData.transform(points)
    texts = [write(axis, label) for label in labels]
    sizes = [np.array(text.get_window_extent().size) for text in texts]
    fixed = np.vstack([mark_boxes(axis, points), np.reshape([*obstacles], (-1, 4))])
    paths = np.reshape([axis.transData.transform(line).ravel() for line in lines], (-1, 4))
    room = np.array(axis.get_window_extent().extents) - GAP * pixels
    around_them = Surroundings(at, fixed, paths, room, pixels)

    places = [around(here, size, pixels) for here, size in zip(at, sizes, strict=True)]
    alone = [costs_alone(index, *places[index], around_them) for index in range(len(labels))]
    chosen: dict[int, int] = {}
    for _ in range(ROUNDS):
        before = dict(chosen)
        for index in range(len(labels)):
            others = [other for other in chosen if other != index]
            boxes = np.reshape([places[other][1][chosen[other]] + GAP * pixels for other in others], (-1, 4))
            lined = [other for other in others if is_far(places, chosen, other)]
            leaders = np.reshape([leader_of(at[other], places[other], chosen[other]) for other in lined], (-1, 4))
            chosen[index] = int(np.argmin(alone[index] + costs_together(at[index], *places[index], boxes, leaders)))
        if chosen == before:
            break
    for index, (text, label) in enumerate(zip(texts, labels, strict=True)):
        text.set_position((places[index][1][chosen[index], :2] - at[index]) / pixels)
        if is_far(places, chosen, index):
            ends = np.reshape(leader_of(at[index], places[index], chosen[index]), (2, 2))
            axis.plot(*axis.transData.inverted().transform(ends).T, color=label.colour, linewidth=0.5, zorder=2)
    return texts


def mark_boxes(axis: Axes, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """The boxes of marks at these points, which are in data coordinates."""
    at, half = axis.transData.transform(np.reshape(points, (-1, 2))), MARK * axis.figure.dpi / 72
    return np.hstack([at - half, at + half])


def write(axis: Axes, label: Label) -> Annotation:
    """The label's text on a light ground, for the time being at its mark."""
    text = axis.annotate(label.text, (label.x, label.y), xytext=(0, 0), textcoords="offset points")
    text.set(color=label.colour, fontsize=6.5, va="bottom", zorder=5, in_layout=False)
    text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0})
    return text


def around(here: np.ndarray, size: np.ndarray, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Places for a label of this size in pixels around a mark: distances in points, and boxes."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    ways = np.column_stack([np.cos(angles), np.sin(angles)])
    sides = np.sign(np.round(ways, 6))
    distances = np.repeat(DISTANCES, DIRECTIONS).astype(float)
    corners = np.vstack([here + distance * pixels * ways + (sides - 1) * size / 2 for distance in DISTANCES])
    return distances, np.hstack([corners, corners + size])


def costs_alone(index: int, distances: np.ndarray, boxes: np.ndarray, near: Surroundings) -> np.ndarray:
    """The cost of each of a label's places, whatever the other labels do."""
    own, others = near.at[index], np.delete(near.at, index, axis=0)
    cost = distances + HIDING * overlap(boxes, near.fixed).sum(1) + CROSSING * passes(boxes, near.paths).sum(1)
    cost += OUTSIDE * ((boxes[:, :2] < near.room[:2]) | (boxes[:, 2:] > near.room[2:])).any(1)
    far = distances > LINE_FROM
    if len(others):
        # A reader takes a label without a line for that of the nearest mark.
        gaps = np.stack([np.linalg.norm(nearest(boxes, other) - other, axis=1) for other in others], axis=1).min(1)
        closeness = np.clip((distances + 5) * near.pixels / np.maximum(gaps, 1) - 1, 0, 3)
        cost += AMBIGUOUS * closeness * np.where(far, 0.3, 1)
    leaders = np.hstack([np.broadcast_to(own, (len(boxes), 2)), nearest(boxes, own)])
    return cost + TANGLED * far * passes(np.delete(near.fixed, index, axis=0), leaders).sum(0)


def costs_together(
    here: np.ndarray, distances: np.ndarray, boxes: np.ndarray, others: np.ndarray, leaders: np.ndarray
) -> np.ndarray:
    """The cost of each of a label's places because of the other labels and their lines."""
    own = np.hstack([np.broadcast_to(here, (len(boxes), 2)), nearest(boxes, here)])
    tangled = passes(boxes, leaders).sum(1) + (distances > LINE_FROM) * passes(others, own).sum(0)
    return TOUCHING * overlap(boxes, others).sum(1) + TANGLED * tangled


def is_far(places: Sequence, chosen: dict[int, int], index: int) -> bool:
    """Whether a label's chosen place needs a line to its mark."""
    return places[index][0][chosen[index]] > LINE_FROM


def leader_of(here: np.ndarray, places: tuple[np.ndarray, np.ndarray], choice: int) -> np.ndarray:
    """The line from a mark to its label: x, y, x, y."""
    return np.hstack([here, nearest(places[1][choice : choice + 1], here)[0]])


def nearest(boxes: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The point of every box that is nearest to a point."""
    return np.clip(point, boxes[:, :2], boxes[:, 2:])


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """By box and other box: 0 if they are apart, else 1 and the share of the other that is covered."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    area = np.maximum((others[:, 2:] - others[:, :2]).prod(1), 1)
    return np.where((high > low).all(2), 1 + common / area, 0)


def passes(boxes: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """By box and line (x, y, x, y), whether the line passes through the box, after Liang and Barsky."""
    start, way = lines[None, :, :2], lines[None, :, 2:] - lines[None, :, :2]
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    first, second = (boxes[:, None, :2] - start) / way, (boxes[:, None, 2:] - start) / way
    enter, leave = np.minimum(first, second).max(2), np.maximum(first, second).min(2)
    return np.maximum(enter, 0) < np.minimum(leave, 1)
