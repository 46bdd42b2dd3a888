"""Streaming eviction against a real cache, token by token, and on a model that cannot do without position 0."""

import models
import pytest
import torch
from test_measures import blank_embeddings, plant_sink, silent
from torch import Tensor

from spikesink.measures.questions.perplexity import perplexity
from spikesink.measures.questions.streaming import Window, evicting, streaming
from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.decoder import Decoder
from spikesink.model.rotary import Rotary, rotary_tables, rotate

T = 17


def one_token(body: CausalAttention, x_BTD: Tensor, embedding: Tensor, cache: list, size: int, start: int, tables):
    """Attention of one new token: keys are cached before their rotation and turned by their place in the cache."""
    still = Rotary(torch.ones(1, body.head_dim), torch.zeros(1, body.head_dim))
    context = Context(embedding, still, still)
    q, k = body.queries_keys(x_BTD, context)
    cache.append((k, body.values(x_BTD, context), cache[-1][2] + 1 if cache else 0))
    if len(cache) > size:
        del cache[start]
    cos, sin = (table[: len(cache)] for table in tables[body.window is not None])
    keys = rotate(torch.cat([k for k, _, _ in cache], dim=2), cos, sin)
    values = torch.cat([v for _, v, _ in cache], dim=2)
    q = rotate(q, cos[-1:], sin[-1:])
    if body.extra_key is not None:
        q, keys, values = body.extra_key.extended(q, keys, values)
        q = q[:, :, 1:]
    scores = q @ body.per_query_head(keys).transpose(-1, -2) * body.scale
    if body.window is not None:  # a layer's own window counts the tokens of the text, evicted or not
        passed = torch.tensor([cache[-1][2] - place >= body.window for _, _, place in cache])
        scores = scores.masked_fill(passed, float("-inf"))
    weights = body.scores_to_weights(scores)
    y = (weights @ body.per_query_head(values))[..., : body.head_dim].transpose(1, 2)
    if body.gate is not None:
        y = body.gate(y, x_BTD, embedding)
    return body.o(y.flatten(2))


def with_a_real_cache(model: Decoder, tokens_BT: Tensor, size: int, start: int) -> Tensor:
    shape, device = model.settings.attention, tokens_BT.device
    tables = [rotary_tables(size, shape, device, windowed=windowed) for windowed in (False, True)]
    caches: dict[int, list] = {}
    logits = []
    for column in tokens_BT.split(1, dim=1):
        embedding = h = model.embedding(column)
        for index, block in enumerate(model.blocks):
            x = block.pre_norm(h)
            if isinstance(block.body, CausalAttention):
                out = one_token(block.body, x, embedding, caches.setdefault(index, []), size, start, tables)
            else:
                out = block.body(x, Context(embedding, *tables))
            h = block.sum_norm(h + block.post_norm(out))
        logits.append(model.norm(h) @ model.head_weight.T)
    return torch.cat(logits, dim=1)


@pytest.mark.parametrize("name", [name for name in models.VARIANTS if not name.startswith("positional")])
def test_a_window_is_a_real_cache_with_renumbered_positions(name):
    """For every variant, chunk and number of first tokens: else the table would not be about streaming inference."""
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(2, T)
    for size, start in ((5, 0), (6, 2), (3, 1)):
        expected = with_a_real_cache(model, tokens, size, start)
        for chunk in (4, 64):
            with evicting(model, Window(size, start, chunk)):
                torch.testing.assert_close(model(tokens), expected, rtol=1e-4, atol=1e-5)


def test_a_cache_that_holds_everything_is_the_plain_model():
    model = models.decoder()
    rows = models.tokens(5, T + 1)
    table = streaming(model, rows, batch_size=2, caches=(T, T + 9), starts=(0, 4), query_chunk=5)
    plain = [row["nll_nats"] for row in perplexity(model, rows, 2)]
    assert [row["nll_nats"] for row in table[:T]] == plain, "the reference comes first"
    assert all((row["cache"], row["start"]) == (T, 0) for row in table[:T])
    for first in range(T, len(table), T):
        assert [row["nll_nats"] for row in table[first : first + T]] == pytest.approx(plain, rel=1e-5)


def test_positions_before_the_first_eviction_are_untouched():
    model = models.decoder()
    rows = models.tokens(3, T + 1)
    table = streaming(model, rows, batch_size=3, caches=(6,), starts=(0, 2))
    plain, window, kept = (table[first : first + T] for first in (0, T, 2 * T))
    for row, other, third in zip(plain[:6], window[:6], kept[:6], strict=True):
        assert row["nll_nats"] == pytest.approx(other["nll_nats"], rel=1e-5)
        assert row["nll_nats"] == pytest.approx(third["nll_nats"], rel=1e-5)
    assert all(
        a["nll_nats"] != pytest.approx(b["nll_nats"], rel=1e-6) for a, b in zip(plain[6:], window[6:], strict=True)
    )
    assert [row["position"] for row in window] == list(range(T)) and all(row["tokens"] == 3 for row in window)


def test_a_model_that_reads_position_0_loses_it_with_the_window_and_keeps_it_with_a_sink():
    """Its head copies the value of the token at position 0 into the logits: gone from the step that evicts it."""
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=0, head=0, token=30, strength=8.0)
    attention = model.blocks[0].body
    with torch.no_grad():
        attention.v.weight[0, 0] = 1.0  # the sink's value: its mark in channel 0
        attention.o.weight[9, 0] = 10.0
        model.head_weight.zero_()
        model.head_weight[7, 9] = 10.0  # which predicts token 7
    rows = torch.full((3, T + 1), 7)
    rows[:, 0] = 30
    table = streaming(model, rows, batch_size=2, caches=(5,), starts=(0, 1))
    full, window, kept = (
        [row["nll_nats"] / row["tokens"] for row in table[first : first + T]] for first in (0, T, 2 * T)
    )
    assert max(full + kept) < 0.01
    uniform = torch.tensor(float(models.VOCABULARY)).log().item()
    assert max(window[:5]) < 0.01, "position 0 is evicted at position 5"
    assert window[5:] == pytest.approx([uniform] * (T - 5), rel=1e-4)


def test_the_model_is_left_as_it_was():
    model = models.decoder()
    tokens = models.tokens(2, T)
    before = model(tokens)
    with pytest.raises(RuntimeError, match="inside"), evicting(model, Window(4, 1, 8)):
        raise RuntimeError("inside")
    assert torch.equal(model(tokens), before)


def test_a_positional_gate_has_no_rows_and_no_room_for_recent_tokens_is_refused():
    assert (
        streaming(models.decoder(**models.VARIANTS["positional_head"]), models.tokens(2, 9), batch_size=2, caches=(4,))
        == []
    )
    with pytest.raises(ValueError, match="start = 4 of a cache of 4"):
        streaming(models.decoder(), models.tokens(2, 9), batch_size=2, caches=(4,))
