"""Conditional independence: chains, direct links and groups that are known beforehand."""

import math

import models
import numpy as np
import pytest
import torch

from spikesink.measures.independence import (
    average_ranks,
    averaged,
    conditional_independence,
    independence,
    sink_observations,
)
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.gradients import gradients
from spikesink.measures.questions.layers import layers


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_a_chain_is_independent_given_its_middle():
    """x -> z -> y: correlated, and not once z is known."""
    e = noise(3, 400)
    x = e[0]
    z = x + 0.5 * e[1]
    y = z + 0.5 * e[2]
    assert conditional_independence(x, y, permutations=200)["p_fisher"] < 1e-6
    given = conditional_independence(x, y, z, permutations=500)
    assert abs(given["correlation"]) < 0.1
    assert given["p_fisher"] > 0.1
    assert given["p_permutation"] > 0.1
    # The links of the chain remain.
    assert conditional_independence(x, z, y, permutations=200)["correlation"] > 0.5


def test_a_direct_link_remains_given_the_middle():
    e = noise(3, 400)
    x = e[0]
    z = x + 0.5 * e[1]
    y = z + x + 0.5 * e[2]
    given = conditional_independence(x, y, z, permutations=500)
    assert given["correlation"] > 0.5
    assert given["p_fisher"] < 1e-6
    assert given["p_permutation"] == pytest.approx(1 / 501)


def test_the_partial_correlation_has_its_textbook_value():
    """(r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2)), and Fisher's z with n - 4 degrees of freedom."""
    x, y, z = noise(3, 30, seed=1)
    y = y + z
    r = np.corrcoef((x, y, z))
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    found = conditional_independence(x, y, z, permutations=1)
    assert found["correlation"] == pytest.approx(expected)
    p = math.erfc(abs(math.atanh(expected)) * math.sqrt(26) / math.sqrt(2))
    assert found["p_fisher"] == pytest.approx(p)


def test_p_values_of_independent_data_are_uniform():
    """One in ten data sets falls below 0.1, by either p-value: neither too eager nor too shy."""
    below = np.zeros(2)
    for seed in range(200):
        x, y, z = noise(3, 25, seed=seed)
        found = conditional_independence(x + z, y + z, z, permutations=99, seed=seed)
        below += [found["p_fisher"] < 0.1, found["p_permutation"] <= 0.1]
    assert 8 <= below.min() <= below.max() <= 32


def test_groups_take_out_what_sets_them_apart():
    """Three groups lie on a rising line, inside each x and y are unrelated: dependence between groups only."""
    groups = np.repeat([0, 1, 2], 60)
    x, y = noise(2, 180, seed=3) + 5 * groups
    assert conditional_independence(x, y, permutations=50)["correlation"] > 0.9
    within = conditional_independence(x, y, groups=groups, permutations=300)
    assert within["p_fisher"] > 0.05
    assert within["p_permutation"] > 0.05


def test_ranks_do_not_change_under_monotone_maps():
    x, y, z = noise(3, 50)
    plain = conditional_independence(x, y + x, z, ranks=True, permutations=20)
    assert conditional_independence(np.exp(5 * x), (y + x) ** 3, np.exp(z), ranks=True, permutations=20) == plain
    assert average_ranks(np.array([3.0, 1.0, 3.0, 7.0])).tolist() == [1.5, 0.0, 1.5, 3.0]


def test_nothing_is_said_where_nothing_varies_or_too_little_is_seen():
    nothing = {"correlation": None, "p_fisher": None, "p_permutation": None}
    x, y, z = noise(3, 20)
    assert conditional_independence(np.full(20, 3.0), y, z) == nothing
    assert conditional_independence(2 * z + 1, y, z) == nothing
    assert conditional_independence(x[:4], y[:4], z[:4]) == nothing
    assert conditional_independence(np.float32(2.0) + np.float32(1e-7) * x, y) == nothing  # float32 rounding


def observations(chain: bool, layers: int = 4, snapshots: int = 40) -> list[dict]:
    """Logarithms in a chain sink -> value_gradient -> activation, or with a link around its middle."""
    e = noise(3, layers, snapshots)
    sink = e[0]
    gradient = sink + 0.5 * e[1]
    activation = gradient + 0.5 * e[2] + (0 if chain else 1) * sink + np.arange(layers)[:, None]
    return [
        {
            "step": step,
            "block": 2 * layer + 1,
            "layer": layer,
            "sink": math.exp(sink[layer, step]),
            "value_gradient": math.exp(gradient[layer, step]),
            "activation": math.exp(activation[layer, step]),
        }
        for layer in range(layers)
        for step in range(snapshots)
    ]


def test_the_papers_chain_is_told_from_a_direct_link():
    for chain in (True, False):
        rows = independence(observations(chain), within_blocks=True, permutations=200)
        assert [(row["x"], row["y"], row["given"]) for row in rows] == [
            ("sink", "activation", "value_gradient"),
            ("sink", "value_gradient", "activation"),
            ("value_gradient", "activation", "sink"),
        ]
        assert rows[0]["correlation"] > 0.5
        assert (rows[0]["partial_p_fisher"] > 0.05) == chain
        assert (rows[0]["partial_p_permutation"] > 0.05) == chain
        assert rows[2]["partial_correlation"] > 0.5
        assert all(row["observations"] == 160 and row["within_blocks"] for row in rows)


def test_an_observation_without_gradient_is_left_out():
    table = observations(chain=True)
    table[0]["value_gradient"] = 0.0
    assert independence(table, permutations=10)[0]["observations"] == 159


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


def test_one_first_token_for_all_sequences_leaves_no_variation_within_a_block():
    """Token 0 sees itself alone, so with a BOS its norm is one number per block and snapshot."""
    rows = models.tokens(8, 13)
    rows[:, 0] = 4
    table = sink_observations(models.decoder(), rows)
    found = independence(table, within_blocks=True, permutations=10)
    assert found[0]["correlation"] is found[0]["partial_correlation"] is None
    assert found[1]["correlation"] is not None


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_is_observed(name):
    model = models.decoder(**models.VARIANTS[name])
    table = sink_observations(model, models.tokens(3, 9), batch_size=2)
    branches = 4 if model.settings.feed_forward.kind == "attention" else 2
    assert len(table) == 3 * branches
    assert torch.tensor([[row["activation"], row["value_gradient"]] for row in table]).min() > 0
