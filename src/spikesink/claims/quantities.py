"""The quantities that a claim may be about: of every run, and of the models that are analysed in depth."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from spikesink.tables.contracts import UNITS
from spikesink.tables.statistics.statistics import LOG_SCALE

RUNS, MECHANISM = "runs.csv", "mechanism.csv"


class Quantity(NamedTuple):
    """Where a quantity stands, its unit, and whether it is compared by factors, on the logarithmic scale."""

    table: str
    unit: str
    log: bool = False


def of_mechanism(unit: str, *names: str, log: bool = False) -> dict[str, Quantity]:
    return {name: Quantity(MECHANISM, unit, log) for name in names}


BRANCHES = ("attention", "feed_forward")

OF_RUNS = {name: Quantity(RUNS, unit, name in LOG_SCALE) for name, unit in UNITS.items()}
COLUMNS = {
    **of_mechanism("% of the vocabulary", "vocabulary_spike_pct"),
    **of_mechanism("blocks", "blocks"),
    **of_mechanism("share of the spike", "step_up_share", "step_down_share"),
    **of_mechanism("1", "plateau_output", log=True),
    **of_mechanism("share of attention", "self_attention_spike", "self_attention_other"),
    **of_mechanism("1", "eigenvalue", "second", "cosine_spike", "cosine_other", "first_token_cosine"),
    **of_mechanism("1", "quadratic_error_spike", "rank_one_error_spike", log=True),
    **of_mechanism("1", "eigenvalue_ratio_ordinary", "amplifier_norm_over_median", log=True),
    **of_mechanism("1", "silu_cosine_spike", "silu_cosine_other", "silu_norm_ratio_spike"),
    **of_mechanism("1", "normalised_share_of_bound", "normalised_energy_spike", "normalised_energy_other"),
    **of_mechanism("1", "spike_cosine_before", "spike_cosine_after"),
    **of_mechanism("1", "spike_channel_variation", log=True),
    **of_mechanism("% of heads", "sink_head_pct", "theorem_1_lower_pct", "theorem_1_upper_pct"),
    **of_mechanism("% of points", "theorem_2_pct"),
    **of_mechanism("% of heads and sequences", "sink_rate_pct"),
    **of_mechanism("logits", "logit_gap_sink_heads", "logit_gap_other_heads"),
    **of_mechanism("1", "query_cosine_sink", "query_cosine_others"),
    **of_mechanism("directions", "sink_key_rank", "other_key_rank"),
    **of_mechanism(
        "tokens", "distance", "distance_without_sink", "distance_sink_heads", "distance_other_heads", log=True
    ),
    **of_mechanism(
        "1", "gradient_sink_ratio", "gradient_sink_ratio_quartile1", "gradient_sink_ratio_quartile3", log=True
    ),
    **of_mechanism("1", *(f"{path}_gradient_token0" for path in ("query", "key", "value")), log=True),
    **of_mechanism("1", "value_over_key_token0", log=True),
    **of_mechanism("1", "mass_gradient_correlation", "sink_activation_correlation", "sink_activation_partial"),
    **of_mechanism("1", *(f"{name}_slope_{branch}" for name in ("bloat", "compress", "change") for branch in BRANCHES)),
    **of_mechanism(
        "1", *(f"{name}_{branch}" for name in ("bloat_token0", "change_median") for branch in BRANCHES), log=True
    ),
    **of_mechanism("1", "value_norm_token0", log=True),
    **of_mechanism("residual stream magnitude", "token0_stream", "token0_attention", "token0_feed_forward", log=True),
    **of_mechanism("1", "theta_early", "theta_late"),
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
"""Numbers of mechanism.csv, by their column; ``spikesink.tables.headlines`` says what they are."""

LISTS = ("step_up_blocks", "step_down_blocks", "spike_channels")
"""Its columns that hold lists as text; ``derived`` makes numbers of them."""

DERIVED = {
    **of_mechanism("blocks", "step_up_count", "step_down_count"),
    **of_mechanism("block, from 1", "step_up_first", "step_up_last", "step_down_first"),
    **of_mechanism("% of step-up blocks", "step_up_feed_forward_pct"),
    **of_mechanism("channels", "spike_channel_count"),
    **of_mechanism("1", "eigenvalue_ratio", log=True),
}

QUANTITIES = OF_RUNS | COLUMNS | DERIVED


def derived(row: Mapping[str, Any]) -> dict[str, float | None]:
    """What follows from a row of mechanism.csv: blocks are counted from 1 and the even ones are feed-forward.

    ``eigenvalue_ratio`` is the leading eigenvalue's magnitude over the next one's.
    """
    up, down, channels = (listed(row[name]) for name in LISTS)
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


def listed(text: Any) -> list[int]:
    """The numbers of a list such as "2, 4"; a CSV file holds a list of one number as that number."""
    return [] if text is None else [int(part) for part in str(text).split(",") if part.strip()]


def usable(value: Any) -> bool:
    """Whether a table's cell holds a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
