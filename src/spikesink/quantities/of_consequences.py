"""Columns of mechanism.csv on the course of training, and on what streaming and editing a model cost."""

from spikesink.quantities.quantity import Taken, column, columns

SINK, GRADIENT_SINK, SPIKE = "sink_mass", "gradient_sink_over_uniform", "token0_over_early"


def onset(quantity: str, end: str) -> Taken:
    return Taken("onsets", end, "first", {"quantity": quantity, "block": None})


def order(earlier: str, later: str) -> Taken:
    return Taken("onset_orders", "order", "first", {"earlier": earlier, "later": later, "block": None})


def dependence(name: str) -> Taken:
    return Taken("independence", name, "first", {"x": "sink", "y": "activation", "step_controlled": True})


ONSETS = [
    column(
        f"{name}{end}",
        onset(quantity, by),
        unit="steps",
        source="this project",
        meaning=f"{which}{rises} has risen half way from {rest} to its last value; none without snapshots or rise",
        scale="log",
    )
    for name, quantity, rises, rest in (
        ("onset_sink", SINK, "the mean attention on position 0", "that under uniform attention"),
        ("onset_gradient_sink", GRADIENT_SINK, "the gradient sink ratio", "that under uniform attention"),
        ("onset_spike", SPIKE, "token0_over_early", "its value at the first snapshot"),
    )
    for end, by, which in (
        ("", "by", "step of the first snapshot from which "),
        ("_after", "after", "step of the last snapshot before "),
    )
]
ORDERS = [
    column(
        name,
        order(earlier, later),
        unit="1",
        source="this project",
        meaning=f"1: the onset of the {first} comes before that of the {second}; -1: after it; 0: cannot be ordered, "
        "because no snapshot lies between them; none where one has no onset",
    )
    for name, earlier, later, first, second in (
        ("order_sink_gradient_sink", SINK, GRADIENT_SINK, "sink", "gradient sink"),
        ("order_sink_spike", SINK, SPIKE, "sink", "spike"),
        ("order_gradient_sink_spike", GRADIENT_SINK, SPIKE, "gradient sink", "spike"),
    )
]

INTERVENTIONS = {
    "none": "without an intervention",
    "zero_spike": "with massive activations set to zero",
    "mean_spike": "with massive activations set to their mean; none where they are the same in all sequences, as "
    "behind a BOS",
    "zero_median": "with as many activations of median magnitude set to zero, a control",
    "zero_equal_norm": "with ordinary activations of as much L2 norm set to zero, a control",
    "mask_sink": "with the sink hidden from attention",
    "mask_equal_mass": "with other keys of as much attention hidden from attention, a control",
    "mask_other": "with another position hidden from attention, a control",
}
IN_STREAM = ("none", "zero_spike", "mean_spike", "zero_median", "zero_equal_norm")
IN_ATTENTION = ("none", "mask_sink", "mask_equal_mass")
MASSIVE, CAUSAL = "arXiv 2402.17762", "this project"
SCORED = (
    ("intervention", "perplexity", "perplexity", "log", "perplexity", MASSIVE, tuple(INTERVENTIONS)),
    (
        "intervention_sink_mass",
        "sink_mass",
        "share of attention",
        "share",
        "mean attention on position 0 of the heads after the step-up block",
        CAUSAL,
        (*IN_STREAM, "mask_sink"),
    ),
    (
        "intervention_gradient_sink",
        "gradient_sink_over_uniform",
        "1",
        "log",
        "R_GS(0) over its value under uniform attention, median over attention blocks,",
        CAUSAL,
        (*IN_STREAM, *IN_ATTENTION[1:]),
    ),
    (
        "intervention_spike",
        "spike",
        "residual stream magnitude",
        "log",
        "largest mean channel magnitude at position 0, from the step-up block on,",
        CAUSAL,
        (*IN_ATTENTION, "zero_spike"),
    ),
    (
        "intervention_removed_norm",
        "removed_norm",
        "residual stream magnitude",
        "log",
        "L2 norm that is taken from the stream",
        CAUSAL,
        ("zero_spike", "zero_median", "zero_equal_norm"),
    ),
    (
        "intervention_removed_mass",
        "removed_mass",
        "share of attention",
        "share",
        "attention that is taken away, mean over queries, heads and attention blocks,",
        CAUSAL,
        ("mask_sink", "mask_equal_mass", "mask_other"),
    ),
)
"""Of every column of the measure: prefix of its names, the column, unit, scale, meaning, source, and interventions."""
AFTER_INTERVENTIONS = [
    quantity._replace(bounds=(0.0, 1.0) if scale == "share" else None)
    for prefix, _, unit, scale, meaning, source, names in SCORED
    for name in names
    for quantity in columns(unit, source, scale, **{f"{prefix}_{name}": f"{meaning} {INTERVENTIONS[name]}"})
]
EDITED = {(f"{prefix}_{name}", name): measured for prefix, measured, *_, names in SCORED for name in names}
"""By name of the quantity and intervention: the column of the measure whose mean it is."""

OF_CONSEQUENCES = (
    *ONSETS,
    *ORDERS,
    column(
        "onsets_undecided_pct",
        Taken("onset_orders", "undecided", "percent", {"block": None}),
        unit="% of pairs",
        source="this project",
        meaning="pairs of the three onsets that cannot be ordered, of those that both exist",
    ),
    column(
        "sink_activation_correlation",
        dependence("correlation"),
        unit="1",
        source="this project",
        meaning="correlation of log attention on token 0 with log norm of token 0, over blocks and snapshots after the "
        "warm-up, without each block's mean and trend over log step",
    ),
    column(
        "sink_activation_partial",
        dependence("partial_correlation"),
        unit="1",
        source="this project",
        meaning="partial correlation of these logarithms, given the gradient of token 0's value",
    ),
    column(
        "sink_activation_partial_low",
        dependence("partial_low"),
        unit="1",
        source="this project",
        meaning="lower end of the 95 % interval of sink_activation_partial, by its effective number of points",
    ),
    column(
        "sink_activation_partial_high",
        dependence("partial_high"),
        unit="1",
        source="this project",
        meaning="upper end of the 95 % interval of sink_activation_partial, by its effective number of points",
    ),
    column(
        "sink_activation_effective",
        dependence("partial_effective"),
        unit="points",
        source="this project",
        meaning="effective number of points of sink_activation_partial: how many independent ones would say as much",
    ),
    *columns(
        unit="perplexity",
        source="arXiv 2309.17453",
        scale="log",
        streaming_window="perplexity on held-out text with the smallest cache, which holds recent tokens alone",
        streaming_with_one="perplexity on held-out text with the smallest cache, which holds the first token too",
        streaming_with_first="perplexity on held-out text with the smallest cache, which holds the first tokens too",
    ),
    *AFTER_INTERVENTIONS,
    *columns(
        unit="% of heads",
        source="this project",
        intervention_sink_raised_pct_zero_spike="heads after the step-up block that attend to position 0 more when "
        "massive activations are set to zero",
        intervention_sink_raised_pct_zero_equal_norm="heads after the step-up block that attend to position 0 more "
        "when as much norm of ordinary activations is set to zero, the control",
    ),
)
