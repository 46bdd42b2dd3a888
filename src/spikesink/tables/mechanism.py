"""The mechanism of several models in numbers: one row per model, the headlines of its measures side by side."""

import argparse
import sys
from pathlib import Path
from typing import Any

import polars as pl

from spikesink.tables.inputs import labelled, one_line_errors, read_measures

Tables = dict[str, pl.DataFrame]


def headlines(tables: Tables) -> dict[str, Any]:
    """What a model's measures say in a row; None where a question has no answer for the model.

    step_up_blocks, step_down_blocks and spike_channels are lists as text; vocabulary_spike_pct is the share of token
    ids that spike at position 0 in %; eigenvalue and second are the two largest in magnitude of the leading spike
    channel's form in the first step-up block, cosine_spike and cosine_other the mean cosines of tokens with its
    direction; sink_head_pct the share of heads above the sink threshold in %, logit_gap its mean over these and over
    the other heads; distance in tokens with and without the sink; gradient_sink the median over layers of R_GS(0), with
    its quartiles; value_gradient_token0 ||dL/dv_0|| over the mean over later positions, a mean over layers;
    compress_slope of log Compress against log input norm within blocks; onset_* the first head's onset step;
    perplexities of INT8 settings, of the smallest streaming cache without and with the first four tokens, and of
    interventions.
    """
    return (
        spikes(tables)
        | amplifier(tables["amplifier_alignment"])
        | sinks(tables["sink_geometry"], tables["attention_distance"])
        | gradients(tables)
        | onsets(tables["onsets"])
        | consequences(tables)
    )


def spikes(tables: Tables) -> dict[str, Any]:
    lifecycle, channels, vocabulary = (tables[name] for name in ("lifecycle", "spike_channels", "vocabulary_probe"))
    blocks = {
        f"{role}_blocks": listed(lifecycle.filter(pl.col("role") == role)["block"]) for role in ("step_up", "step_down")
    }
    return blocks | {
        "spike_channels": listed(channels["channel"]) if "channel" in channels.columns else "",
        "vocabulary_spike_pct": 100 * vocabulary["is_spike"].mean(),
    }


def listed(values: pl.Series) -> str:
    return ", ".join(map(str, values))


def amplifier(alignment: pl.DataFrame) -> dict[str, Any]:
    names = ("eigenvalue", "second", "cosine_spike", "cosine_other")
    if alignment.is_empty():
        return dict.fromkeys(names)
    place = alignment.select("block", "channel").row(0)
    leading = alignment.filter((pl.col("block") == place[0]) & (pl.col("channel") == place[1]))
    cosines = dict(leading.select("group", "cosine").iter_rows())
    spike = cosines.get("spike", cosines.get("leading"))
    return dict(zip(names, (*leading.select("eigenvalue", "second").row(0), spike, cosines.get("other")), strict=True))


def sinks(geometry: pl.DataFrame, distance: pl.DataFrame) -> dict[str, Any]:
    # Behind a BOS the text after it is measured too: the first start is how the model was trained.
    geometry = geometry.filter(pl.col("start") == geometry["start"][0])
    heads = geometry.partition_by("is_sink_head", as_dict=True)
    gaps = {is_sink: frame["logit_gap"].mean() for (is_sink,), frame in heads.items()}
    return {
        "sink_head_pct": 100 * geometry["is_sink_head"].mean(),
        "logit_gap_sink_heads": gaps.get(True),
        "logit_gap_other_heads": gaps.get(False),
        "distance": distance["distance"].mean(),
        "distance_without_sink": distance["distance_without_sink"].mean(),
    }


def gradients(tables: Tables) -> dict[str, Any]:
    ratio, by_position = tables["gradient_sink_ratio"]["ratio"].drop_nulls(), tables["gradients"]
    quartiles = {
        f"gradient_sink_{name}": ratio.quantile(share, "linear")
        for name, share in (("median", 0.5), ("quartile1", 0.25), ("quartile3", 0.75))
    }
    first = by_position.filter(pl.col("position") == 0)["value"].mean()
    later = by_position.filter(pl.col("position") > 0)["value"].mean()
    slopes = tables["reshaping_slopes"].filter(
        pl.col("block").is_null() & pl.col("group").is_null() & (pl.col("quantity") == "compress")
    )
    within = dict(slopes.select("branch", "slope_within").iter_rows())
    return quartiles | {
        "value_gradient_token0": first / later if later else None,
        "compress_slope_attention": within.get("attention"),
        "compress_slope_feed_forward": within.get("feed_forward"),
    }


def onsets(found: pl.DataFrame) -> dict[str, Any]:
    names = {"alpha_0": "onset_sink", "gradient_sink_ratio": "onset_gradient_sink", "spike_ratio": "onset_spike"}
    if found.is_empty():
        return dict.fromkeys(names.values())
    return {name: found.filter(pl.col("quantity") == quantity)["onset"].min() for quantity, name in names.items()}


def consequences(tables: Tables) -> dict[str, Any]:
    quantised = dict(tables["quantisation"].select("setting", "perplexity").iter_rows())
    settings = ("full_precision", "dynamic_per_token", "static_per_tensor", "down_projection_static")
    changed = tables["interventions"]
    changed = changed.filter(pl.col("start") == changed["start"][0])
    by_intervention = dict(changed.group_by("intervention").agg(pl.col("perplexity").mean()).iter_rows())
    names = ("none", "zero_spike", "mean_spike", "zero_median", "mask_sink", "mask_other")
    return (
        {f"int8_{setting}": quantised.get(setting) for setting in settings}
        | streaming(tables["streaming"])
        | {f"intervention_{name}": by_intervention.get(name) for name in names}
    )


def streaming(table: pl.DataFrame) -> dict[str, Any]:
    if table.is_empty():
        return {"streaming_window": None, "streaming_with_first": None}
    smallest = table.filter(pl.col("cache") == table["cache"].min())
    nll = pl.col("nll_nats").sum() / pl.col("tokens").sum()
    perplexities = dict(smallest.group_by("start").agg(nll.exp()).iter_rows())
    return {"streaming_window": perplexities[0], "streaming_with_first": perplexities[max(perplexities)]}


READ = (
    "lifecycle",
    "spike_channels",
    "vocabulary_probe",
    "amplifier_alignment",
    "sink_geometry",
    "attention_distance",
    "gradients",
    "gradient_sink_ratio",
    "reshaping_slopes",
    "onsets",
    "quantisation",
    "streaming",
    "interventions",
)
"""The measures that the headlines are taken from."""


def mechanism(models: dict[str, Path]) -> pl.DataFrame:
    """One row per model by label and folder; one without measures, because it diverged, has a row without numbers.

    Raises InputError.
    """
    rows = []
    for label, folder in models.items():
        tables = read_measures(folder, READ)
        measured = not tables["lifecycle"].is_empty()
        rows.append({"model": label, "measured": measured} | (headlines(tables) if measured else {}))
    return pl.DataFrame(rows, infer_schema_length=None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.mechanism", description=__doc__)
    parser.add_argument("--models", nargs="+", required=True, metavar="LABEL=FOLDER", help="folders with measures/")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    options = parser.parse_args()

    def work() -> None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        mechanism(labelled(options.models)).write_csv(options.output)

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
