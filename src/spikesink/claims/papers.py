"""What a claim's statistic is in the paper itself, from the numbers that the papers print, and how ours compares."""

import math
from functools import cache

from spikesink.claims.terms import Term, spearman
from spikesink.claims.vocabulary import Claim
from spikesink.tables.paper.rows import rows_of, spike_rows

COLUMNS = {"perplexity": "paper_perplexity", "sink_ratio": "paper_sink_ratio", "spike": "paper_spike"}
V_SCALE = {
    ("0.3b", "sink_rate_layer_mean"): ("sink_rate_pct", 100.0),
    ("0.3b", "residual_norm_token0_mean"): ("token0_stream", 1.0),
    ("0.3b", "residual_norm_token0_over_early"): ("token0_over_early", 1.0),
    ("0.3b", "mlp_norm_token0_mean"): ("token0_feed_forward", 1.0),
    ("0.3b", "gradient_sink_ratio_median"): ("gradient_sink_ratio", 1.0),
    ("1b", "wikitext_ppl_bf16"): ("int8_full_precision", 1.0),
    ("1b", "wikitext_ppl_w8a8_dynamic_token"): ("int8_dynamic_per_token", 1.0),
    ("1b", "wikitext_ppl_w8a8_static_tensor"): ("int8_static_per_tensor", 1.0),
    ("1b", "wikitext_ppl_w8a8_static_tensor_down_proj"): ("int8_down_projection_static", 1.0),
}
"""Of 2603.17771's numbers by scale and name: our quantity, and the factor that gives its unit."""
NOTHING = 0.02
"""A change in the paper of at most two per cent, or two points, is no effect that ours could be a share of."""


@cache
def printed(paper: str) -> dict[tuple[str, str], float]:
    """The numbers that a paper prints, by variant and quantity."""
    if "2603.05498" in paper:
        return {
            (name, quantity): float(row[column])
            for name, row in spike_rows().items()
            for quantity, column in COLUMNS.items()
        }
    if "2603.17771" not in paper:
        return {}
    found = {}
    for row in rows_of("paper_v_scale.csv"):
        model, name, value = row["model"], row["quantity"], float(row["value"])
        if name == "validation_loss":
            found[model, "perplexity"] = math.exp(value)
        elif (row["scale"], name) in V_SCALE:
            quantity, factor = V_SCALE[row["scale"], name]
            found[model, quantity] = factor * value
    return found


def paper_value(claim: Claim, term: Term) -> float | None:
    """What the paper's own numbers give for a term of the claim; None where the paper prints no such number."""
    if term.coprimary:
        return None
    if claim.paper_value is not None:
        return claim.paper_value
    if claim.compare == "correlation":
        return correlation_in_paper(claim)
    if claim.compare == "seeds":
        return None
    values = [of_variant(claim, variant) for variant in (term.about, term.before or claim.reference)]
    if claim.compare == "value":
        return values[0]
    if None in values:
        return None
    ratio = claim.compare == "ratio" or term.step == "factor"
    return values[0] / values[1] if ratio else values[0] - values[1]


def correlation_in_paper(claim: Claim) -> float | None:
    numbers = printed(claim.paper)
    sides = [[numbers.get((name, quantity)) for name in claim.of] for quantity in (claim.quantity, claim.against)]
    return None if any(None in side for side in sides) else spearman(*sides)


def of_variant(claim: Claim, variant: str) -> float | None:
    numbers = printed(claim.paper)
    value, other = numbers.get((variant, claim.quantity)), numbers.get((variant, claim.relative_to or ""))
    if value is None or claim.minus or (claim.relative_to and other is None):
        return None
    return value / other if claim.relative_to else value


def effect_share(claim: Claim, term: Term, paper: float | None) -> float | None:
    """Our effect as a share of the paper's: 1 for the same, negative for the opposite; None where the paper has none.

    The effect of a ratio is its logarithm, or 1 less the ratio where ours may be 0. A value that is a quotient of two
    magnitudes, such as what quantisation does to the perplexity, is a ratio; of another value the effect is the value.
    """
    ours = term.statistic.value
    if ours is None or paper is None:
        return None
    is_quotient = claim.relative_to is not None and term.statistic.log
    if claim.compare in ("value", "correlation") and not is_quotient:
        return ours / paper if paper else None
    if claim.compare == "difference" or term.step == "difference":
        unit = 0.01 if bounded_by_one(claim) else 1.0
        return ours / paper if abs(paper) > 100 * NOTHING * unit else None
    if abs(1 - paper) <= NOTHING or paper <= 0:
        return None
    if term.statistic.log:
        return math.log(ours) / math.log(paper)
    return (1 - ours) / (1 - paper)


def bounded_by_one(claim: Claim) -> bool:
    return claim.quantity in ("sink_mass_mean", "sink_mass_max")
