"""The quantities that a claim may be about: of every run, and of the models that are analysed in depth."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from spikesink.tables.contracts import UNITS
from spikesink.tables.statistics import LOG_SCALE

RUNS, MECHANISM = "runs.csv", "mechanism.csv"


class Quantity(NamedTuple):
    """Where a quantity stands, its unit, and whether it is compared by factors, on the logarithmic scale."""

    table: str
    unit: str
    log: bool = False


def of_mechanism(unit: str, *names: str, log: bool = False) -> dict[str, Quantity]:
    return {name: Quantity(MECHANISM, unit, log) for name in names}


OF_RUNS = {name: Quantity(RUNS, unit, name in LOG_SCALE) for name, unit in UNITS.items()}
COLUMNS = {
    **of_mechanism("% of the vocabulary", "vocabulary_spike_pct"),
    **of_mechanism("1", "eigenvalue", "second", "cosine_spike", "cosine_other"),
    **of_mechanism("% of heads", "sink_head_pct"),
    **of_mechanism("logits", "logit_gap_sink_heads", "logit_gap_other_heads"),
    **of_mechanism("tokens", "distance", "distance_without_sink", log=True),
    **of_mechanism("1", "gradient_sink_median", "gradient_sink_quartile1", "gradient_sink_quartile3", log=True),
    **of_mechanism("1", "value_gradient_token0", log=True),
    **of_mechanism("1", "compress_slope_attention", "compress_slope_feed_forward"),
    **of_mechanism("steps", "onset_sink", "onset_gradient_sink", "onset_spike", log=True),
    **of_mechanism(
        "perplexity",
        "int8_full_precision",
        "int8_dynamic_per_token",
        "int8_static_per_tensor",
        "int8_down_projection_static",
        "streaming_window",
        "streaming_with_first",
        "intervention_none",
        "intervention_zero_spike",
        "intervention_mean_spike",
        "intervention_zero_median",
        "intervention_mask_sink",
        "intervention_mask_other",
        log=True,
    ),
}
"""Numbers of ``spikesink.tables.mechanism.headlines``, by their column."""

LISTS = ("step_up_blocks", "step_down_blocks", "spike_channels")
"""Its columns that hold lists as text; ``derived`` makes numbers of them."""

DERIVED = {
    **of_mechanism("blocks", "step_up_count", "step_down_count"),
    **of_mechanism("block, from 1", "step_up_first", "step_up_last", "step_down_first"),
    **of_mechanism("% of step-up blocks", "step_up_feed_forward_pct"),
    **of_mechanism("1", "eigenvalue_ratio", log=True),
}

QUANTITIES = OF_RUNS | COLUMNS | DERIVED


def derived(row: Mapping[str, Any]) -> dict[str, float | None]:
    """What follows from a row of mechanism.csv: blocks are counted from 1 and the even ones are feed-forward.

    ``eigenvalue_ratio`` is the leading eigenvalue's magnitude over the next one's.
    """
    up, down = (listed(row[name]) for name in LISTS[:2])
    leading, second = row["eigenvalue"], row["second"]
    return {
        "step_up_count": len(up),
        "step_down_count": len(down),
        "step_up_first": min(up, default=None),
        "step_up_last": max(up, default=None),
        "step_down_first": min(down, default=None),
        "step_up_feed_forward_pct": 100 * sum(block % 2 == 0 for block in up) / len(up) if up else None,
        "eigenvalue_ratio": abs(leading / second) if leading is not None and second else None,
    }


def listed(text: Any) -> list[int]:
    """The numbers of a list such as "2, 4"; a CSV file holds a list of one number as that number."""
    return [] if text is None else [int(part) for part in str(text).split(",") if part.strip()]


def usable(value: Any) -> bool:
    """Whether a table's cell holds a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
