"""Attention distances of maps that are known: uniform, a planted sink, and any map of any variant."""

import math

import models
import pytest
import torch
from test_measures import blank_embeddings, plant_sink, silent
from torch.nn import functional as F

from spikesink.measures.probes.attention_rows import attention_rows
from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.probes.shares import shares
from spikesink.measures.questions.attention_distance import attention_distance
from spikesink.model.attention import CausalAttention

T = 12


@pytest.mark.parametrize("name", models.VARIANTS)
def test_rows_are_those_of_the_whole_map(name):
    """Any chunk, for every kind of attention: else long contexts would be measured differently from short ones."""
    model = models.decoder(**models.VARIANTS[name])
    seen = 0
    for _, block, h, context in block_inputs(model, models.tokens(2, T)):
        if isinstance(block.body, CausalAttention):
            seen += 1
            x = block.pre_norm(h)
            whole = shares(block.body, models.attention_map(block.body, x, context))
            for chunk in (1, 5, 64):
                parts = list(attention_rows(block.body, x, context, chunk))
                assert [first for first, _ in parts] == list(range(0, T, chunk))
                rows = [F.pad(rows, (0, T - rows.shape[-1])) for _, rows in parts]
                torch.testing.assert_close(torch.cat(rows, dim=2), whole)
    assert seen >= 2


def test_blocks_are_entered_by_the_models_own_stream():
    model = models.decoder()
    tokens = models.tokens()
    *_, (index, block, h, context) = block_inputs(model, tokens)
    assert index == len(model.blocks)
    torch.testing.assert_close(model.norm(block(h, context)) @ model.head_weight.T, model(tokens))


def test_uniform_attention_has_half_of_every_querys_reach():
    """Query t of uniform attention looks t / 2 back on average, (t + 1) / 2 of it without position 0."""
    model = silent()
    for row in attention_distance(model, models.tokens(3, T), batch_size=2, local=4, query_chunk=5):
        later = range(1, T)
        mean = {
            "sink_mass": sum(1 / (t + 1) for t in range(T)) / T,
            "mass": 1,
            "distance": sum(t / 2 for t in later) / (T - 1),
            "distance_without_sink": sum((t - 1) / 2 for t in later) / (T - 1),
            "local_share": sum(min(4, t + 1) / (t + 1) for t in later) / (T - 1),
            "local_share_without_sink": sum(min(4, t) / t for t in later) / (T - 1),
            "entropy": sum(math.log(t + 1) for t in later) / (T - 1),
            "entropy_without_sink": sum(math.log(t) for t in later) / (T - 1),
        }
        assert row["distance"] == pytest.approx(T / 4)
        assert {name: row[name] for name in mean} == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("position", [0, 3])
def test_a_planted_sink_lengthens_its_heads_distance_and_what_is_left_is_uniform(position):
    """All attention on the sink is a distance of t - s; without it the rest, however little, counts as if alone."""
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=1, head=2, token=30, strength=4.0)
    tokens = models.tokens(4, T) % 30
    tokens[:, position] = 30
    rows = attention_distance(model, tokens, batch_size=3, sink=position, query_chunk=5)
    (sink,) = (row for row in rows if (row["layer"], row["head"]) == (1, 2))
    later = range(position + 1, T)
    assert sink["sink_mass"] > 0.9 * (T - position) / T
    assert sink["distance"] == pytest.approx(sum(t - position for t in later) / len(later), rel=0.01)
    rest = sum((t * (t + 1) / 2 - (t - position)) / t for t in later) / len(later)
    assert sink["distance_without_sink"] == pytest.approx(rest, rel=1e-4)
    assert sink["entropy"] < 0.05
    assert sink["entropy_without_sink"] == pytest.approx(sum(math.log(t) for t in later) / len(later), rel=1e-4)


@pytest.mark.parametrize(
    "name", ["baseline", "softpick", "relu", "sink_logit", "key_value_bias", "attention_only", "crossed"]
)
def test_every_number_is_that_of_the_eager_map(name):
    """Against sums over the whole map, weights divided by their sum; queries without any weight are left out."""
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(3, T)
    rows = attention_distance(model, tokens, batch_size=2, local=3, query_chunk=5)
    maps = [
        shares(block.body, models.attention_map(block.body, block.pre_norm(h), context)).double()
        for _, block, h, context in block_inputs(model, tokens)
        if isinstance(block.body, CausalAttention)
    ]
    assert len(rows) == 4 * len(maps)
    back = (torch.arange(T)[:, None] - torch.arange(T)).double()
    for row in rows:
        weights = maps[row["layer"]][:, row["head"]].detach()
        assert row["sink_mass"] == pytest.approx(weights[..., 0].mean().item(), rel=1e-5)
        assert row["mass"] == pytest.approx(weights[:, 1:].sum(dim=-1).mean().item(), rel=1e-5)
        for suffix, first in (("", 0), ("_without_sink", 1)):
            kept = weights[:, 1:, first:]
            total = kept.sum(dim=-1)
            share = (kept / total[..., None])[total > 0]
            distance = back[1:, first:].expand_as(kept)[total > 0]
            assert row["distance" + suffix] == pytest.approx((share * distance).sum(dim=-1).mean().item(), rel=1e-5)
            assert row["local_share" + suffix] == pytest.approx(
                (share * (distance < 3)).sum(dim=-1).mean().item(), rel=1e-5
            )
            entropy = -(share * share.clamp(min=1e-300).log()).sum(dim=-1).mean().item()
            assert row["entropy" + suffix] == pytest.approx(entropy, rel=1e-4)


def test_neither_batches_nor_chunks_change_the_table():
    model = models.decoder()
    tokens = models.tokens(5, T)
    whole = attention_distance(model, tokens, batch_size=5)
    for row, other in zip(whole, attention_distance(model, tokens, batch_size=2, query_chunk=3), strict=True):
        assert row == pytest.approx(other, rel=1e-5)


def test_a_single_token_has_no_later_queries():
    rows = attention_distance(models.decoder(), models.tokens(2, 1), batch_size=2)
    assert all(row["sink_mass"] == pytest.approx(1) and row["distance"] is None and row["mass"] is None for row in rows)
