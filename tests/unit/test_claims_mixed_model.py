"""The mixed model of logit sink mass against generalised least squares with the whole covariance matrix."""

import math

import numpy as np
import polars as pl
import pytest

from spikesink.claims.mixed_model import components, effects, means_by_seed

SEEDS, LAYERS, HEADS = 4, 3, 2
SPREADS = {"seeds": 0.6, "layers": 0.4, "heads": 0.3}


def planted(variant: str, shift: float, draw: np.random.Generator, shape=(SEEDS, LAYERS, HEADS)) -> pl.DataFrame:
    """Heads whose logits have random effects of seeds, of layers in seeds and of heads in layers."""
    seeds, layers, _ = shape
    logits = (
        shift
        + SPREADS["seeds"] * draw.standard_normal((seeds, 1, 1))
        + SPREADS["layers"] * draw.standard_normal((seeds, layers, 1))
        + SPREADS["heads"] * draw.standard_normal(shape)
    )
    rows = [
        {
            "variant": variant,
            "seed": seed,
            "block": 2 * layer + 1,
            "head": head,
            "sink_mass": 1 / (1 + math.exp(-logit)),
        }
        for (seed, layer, head), logit in np.ndenumerate(logits)
    ]
    return pl.DataFrame(rows)


def test_the_effect_is_that_of_generalised_least_squares():
    """With each variant's own variances, the model's estimate and standard error are those of the seeds' means."""
    draw = np.random.default_rng(0)
    heads = pl.concat([planted("baseline", -1.0, draw), planted("dyt", -2.0, draw)])
    logits = np.log(heads["sink_mass"] / (1 - heads["sink_mass"])).to_numpy()
    design = np.column_stack([np.ones(len(heads)), heads["variant"] == "dyt"]).astype(float)
    covariance = np.zeros((len(heads), len(heads)))
    for variant in ("baseline", "dyt"):
        rows = (heads["variant"] == variant).to_numpy()
        values = logits[rows].reshape(SEEDS, LAYERS, HEADS)
        # The nested analysis of variance, without cutting negative variances.
        within = values.var(axis=2, ddof=1).mean()
        layers = values.mean(axis=2).var(axis=1, ddof=1).mean() - within / HEADS
        seeds = values.mean(axis=(1, 2)).var(ddof=1) - (layers + within / HEADS) / LAYERS
        block = np.kron(
            np.eye(SEEDS),
            seeds + np.kron(np.eye(LAYERS), np.full((HEADS, HEADS), layers)) + within * np.eye(LAYERS * HEADS),
        )
        block *= np.kron(np.eye(SEEDS), np.ones((LAYERS * HEADS, LAYERS * HEADS)))
        covariance[np.ix_(rows, rows)] = block
    precision = np.linalg.inv(covariance)
    error = np.linalg.inv(design.T @ precision @ design)
    effect = error @ design.T @ precision @ logits
    (found,) = effects(heads)
    means = {name: np.array(list(values.values())) for name, values in means_by_seed(heads).items()}
    assert found.variant == "dyt" and found.change.value == pytest.approx(effect[1])
    parts = [means[name].var(ddof=1) / SEEDS for name in ("baseline", "dyt")]
    assert math.sqrt(sum(parts)) == pytest.approx(math.sqrt(error[1, 1]))
    low, high = found.change.low, found.change.high
    assert low < -1.0 < high and found.p == found.p_holm


def test_the_spreads_that_were_planted_are_found():
    found = components(planted("baseline", -1.0, np.random.default_rng(1), shape=(300, 8, 8)))
    assert found == pytest.approx(SPREADS, rel=0.1)


def test_one_seed_has_no_spread_and_a_mass_of_0_a_finite_logit():
    draw = np.random.default_rng(2)
    assert components(planted("baseline", 0.0, draw, shape=(1, 3, 2))) is None
    heads = planted("baseline", 0.0, draw).with_columns(pl.lit(0.0).alias("sink_mass"))
    assert all(math.isfinite(value) for value in means_by_seed(heads)["baseline"].values())
