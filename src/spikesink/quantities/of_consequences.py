"""Columns of mechanism.csv on the course of training, and on what quantising, streaming and editing a model cost."""

from spikesink.quantities.quantity import Taken, column, columns


def onset(quantity: str) -> Taken:
    return Taken("onsets", "onset", "min", {"quantity": quantity})


def partial(name: str) -> Taken:
    return Taken("independence", name, "first", {"x": "sink", "y": "activation", "within_blocks": True})


QUANTISED = [
    column(
        name,
        Taken("quantisation", "perplexity", "first", {"setting": setting}),
        unit="perplexity",
        source=f"arXiv 2603.17771 {source}",
        meaning=f"perplexity on held-out text {how}",
        scale="log",
    )
    for name, setting, source, how in (
        ("int8_full_precision", "full_precision", "rebuttal", "without quantisation"),
        (
            "int8_dynamic_per_token",
            "dynamic_per_token",
            "rebuttal",
            "in INT8, the scale of activations computed for every token",
        ),
        (
            "int8_static_per_tensor",
            "static_per_tensor",
            "rebuttal",
            "in INT8, the scale of activations calibrated once for every matrix",
        ),
        (
            "int8_down_projection_static",
            "down_projection_static",
            "rebuttal",
            "with only the feed-forward blocks' down projections in INT8, calibrated once",
        ),
        (
            "int8_smoothquant",
            "smoothquant",
            "Table 4",
            "in INT8 after SmoothQuant with alpha = 0.5, the scale of activations computed for every token",
        ),
        (
            "int4_round_to_nearest",
            "round_to_nearest",
            "Table 4",
            "with weights rounded to the nearest INT4 level, a grid per 128 inputs",
        ),
        ("int4_gptq", "gptq", "Table 4", "with INT4 weights by GPTQ, a grid per 128 inputs"),
        ("int4_awq", "awq", "Table 4", "with INT4 weights by AWQ, a grid per 128 inputs"),
    )
]

OF_CONSEQUENCES = (
    column(
        "onset_sink",
        onset("sink_mass"),
        unit="steps",
        source="this project",
        meaning="step from which the first head has a sink for the rest of training; none without snapshots",
        scale="log",
    ),
    column(
        "onset_gradient_sink",
        onset("gradient_sink_ratio"),
        unit="steps",
        source="this project",
        meaning="step from which the first head has a gradient sink for the rest of training",
        scale="log",
    ),
    column(
        "onset_spike",
        onset("token0_over_early"),
        unit="steps",
        source="this project",
        meaning="step from which the first block has a spike at token 0 for the rest of training",
        scale="log",
    ),
    column(
        "sink_activation_correlation",
        partial("correlation"),
        unit="1",
        source="this project",
        meaning="correlation of log attention on token 0 with log norm of token 0, over blocks and snapshots, "
        "without each block's mean",
    ),
    column(
        "sink_activation_partial",
        partial("partial_correlation"),
        unit="1",
        source="this project",
        meaning="partial correlation of these logarithms, given the gradient of token 0's value",
    ),
    *QUANTISED,
    *columns(
        unit="perplexity",
        source="arXiv 2309.17453",
        scale="log",
        streaming_window="perplexity on held-out text with the smallest cache, which holds recent tokens alone",
        streaming_with_first="perplexity on held-out text with the smallest cache, which holds the first tokens too",
    ),
    *columns(
        unit="perplexity",
        source="arXiv 2402.17762",
        scale="log",
        intervention_none="perplexity without an intervention",
        intervention_zero_spike="perplexity with massive activations set to zero",
        intervention_mean_spike="perplexity with massive activations set to their mean",
        intervention_zero_median="perplexity with as many activations of median magnitude set to zero, the control",
        intervention_mask_sink="perplexity with the sink hidden from attention",
        intervention_mask_other="perplexity with another position hidden from attention, the control",
    ),
)
