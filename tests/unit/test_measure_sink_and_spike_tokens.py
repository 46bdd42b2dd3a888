"""Sink tokens and spike tokens that are planted apart, and together."""

import polars as pl
import pytest
import torch
from planted_spikes import CHANNEL, Plant, silent

from spikesink.measures.probes.spikes import SpikeRule
from spikesink.measures.questions.sink_and_spike_tokens import sink_and_spike_tokens
from spikesink.tables.topics.same_tokens import columns

TALL = SpikeRule(ratio=100)
SPIKE_AT = 2
LENGTH = 16


def planted(sink_at: dict[int, int]) -> list[dict]:
    """Four sequences of 16 tokens. A spike stands at position 2 of all; attention rests on the given keys, by sequence.

    In sequences without an entry attention is uniform.
    """
    model = silent(layers=2)
    with torch.no_grad():
        model.embedding.weight.fill_(0.1)
    model.blocks[1].body = Plant(SPIKE_AT, {CHANNEL: 500.0})
    body = model.blocks[2].body
    uniform = body.weights

    def weights(q, k):
        found, first = uniform(q, k), k.shape[2] - q.shape[2]
        for sequence, key in sink_at.items():
            later = max(0, key - first)  # of these queries, the first that sees the key
            found[sequence, 1, later:] = 0
            found[sequence, 1, later:, key : key + 1] = 1
        return found

    body.weights = weights
    tokens = torch.zeros(4, LENGTH, dtype=torch.long)
    return sink_and_spike_tokens(model, tokens, rule=TALL, epsilon=0.3, batch_size=4, chunk=3)


def shares(rows: list[dict]) -> dict:
    return columns({"sink_and_spike_tokens": pl.DataFrame(rows)})


def test_a_token_that_is_both_is_counted_as_both():
    rows = planted({0: 2, 1: 2, 2: 2, 3: 2})
    assert [row["position"] for row in rows] == list(range(LENGTH // 2))
    for row in rows:
        expected = (4, 4, 4) if row["position"] == SPIKE_AT else (0, 0, 0)
        assert (row["sinks"], row["spikes"], row["both"]) == expected
    found = shares(rows)
    assert found == {
        "sink_tokens_that_spike": 100,
        "spike_tokens_that_sink": 100,
        "same_tokens": 100,
        "same_tokens_later": 100,
        "sink_tokens_later": 100,
        "spike_tokens_later": 100,
    }


def test_sinks_elsewhere_than_spikes_are_told_apart_sequence_by_sequence():
    """By position alone they would look alike: both stand at 2 somewhere."""
    found = shares(planted({0: 0, 1: 0, 2: 2}))
    assert found["sink_tokens_that_spike"] == pytest.approx(100 / 3)  # of three sinks one
    assert found["spike_tokens_that_sink"] == 25  # of four spikes one
    assert found["same_tokens"] == pytest.approx(100 / 6)
    assert found["same_tokens_later"] == 25
    assert found["sink_tokens_later"] == pytest.approx(100 / 3) and found["spike_tokens_later"] == 100


def test_mass_is_the_mean_over_heads_of_eq_27():
    """Seven of eight heads are uniform, one rests on key 2 from query 2 on."""
    row = planted({0: 2})[2]
    uniform = sum(1 / (t + 1) for t in range(2, LENGTH)) / LENGTH
    resting = (LENGTH - 2) / LENGTH
    assert row["mass_spikes"] == pytest.approx((7 * uniform + resting) / 8 + 3 * uniform)
    assert row["mass_others"] == 0


def test_without_sinks_or_spikes_nothing_is_said():
    model = silent(layers=2)
    rows = sink_and_spike_tokens(model, torch.zeros(3, LENGTH, dtype=torch.long), rule=TALL, epsilon=0.3, batch_size=2)
    assert set(shares(rows).values()) == {None}
