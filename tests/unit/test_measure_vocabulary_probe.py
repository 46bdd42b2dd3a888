"""Every token id alone, and what turns tokens towards the amplifier: planted spike tokens are found, and no others."""

import gc

import models
import planted_spikes
import pytest
import torch
from planted_spikes import CHANNEL, D_MODEL, amplified, direction
from probed_vocabulary import first_token_value_output, vocabulary_probe
from torch import nn

from spikesink.measures.probes import first_token
from spikesink.measures.probes.amplifier import step_up
from spikesink.measures.probes.first_token import FirstToken, is_linear, value_output_map
from spikesink.measures.probes.shares import shares
from spikesink.measures.probes.spikes import SpikeRule, ordinary_medians
from spikesink.measures.probes.vocabulary import pass_alone
from spikesink.measures.questions.delimiters import delimiter_probe, self_attention
from spikesink.measures.questions.vocabulary_probe import Largest
from spikesink.model.attention import CausalAttention
from spikesink.model.norms import NoNorm

RULE = SpikeRule(ratio=100)


def ones(model: models.Decoder) -> torch.Tensor:
    """A median of 1 at every hidden state."""
    return torch.ones(len(model.blocks) + 1)


class TallFirst(nn.Module):
    """A branch that adds 40 to every channel of token 0, and 9,000 to one: as in models whose token 0 spikes."""

    def forward(self, x, context):
        out = torch.zeros_like(x)
        out[:, 0] = 40.0
        out[:, 0, CHANNEL] = 9000.0
        return out


def test_a_vocabulary_that_spikes_whole_is_no_yardstick_of_itself():
    """The median of the probed tokens is 41, so that 300 medians would be more than any of them reaches. The median
    of ordinary tokens of text is 1."""
    model = planted_spikes.silent()
    with torch.no_grad():
        model.embedding.weight.fill_(1.0)
    model.blocks[1].body = TallFirst()
    rule = SpikeRule(ratio=300)
    medians = ordinary_medians(model, models.tokens(3, 8), rule=rule, batch_size=2)
    assert medians.tolist() == pytest.approx([1, 1, 1, 1, 1])
    rows = vocabulary_probe(model, medians, rule=rule)
    assert all(row["is_spike"] and row["threshold"] == pytest.approx(300) for row in rows)
    assert rows[0]["excess"] == pytest.approx(9001 / 300)


def test_exactly_the_planted_token_ids_spike(capsys):
    """opposed ids point against the amplified direction: SiLU lets nothing through."""
    model = amplified([3, 11, 30], opposed=[5])
    rows = vocabulary_probe(model, ones(model), rule=RULE, batch_size=4)
    assert [row["token_id"] for row in rows] == list(range(models.VOCABULARY))
    assert [row["token_id"] for row in rows if row["is_spike"]] == [3, 11, 30]
    for row in rows:
        if row["is_spike"]:
            assert (row["channel"], row["state"]) == (CHANNEL, 2)
            assert row["maximum"] == pytest.approx(50 * D_MODEL, rel=1e-4)
        assert row["excess"] == pytest.approx(row["maximum"] / row["threshold"])
    captured = capsys.readouterr()
    assert "vocabulary" in captured.err and captured.out == "", "the progress bar is for stderr"


def test_a_part_of_the_vocabulary_is_spread_over_all_of_it_and_has_the_same_answers():
    """A large vocabulary costs minutes: its first ids alone would be the frequent tokens."""
    model = amplified([3, 11, 30], opposed=[5])
    whole = vocabulary_probe(model, ones(model), rule=RULE)
    part = vocabulary_probe(model, ones(model), rule=RULE, most=10)
    assert [row["token_id"] for row in part] == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]
    for row in part:
        assert row == pytest.approx(whole[row["token_id"]], rel=1e-5)
    tokens = models.tokens(3, 10) % 20
    tokens[:, 0] = 11  # not among the ten
    maps = first_token_value_output(model, tokens, rule=RULE, most=10)
    assert [(row["group"], row["ids"]) for row in maps] == [("all", 10), ("spike", 1)]
    assert maps[1]["gain"] == first_token_value_output(model, tokens, rule=RULE)[1]["gain"]


def test_the_probe_does_not_depend_on_the_batch():
    model = models.decoder()
    rule = SpikeRule(0, 4)
    whole = vocabulary_probe(model, ones(model), rule=rule)
    for one, other in zip(whole, vocabulary_probe(model, ones(model), rule=rule, batch_size=3), strict=True):
        assert {name: one[name] for name in ("state", "channel", "is_spike")} == {
            name: other[name] for name in ("state", "channel", "is_spike")
        }
        for name in ("maximum", "threshold", "excess"):
            assert one[name] == pytest.approx(other[name], rel=1e-5)


def test_the_maximum_is_the_models_own():
    """Position 0 sees itself alone, so the probe agrees with the token in a longer text."""
    model, tokens = models.decoder(), models.tokens(5, 9)
    rows = vocabulary_probe(model, ones(model), rule=SpikeRule(magnitude=1, ratio=0))
    with torch.no_grad():
        h = model.embedding(tokens)
        context, largest = model.context(h), h.abs().amax(dim=-1)[:, 0]
        for block in model.blocks:
            h = block(h, context)
            largest = torch.maximum(largest, h.abs().amax(dim=-1)[:, 0])
    assert [rows[token]["maximum"] for token in tokens[:, 0].tolist()] == pytest.approx(largest.tolist(), rel=1e-5)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_self_attention_is_the_diagonal_of_the_map(name):
    """Some rows of the map at a time give what the whole map gives, as shares, for every kind of attention."""
    model, tokens = models.decoder(**models.VARIANTS[name]), models.tokens(2, 11)
    body = model.blocks[0].body
    with torch.no_grad():
        h = model.embedding(tokens)
        x, context = model.blocks[0].pre_norm(h), model.context(h)
        whole = shares(body, models.attention_map(body, x, context)).diagonal(dim1=-2, dim2=-1).mean(dim=1)
        torch.testing.assert_close(self_attention(body, x, context, chunk=4), whole)


def test_delimiters_are_told_apart_from_other_tokens():
    """Token 25 spikes everywhere, 26 nowhere, 27 is absent; attention is uniform: 1 / (t + 1) on itself."""
    model = amplified([25])
    tokens = models.tokens(3, 10) % 20
    tokens[:, 4], tokens[1, 9], tokens[0, 2] = 25, 25, 26
    rows = delimiter_probe(model, tokens, delimiters=[25, 26, 27], rule=RULE, chunk=3, batch_size=2)
    assert [(row["token_id"], row["spikes"], row["occurrences"], row["block"]) for row in rows] == [
        (25, True, 4, 1),
        (26, False, 1, 1),
        (None, False, 22, 1),
    ]
    spike, plain, others = rows
    assert (spike["spike_share"], plain["spike_share"], others["spike_share"]) == (1, 0, 0)
    assert spike["self_attention"] == pytest.approx((3 / 5 + 1 / 10) / 4)
    assert plain["self_attention"] == pytest.approx(1 / 3)
    assert {(row["step_up_block"], row["channel"]) for row in rows} == {(2, CHANNEL)}
    assert spike["cosine"] == pytest.approx(1, abs=1e-5)
    assert plain["cosine"] == pytest.approx(0, abs=1e-5) and others["cosine"] == pytest.approx(0, abs=1e-5)


def test_position_0_is_no_delimiter():
    model = amplified([25])
    tokens = models.tokens(3, 10) % 20
    tokens[:, 0] = 25
    (row,) = delimiter_probe(model, tokens, delimiters=[25], rule=RULE)
    assert (row["token_id"], row["occurrences"], row["spike_share"]) == (None, 27, 0)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_only_a_linear_branch_counts_as_linear(name):
    """f(x + y) - f(0) = f(x) - f(0) + f(y) - f(0) at position 0 if and only if the branch is said to be linear; then
    W_VO is that map, bias apart."""
    model = models.decoder(**models.VARIANTS[name])
    for block in model.blocks:
        body = block.body
        if not isinstance(body, CausalAttention):
            continue
        with torch.no_grad():
            for parameter in body.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
            h = torch.randn(3, 1, D_MODEL, generator=torch.Generator().manual_seed(2))
            h[2] = h[0] + h[1]
            context = model.context(h)  # a gate may read the embedding, which changes with the token too
            f, zero = body(h, context), body(torch.zeros_like(h), context)
            additive = torch.allclose(f[2] + zero[0], f[0] + f[1], atol=1e-4)
        assert is_linear(body) == additive
        if additive and not isinstance(block.pre_norm, NoNorm):
            with torch.no_grad():
                block.pre_norm.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(3))
                mapped = h @ value_output_map(model, block).T
                torch.testing.assert_close(mapped, body(h * block.pre_norm.weight, context) - zero)


@pytest.mark.parametrize("flip", [1, -1])
def test_a_planted_value_output_map_is_found(flip, monkeypatch):
    """W_VO = 3 s v^T with v the mean direction: one singular value, and every output along the amplified direction,
    whichever of the two signs the eigenvector s* comes with."""

    def flipped(*arguments):
        target = step_up(*arguments)
        direction = target.direction
        return target._replace(direction=direction._replace(vector_D=flip * direction.vector_D))

    monkeypatch.setattr(first_token, "step_up", flipped)
    model, s = amplified([25]), direction()
    v = torch.eye(D_MODEL)[CHANNEL]
    with torch.no_grad():
        model.embedding.weight[:, CHANNEL] = 2.0
        attention = model.blocks[0].body
        model.blocks[0].pre_norm.weight.fill_(planted_spikes.GAIN)
        attention.v.weight[5] = v / planted_spikes.GAIN
        attention.o.weight[:, 5] = 3 * s
    tokens = models.tokens(3, 10) % 20
    tokens[:, 0] = 25
    rows = first_token_value_output(model, tokens, rule=RULE, batch_size=7)
    assert [(row["block"], row["group"], row["ids"]) for row in rows] == [(1, "all", 31), (1, "spike", 1)]
    for row in rows:
        assert (row["step_up_block"], row["channel"]) == (2, CHANNEL)
        assert [row["singular1"], row["singular2"], row["frobenius"]] == pytest.approx([3, 0, 3], abs=1e-4)
        assert row["stable_rank"] == pytest.approx(1, abs=1e-4)
        for name in ("concentration", "cosine_output", "cosine_singular"):
            assert row[name] == pytest.approx(1, abs=1e-4), name
    # The stream of token 25 is 10 s + 2 v, so v.h = 4 x 2 / |stream|, and the output is 3 s times that.
    along = 10 + 3 * 2 * 4 / 104**0.5
    assert rows[1]["gain"] == pytest.approx(3 * 2 / 104**0.5, rel=1e-4)
    assert rows[1]["cosine_stream"] == pytest.approx(along / (along**2 + 4) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_can_be_asked(name):
    """No rows where the question does not apply: an output at position 0 that is not linear in the input."""
    model, tokens = models.decoder(**models.VARIANTS[name]), models.tokens(3, 8)
    rule = SpikeRule(0, 2)
    assert len(vocabulary_probe(model, ones(model), rule=rule)) == models.VOCABULARY
    delimiters = delimiter_probe(model, tokens, delimiters=[int(tokens[0, 3])], rule=rule)
    assert all(0 <= row["self_attention"] <= 1 for row in delimiters)
    maps = first_token_value_output(model, tokens, rule=rule)
    linear = {number for number, block in enumerate(model.blocks, 1) if isinstance(block.body, CausalAttention)}
    linear = {number for number in linear if is_linear(model.blocks[number - 1].body)}
    assert {row["block"] for row in maps} <= linear
    if model.settings.feed_forward.kind not in ("swiglu", "geglu"):
        assert all(row["cosine"] is None for row in delimiters)
        assert all(row["cosine_stream"] is None for row in maps)


@pytest.mark.parametrize("batch_size", [4, 16])
def test_a_pass_of_the_vocabulary_keeps_no_tensor(batch_size):
    """Small tensors kept between the large ones of a pass leave holes that the next pass does not fit into: 10 GB more
    for the vocabulary of SmolLM2. Only the totals, one for a block and a group of tokens, are made while it runs."""
    model = amplified([3, 11, 30])
    largest, first = Largest(model, None), FirstToken(model, models.tokens(3, 8), rule=RULE, batch_size=2)
    before = tensors_alive()
    pass_alone(model, largest.ids, (largest, first), batch_size)
    known = {id(one) for one in before}
    assert sum(id(one) not in known for one in tensors_alive()) == len(first.totals)


def tensors_alive() -> list[torch.Tensor]:
    gc.collect()
    return [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
