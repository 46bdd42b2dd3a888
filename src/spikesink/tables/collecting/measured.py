"""From the measures of one run to its numbers: perplexity, sink ratio and spike, as the papers define them."""

import math

import polars as pl

from spikesink.model.perplexity import perplexity


def perplexity_of(positions: pl.DataFrame, window: tuple[int, int] | None = None) -> float | None:
    """The perplexity over all positions, or over a window of them, [first, last); None where no token was scored."""
    if window is not None:
        positions = positions.filter(pl.col("position").is_between(*window, closed="left"))
    return perplexity(positions["nll_nats"].sum(), positions["tokens"].sum())


def over_documents(documents: pl.DataFrame | None) -> dict[str, float | int | None]:
    """How exact the perplexity is, since text differs from document to document.

    ``perplexity_spread`` is its standard error over the ``documents``: that of a mean over tokens whose documents were
    drawn, each with all its tokens (a ratio estimate), times the perplexity. None with one document, or where it was
    not measured by document.
    """
    if documents is None:
        return {"perplexity_spread": None, "documents": None}
    count, tokens, nll = len(documents), documents["tokens"].sum(), documents["nll_nats"].sum()
    whole = perplexity(nll, tokens)
    if count < 2 or whole is None or not math.isfinite(whole):
        return {"perplexity_spread": None, "documents": count}
    squares = (documents["nll_nats"] - documents["tokens"] * (nll / tokens)).pow(2).sum()
    error = math.sqrt(count / (count - 1) * squares) / tokens
    return {"perplexity_spread": whole * error, "documents": count}


def sinks(heads: pl.DataFrame) -> dict[str, float]:
    """Sink ratios in percent of all heads (2603.05498 Eq 27-28; Gu et al. 2410.10781) and attention on position 0.

    ``sink_mass_mean`` is the mean attention on position 0, mean over heads; ``sink_mass_max`` is that of the largest
    head. Both change smoothly, whereas a ratio over few heads moves in jumps. Those called trained are of the queries
    at positions that the model was trained on. ``sink_ratio_later_layers`` leaves the first layer out, whose heads see
    the tokens' embeddings alone; None for a model of one layer.
    """
    inside = heads["sink_share_trained"].mean()
    later = heads.filter(pl.col("layer") > pl.col("layer").min())["sink_share"].mean()
    return {
        "sink_ratio": 100 * heads["sink_share"].mean(),
        "sink_ratio_later_layers": None if later is None else 100 * later,
        "sink_ratio_gu": 100 * heads["sink_share_gu"].mean(),
        "sink_mass_mean": heads["sink_mass"].mean(),
        "sink_mass_max": heads["sink_mass"].max(),
        "sink_ratio_trained": None if inside is None else 100 * inside,
        "sink_mass_mean_trained": heads["sink_mass_trained"].mean(),
        "trained_first": heads["trained_first"][0],
        "trained_last": heads["trained_last"][0],
        "sink_epsilon": heads["epsilon"][0],
        "sink_tokens": heads["tokens"][0],
        "sink_sequences": heads["sequences"][0],
    }


def spike(states: pl.DataFrame) -> dict[str, float | int | None]:
    """The largest |h| over all hidden states (2603.05498 Sec 4), where it is, and how far it stands out there.

    ``spike_over_median`` is the spike over the median |h| of that state's ordinary tokens (compare 2402.17762).
    ``spike_over_elsewhere`` is the largest |h| at position 0 over that at later positions, over all hidden states.
    A column that is newer than the table leaves its number out.
    """
    peak = states.row(states["maximum"].arg_max(), named=True)
    return {
        "spike": peak["maximum"],
        "spike_position": peak.get("maximum_position"),
        "spike_channel": peak.get("maximum_channel"),
        "spike_over_median": ratio(peak["maximum"], peak.get("ordinary_median")),
        "spike_over_elsewhere": ratio(states["maximum_token0"].max(), states["maximum_later"].max()),
    }


def ratio(above: float | None, below: float | None) -> float | None:
    """above / below; None where one was not measured, or where that is not a finite number."""
    return above / below if above is not None and below and math.isfinite(below) else None
