"""The quantities of a variant and of the baseline at equal loss: columns of runs.csv, in the rows of variants."""

from spikesink.quantities.quantity import Quantity

HERE = "this project"
BY_SIDE = {"": "the variant", "_baseline": "the baseline of equal seed"}


def at_equal_loss(name: str, unit: str, meaning: str, label: str, **facts) -> list[Quantity]:
    """The quantity of both sides, each at the step where it has the loss equal_loss."""
    return [
        Quantity(
            f"equal_loss_{name}{suffix}",
            "runs",
            unit,
            f"{meaning} of {side}, at the step where its loss is equal_loss",
            HERE,
            label=f"{label}, {side}, at equal loss",
            heading=f"{label} of {side}, at equal loss",
            **facts,
        )
        for suffix, side in BY_SIDE.items()
    ]


OF_EQUAL_LOSS = (
    Quantity(
        "equal_loss",
        "runs",
        "nats",
        "the higher one of the final losses of a variant and of the baseline of equal seed, on the text of the measure "
        "course",
        HERE,
        label="Loss at which both are compared (nats)",
        heading="equal loss",
        format=",.3f",
    ),
    *at_equal_loss("step", "steps", "optimiser steps", "step", format=",.0f"),
    *at_equal_loss(
        "sink_ratio",
        "% of heads",
        "sink ratio",
        "sink ratio (%)",
        scale="share",
        bounds=(0.0, 100.0),
        format=",.1f",
    ),
    *at_equal_loss(
        "sink_mass_mean",
        "share of attention",
        "mean attention on position 0, mean over heads,",
        "mean head",
        scale="share",
        bounds=(0.0, 1.0),
        format=",.2f",
    ),
    *at_equal_loss("spike_over_median", "1", "relative spike", "× median", scale="log"),
)
