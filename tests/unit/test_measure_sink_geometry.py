"""Geometry of a planted sink head: its score, its key's direction and the ranks are known."""

import math

import models
import pytest
import torch
from test_measures import HEAD_DIM, blank_embeddings, plant_sink, silent
from torch.nn import functional as F

from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.questions.sink_geometry import (
    chosen,
    directions,
    geometry_sums,
    key_query_embedding,
    keys_before_rotation,
    products,
    sink_geometry,
)
from spikesink.model.attention import CausalAttention

T = 12


def planted(strength: float = 3.0) -> tuple[models.Decoder, torch.Tensor]:
    """Head 2 of layer 1 looks at token 30, which stands at position 0 of every sequence."""
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=1, head=2, token=30, strength=strength)
    tokens = models.tokens(5, T) % 30
    tokens[:, 0] = 30
    return model, tokens


def test_the_planted_heads_logit_gap_is_the_planted_score():
    """Stream (1, 1, 0...) at the sink and (0, 1, 0...) elsewhere: RMSNorm makes sqrt(8) and sqrt(16) of the ones."""
    model, tokens = planted()
    rows = [row for row in sink_geometry(model, tokens, batch_size=2) if row["start"] == "bos"]
    (sink,) = (row for row in rows if row["is_sink_head"])
    assert (sink["block"], sink["layer"], sink["head"]) == (3, 1, 2)
    # The slowest rotary pair turns by 0.01 per position: the score hardly falls.
    score = 3 * math.sqrt(16) * 3 * math.sqrt(8) / math.sqrt(HEAD_DIM)
    assert sink["logit_sink"] == pytest.approx(score, rel=0.01)
    assert sink["logit_others"] == pytest.approx(0, abs=1e-6)
    assert sink["logit_gap"] == sink["logit_sink"] - sink["logit_others"]
    assert sink["cosine_sink"] == pytest.approx(1, rel=0.01) and sink["query_energy"] == pytest.approx(1, rel=0.01)
    assert sink["sink_key_norm"] == pytest.approx(3 * math.sqrt(8), rel=1e-4) and sink["other_key_norm"] == 0
    assert (sink["sink_rank"], sink["sink_energy_first"]) == (1, 1)
    assert (sink["other_rank"], sink["others_in_sink_subspace"]) == (0, None)
    quiet = [row for row in rows if row is not sink]
    assert all(row["logit_gap"] == 0 and not row["is_sink_head"] and row["sink_rank"] == 0 for row in quiet)


def test_without_the_bos_the_planted_sink_is_gone():
    model, tokens = planted()
    rows = [row for row in sink_geometry(model, tokens, batch_size=5) if row["start"] == "text"]
    assert len(rows) == 8 and not any(row["is_sink_head"] for row in rows)
    assert all(row["tokens"] == T - 1 for row in rows)


@pytest.mark.parametrize(
    "name",
    ["baseline", "grouped_query", "qwen3", "attention_only", "sink_logit", "softpick", "windows", "partial_rotary"],
)
def test_scores_are_those_of_the_whole_map(name):
    """The running sum over keys is the mean over the keys a query sees, as attention sees them."""
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(3, T)
    rows = sink_geometry(model, tokens, batch_size=2)
    maps = {}
    for index, block, h, context in block_inputs(model, tokens):
        if isinstance(block.body, CausalAttention):
            q, k = block.body.queries_keys(block.pre_norm(h), context)
            scores = q @ block.body.per_query_head(k).transpose(-1, -2) * block.body.scale
            mass = models.attention_map(block.body, block.pre_norm(h), context)[..., 0].mean(dim=(0, 2))
            seeing = min(block.body.window or T, T)  # later queries do not see key 0
            asking, key = q[:, :, 1:seeing], F.normalize(block.body.per_query_head(k)[:, :, :1], dim=-1)
            energy = (asking * key).sum(dim=-1).square().sum((0, 2)) / asking.square().sum((0, 2, 3))
            maps[index] = scores.detach().double(), mass, seeing, energy
    assert len(rows) == 4 * len(maps)
    for row in rows:
        scores, mass, seeing, energy = maps[row["block"]]
        scores = scores[:, row["head"]]
        others = torch.stack([scores[:, t, 1 : t + 1].mean(dim=-1) for t in range(1, seeing)])
        assert row["logit_sink"] == pytest.approx(scores[:, 1:seeing, 0].mean().item(), rel=1e-4, abs=1e-6)
        assert row["logit_others"] == pytest.approx(others.mean().item(), rel=1e-4, abs=1e-6)
        assert row["sink_mass"] == pytest.approx(mass[row["head"]].item(), rel=1e-5)
        assert row["query_energy"] == pytest.approx(energy[row["head"]].item(), rel=1e-4)


def test_ranks_count_planted_directions():
    """Keys along two directions with energies 9 : 1 need one of them for 90% and both for 95%."""
    gram = torch.diag(torch.tensor([0.0, 9.0, 1.0, 0.0], dtype=torch.float64))
    assert directions(gram, 0.9)[:2] == (1, 0.9)
    rank, first, subspace = directions(gram, 0.95)
    assert (rank, first) == (2, 0.9)
    torch.testing.assert_close(subspace @ subspace.T, torch.diag(torch.tensor([0.0, 1, 1, 0])).double())
    assert directions(torch.zeros(4, 4).double(), 0.95)[0] == 0


def test_sink_keys_of_one_token_span_one_direction_and_hold_a_known_share_of_the_others():
    """Key matrix the identity on a head: keys are the normalised stream itself, so all shares can be computed here."""
    model = silent(initialisation={"linear_std": 0.3, "embedding_std": 1.0})
    with torch.no_grad():
        model.blocks[0].body.k.weight.copy_(torch.eye(16))
    tokens = models.tokens(6, T)
    tokens[:, 0] = 7
    row = sink_geometry(model, tokens, batch_size=4)[0]
    x = model.blocks[0].pre_norm(model.embedding(tokens))[..., :HEAD_DIM].detach().double()
    assert row["sink_rank"] == 1
    direction = x[0, 0] / x[0, 0].norm()
    others = x[:, 1:]
    share = ((others @ direction).square().sum() / others.square().sum()).item()
    assert row["others_in_sink_subspace"] == pytest.approx(share, rel=1e-5)
    singular = torch.linalg.svdvals(others.flatten(0, 1)).square()
    assert row["other_energy_first"] == pytest.approx((singular[0] / singular.sum()).item(), rel=1e-5)
    assert row["other_rank"] == 1 + int((singular.cumsum(0) / singular.sum() < 0.95).sum())
    assert row["other_key_norm"] == pytest.approx(others.norm(dim=-1).mean().item(), rel=1e-5)


def test_keys_before_rotation_are_the_projection():
    model = models.decoder()
    ((_, block, h, context), *_) = block_inputs(model, models.tokens(2, T))
    x = block.pre_norm(h)
    expected = block.body.k(x).unflatten(-1, (4, HEAD_DIM)).transpose(1, 2)
    torch.testing.assert_close(keys_before_rotation(block.body, x, context), expected)


def test_products_leave_the_sink_out_of_the_others():
    q, k = torch.ones(1, 1, 3, 1), torch.tensor([100.0, 2, 4]).view(1, 1, 3, 1)
    sink, others = products(q, k, None)
    assert sink.flatten().tolist() == [100, 100] and others.flatten().tolist() == [2, 3]
    sink, others = products(q, k, 2)
    assert sink.flatten().tolist() == [100] and others.flatten().tolist() == [2], "the last window has passed key 0"


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_has_a_row_per_head(name):
    model = models.decoder(**models.VARIANTS[name])
    rows = sink_geometry(model, models.tokens(4, 9), batch_size=3)
    bodies = [block.body for block in model.blocks if isinstance(block.body, CausalAttention)]
    assert len(rows) == sum(body.heads for body in bodies)
    for row in rows:
        assert 1 <= row["sink_rank"] <= bodies[0].head_dim and row["sink_rank"] <= 4
        assert -1 <= row["cosine_sink"] <= 1 and 0 <= row["query_energy"] <= 1
        assert 0 <= row["others_in_sink_subspace"] <= 1 + 1e-9


def test_the_embedding_shows_the_planted_head_and_the_quietest_beside_it():
    model, tokens = planted()
    rows = key_query_embedding(model, tokens, batch_size=2, points=8)
    heads = {(row["head_kind"], row["block"], row["head"]) for row in rows}
    assert ("sink", 3, 2) in heads and len(heads) == 2
    assert all(block == 3 for _, block, _ in heads), "the other head is from the same block"
    assert all(row["sink_mass"] < 0.3 for row in rows if row["head_kind"] == "other")
    for kind in ("sink", "other"):
        members = [row for row in rows if row["head_kind"] == kind]
        assert sum(row["is_sink"] for row in members) == 1, "the keys of one token are one point"
        assert len(members) == 1 + 2 * 8
        assert all(row["role"] == "key" for row in members if row["is_sink"])
    assert rows == key_query_embedding(model, tokens, batch_size=5, points=8), "the same picture every time"


def test_points_are_chosen_without_repetition_and_fit_the_sequences():
    places = chosen(torch.arange(15).view(3, 5), points=100, seed=0)
    assert [(role, len(sequences)) for role, sequences, _ in places] == [("key", 3), ("key", 12), ("query", 12)]
    for _, sequences, positions in places[1:]:
        assert len(set(zip(sequences.tolist(), positions.tolist(), strict=True))) == 12
        assert positions.min() >= 1 and positions.max() == 4


def test_one_head_has_no_other_to_compare_with():
    one = {"layers": 1, "attention": {"heads": 1, "head_dim": 4}}
    model = models.decoder(**one)
    assert key_query_embedding(model, models.tokens(3, 6), batch_size=3) == []
    assert len(geometry_sums(model, models.tokens(3, 6), 2)) == 1
