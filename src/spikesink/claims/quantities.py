"""The quantities that a claim may be about: the numbers of runs.csv and mechanism.csv, and what follows from them."""

import math
from collections.abc import Mapping
from typing import Any

from spikesink.quantities import QUANTITIES, Quantity


def follows(name: str, unit: str, meaning: str, scale: str = "linear") -> Quantity:
    return Quantity(name, "mechanism", unit, meaning, "this project", scale, heading=name.replace("_", " "))


DERIVED = {
    quantity.name: quantity
    for quantity in (
        follows("step_up_count", "blocks", "number of step-up blocks"),
        follows("step_down_count", "blocks", "number of step-down blocks"),
        follows("step_up_first", "block, from 1", "first step-up block"),
        follows("step_up_last", "block, from 1", "last step-up block"),
        follows("step_down_first", "block, from 1", "first step-down block"),
        follows("step_up_feed_forward_pct", "% of step-up blocks", "step-up blocks that are feed-forward blocks"),
        follows("spike_channel_count", "channels", "number of channels that carry massive activations"),
        follows("eigenvalue_ratio", "1", "|first| / |second| eigenvalue of S_k", "log"),
    )
}
"""What ``derived`` computes from a row of mechanism.csv."""

LISTS = tuple(name for name, quantity in QUANTITIES.items() if quantity.format == "list")
"""Columns of mechanism.csv that hold lists as text: no claim is about them, but about the numbers derived of them."""

CLAIMABLE = {name: quantity for name, quantity in (QUANTITIES | DERIVED).items() if name not in LISTS}


def derived(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The values of DERIVED for a row of mechanism.csv. Blocks are counted from 1; those with even numbers are
    feed-forward blocks."""
    up, down, channels = (whole_numbers(row[name]) for name in ("step_up_blocks", "step_down_blocks", "spike_channels"))
    leading, second = row["eigenvalue"], row["second"]
    return {
        "spike_channel_count": len(channels) or None,
        "step_up_count": len(up),
        "step_down_count": len(down),
        "step_up_first": min(up, default=None),
        "step_up_last": max(up, default=None),
        "step_down_first": min(down, default=None),
        "step_up_feed_forward_pct": 100 * sum(block % 2 == 0 for block in up) / len(up) if up else None,
        "eigenvalue_ratio": abs(leading / second) if leading is not None and second else None,
    }


def whole_numbers(text: Any) -> list[int]:
    """The numbers in a text such as "2, 4"; reading a CSV file turns a list of one number into that number."""
    return [] if text is None else [int(part) for part in str(text).split(",") if part.strip()]


def usable(value: Any) -> bool:
    """Whether a table's cell holds a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
