"""What quantising a model costs: columns of runs.csv, and of mechanism.csv for published models (arXiv 2603.17771)."""

from spikesink.quantities.quantity import BOTH, Quantity, Taken, column


def quantised(name: str, setting: str, label: str, source: str, how: str) -> Quantity:
    """The perplexity in one setting of the measure ``quantisation``."""
    taken = Taken("quantisation", "perplexity", "first", {"setting": setting})
    meaning = f"perplexity on held-out text {how}"
    found = column(name, taken, "perplexity", f"arXiv 2603.17771 {source}", meaning, scale="log")
    return found._replace(
        table=BOTH, label=f"Perplexity, {label}", heading=label, format=",.2f", averaged=True, tested=True
    )


OF_QUANTISATION = (
    quantised("int8_full_precision", "full_precision", "full precision", "rebuttal", "without quantisation"),
    quantised(
        "int8_dynamic_per_token",
        "dynamic_per_token",
        "INT8 per token",
        "rebuttal",
        "in INT8, the scale of activations computed for every token",
    ),
    quantised(
        "int8_static_per_tensor",
        "static_per_tensor",
        "INT8 static",
        "rebuttal",
        "in INT8, the scale of activations calibrated once for every matrix",
    ),
    quantised(
        "int8_down_projection_static",
        "down_projection_static",
        "INT8 static, down projections",
        "rebuttal",
        "with only the feed-forward blocks' down projections in INT8, calibrated once",
    ),
    quantised(
        "int8_smoothquant",
        "smoothquant",
        "SmoothQuant",
        "Table 4",
        "in INT8 after SmoothQuant with alpha = 0.5, the scale of activations computed for every token",
    ),
    quantised(
        "int4_round_to_nearest",
        "round_to_nearest",
        "INT4 nearest",
        "Table 4",
        "with weights rounded to the nearest INT4 level, a grid per 128 inputs",
    ),
    quantised("int4_gptq", "gptq", "INT4 GPTQ", "Table 4", "with INT4 weights by GPTQ, a grid per 128 inputs"),
    quantised("int4_awq", "awq", "INT4 AWQ", "Table 4", "with INT4 weights by AWQ, a grid per 128 inputs"),
)
