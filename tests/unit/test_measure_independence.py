"""Conditional independence: chains, direct links, trends and repeated points that are known beforehand."""

import math

import models
import numpy as np
import pytest
import torch

from spikesink.measures.independence import averaged, independence, interval, sink_observations, without_trend
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.gradients import gradients
from spikesink.measures.questions.layers import layers

BLOCKS, STEPS = 4, 40


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=1, keepdims=True)


def rows_of(sink: np.ndarray, value_gradient: np.ndarray, activation: np.ndarray) -> list[dict]:
    """Rows as ``averaged`` gives them, from logarithms [blocks, steps]; steps are 10, 20, ..."""
    named = {"sink": sink, "value_gradient": value_gradient, "activation": activation}
    return [
        {"step": 10 * (t + 1), "block": 2 * b + 1, "layer": b}
        | {name: math.exp(values[b, t]) for name, values in named.items()}
        for b in range(sink.shape[0])
        for t in range(sink.shape[1])
    ]


def chained(direct: float) -> list[dict]:
    """sink -> value_gradient -> activation, and a direct link from sink to activation of this strength."""
    e = noise(3, BLOCKS, STEPS)
    sink = e[0]
    gradient = sink + 0.5 * e[1]
    return rows_of(sink, gradient, gradient + 0.5 * e[2] + direct * sink + np.arange(BLOCKS)[:, None])


def of_sink_and_activation(rows: list[dict], step_controlled: bool) -> dict:
    (row,) = (
        row for row in rows if (row["x"], row["y"], row["step_controlled"]) == ("sink", "activation", step_controlled)
    )
    return row


def test_the_papers_chain_is_told_from_a_direct_link():
    """Given the middle of the chain nothing is left; with a link around it something is."""
    for direct in (0.0, 1.0):
        table = independence(chained(direct))
        assert [(row["x"], row["y"], row["given"]) for row in table[:3]] == [
            ("sink", "activation", "value_gradient"),
            ("sink", "value_gradient", "activation"),
            ("value_gradient", "activation", "sink"),
        ]
        for step_controlled in (False, True):
            row = of_sink_and_activation(table, step_controlled)
            assert row["correlation"] > 0.5 and row["observations"] == BLOCKS * STEPS
            assert (row["partial_low"] <= 0 <= row["partial_high"]) == (direct == 0)
        assert all(row["partial_correlation"] > 0.5 for row in table[2::3]), "the chain's own link remains"


def test_a_common_trend_in_training_is_no_dependence_once_the_step_is_controlled():
    """All three grow with the logarithm of the step and have nothing else in common."""
    trend = np.log(np.arange(1, STEPS + 1))
    sink, gradient, activation = 0.3 * noise(3, BLOCKS, STEPS, seed=4) + trend
    table = independence(rows_of(sink, gradient, activation))
    assert of_sink_and_activation(table, False)["correlation"] > 0.8
    controlled = of_sink_and_activation(table, True)
    assert controlled["low"] <= 0 <= controlled["high"]
    assert controlled["partial_low"] <= 0 <= controlled["partial_high"]


def test_the_partial_correlation_has_its_textbook_value():
    """(r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2)); one block, one mean removed."""
    x, y, z = (centred(values) for values in noise(3, 1, 30, seed=1))
    y = y + z
    r = np.corrcoef((x[0], y[0], z[0]))
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    found = interval(x, y, z, terms=1)
    assert found["correlation"] == pytest.approx(expected)
    reach = 1.959964 / math.sqrt(found["effective"] - 4)
    assert math.atanh(found["high"]) - math.atanh(expected) == pytest.approx(reach, rel=1e-4)


def test_points_that_are_no_news_do_not_count():
    """Blocks that are copies of one count once; a course that hardly moves between snapshots counts a few times."""
    x, y = (centred(values) for values in noise(2, 1, STEPS, seed=2))
    one = interval(x, y, None, terms=1)["effective"]
    copies = interval(x.repeat(6, axis=0), y.repeat(6, axis=0), None, terms=1)
    assert copies["effective"] == pytest.approx(one)
    assert 0.7 * STEPS < one <= STEPS - 1
    slow, other = (centred(np.cumsum(values, axis=1)) for values in noise(2, 1, STEPS, seed=3))
    assert interval(slow, other, None, terms=1)["effective"] < 0.25 * STEPS


def wandering(generator: np.random.Generator, memory: float) -> np.ndarray:
    """A stationary course per block, neighbours correlated by ``memory``, four fifths of it common to all blocks."""
    news = (
        math.sqrt(0.2) * generator.standard_normal((3, STEPS + 60))
        + math.sqrt(0.8) * generator.standard_normal((1, STEPS + 60))
    )  # fmt: skip
    values = np.zeros_like(news)
    for t in range(1, news.shape[1]):
        values[:, t] = memory * values[:, t - 1] + news[:, t]
    return values[:, 60:]


@pytest.mark.parametrize("memory", [0.0, 0.8, 0.95])
def test_the_interval_covers_what_it_says(memory):
    """Sink and activation depend on the gradient alone, in courses that wander together: 95 % intervals hold 0.

    Were all points counted as independent, far fewer would."""
    generator = np.random.default_rng(0)
    terms = np.ones((STEPS, 1))
    held, held_naively = 0, 0
    for _ in range(200):
        z, x, y = (wandering(generator, memory) for _ in range(3))
        x, y, z = (without_trend(values, terms) for values in (x + z, y + z, z))
        found = interval(x, y, z, terms=1)
        held += found["low"] is None or found["low"] <= 0 <= found["high"]
        held_naively += abs(math.atanh(found["correlation"])) * math.sqrt(3 * STEPS - 4) < 1.96
    assert held >= 184, "92 %, two standard errors below"
    assert held_naively < 175


def test_nothing_is_said_where_nothing_varies_or_too_little_is_seen():
    nothing = {"correlation": None, "effective": None, "low": None, "high": None}
    x, y, z = (centred(values) for values in noise(3, 2, 20))
    assert interval(np.zeros_like(x), y, None, terms=1) == nothing
    assert interval(2 * z, y, z, terms=1) == nothing, "x does not vary beyond what is given"
    assert interval(x, y, np.zeros_like(z), terms=1) == nothing
    few = interval(x[:1, :4], y[:1, :4], None, terms=1)
    assert few["correlation"] is not None and few["low"] is few["high"] is None
    level = np.full((1, 20), 2.0) + 1e-7 * noise(1, 20)
    assert not without_trend(level, np.ones((20, 1))).any(), "float32 rounding is no variation"
    assert independence([]) == []


def test_a_step_at_which_a_block_has_no_gradient_is_left_out():
    table = chained(0.0)
    table[0]["value_gradient"] = 0.0
    assert {row["observations"] for row in independence(table)} == {BLOCKS * (STEPS - 1)}


def test_observations_are_sequence_by_sequence_what_the_measures_average():
    model = models.decoder(**models.VARIANTS["grouped_query"])
    rows = models.tokens(5, 13)
    table = sink_observations(model, rows, step=30, batch_size=2)
    assert [(row["block"], row["sequence"]) for row in table if row["block"] == 3] == [(3, b) for b in range(5)]
    assert {row["step"] for row in table} == {30}
    means = averaged(table)
    assert [(row["block"], row["layer"]) for row in means] == [(1, 0), (3, 1)]
    sinks = attention_sinks(model, rows[:, :-1], epsilon=0.3, batch_size=5)
    norms = layers(model, rows[:, :-1])
    firsts = {row["block"]: row for row in gradients(model, rows) if row["position"] == 0}
    for row in means:
        mass = [sink["sink_mass"] for sink in sinks if sink["block"] == row["block"]]
        assert row["sink"] == pytest.approx(sum(mass) / 4, rel=1e-4)
        assert row["activation"] == pytest.approx(norms[row["layer"]]["stream_token0"], rel=1e-4)
        assert row["value_gradient"] == pytest.approx(firsts[row["block"]]["value_per_sequence"], rel=1e-4)


def test_one_snapshot_leaves_no_variation_within_a_block():
    """Its sequences are no observations: with a BOS token 0 sees itself alone, in every sequence the same."""
    found = independence(averaged(sink_observations(models.decoder(), models.tokens(8, 13), step=3)))
    assert len(found) == 6 and all(row["correlation"] is row["partial_correlation"] is None for row in found)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_is_observed(name):
    model = models.decoder(**models.VARIANTS[name])
    table = sink_observations(model, models.tokens(3, 9), batch_size=2)
    branches = 4 if model.settings.feed_forward.kind == "attention" else 2
    assert len(table) == 3 * branches
    assert torch.tensor([[row["activation"], row["value_gradient"]] for row in table]).min() > 0
