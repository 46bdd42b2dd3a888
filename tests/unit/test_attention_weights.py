"""Alternatives to softmax: each is its formula, in the map that measures see and in the output that training uses."""

import models
import pytest
import torch

from spikesink.model.rotary import rotary_tables, stretched
from spikesink.model.softpick import softpick
from spikesink.study.settings import Attention, RopeScaling

GROUPED = {"heads": 4, "head_dim": 4, "kv_heads": 2}


def attention(**settings):
    """The first attention of a decoder with its extra parameters drawn at random, an input and its context."""
    model = models.decoder(attention=GROUPED | settings)
    body = model.blocks[0].body
    if body.extra_key is not None:
        for parameter in body.extra_key.parameters():
            torch.nn.init.normal_(parameter)
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(5))
    return body, x, model.context(x)


def scores_and_values(body, x, context):
    """Causal scores [B, N, T, T] with -inf above the diagonal, and values per query head, in float64."""
    q, k = (tensor.double() for tensor in body.queries_keys(x, context))
    k, v = k.repeat_interleave(2, dim=1), body.values(x, context).double().repeat_interleave(2, dim=1)
    scores = q @ k.transpose(-1, -2) / 2.0
    return scores.masked_fill(torch.ones(9, 9).triu(1).bool(), float("-inf")), q, v


def check(body, x, context, weights, extra_value=0.0):
    """The map equals ``weights``, the output what they mix."""
    _, _, v = scores_and_values(body, x, context)
    torch.testing.assert_close(models.attention_map(body, x, context), weights.float(), rtol=1e-5, atol=1e-6)
    mixed = (weights @ v + extra_value).transpose(1, 2).flatten(2).float()
    torch.testing.assert_close(body(x, context), body.o(mixed), rtol=1e-4, atol=1e-5)


def test_softmax1_adds_one_to_the_denominator():
    body, x, context = attention(softmax="softmax1")
    assert list(body.extra_key.parameters()) == []
    e = scores_and_values(body, x, context)[0].exp()
    check(body, x, context, e / (1 + e.sum(-1, keepdim=True)))


def test_a_sink_logit_is_one_learned_unscaled_logit_per_query_head():
    body, x, context = attention(softmax="sink_logit")
    assert body.extra_key.logit.shape == (4,)
    scores, _, _ = scores_and_values(body, x, context)
    column = body.extra_key.logit.double().view(1, 4, 1, 1).expand(2, 4, 9, 1)
    whole = torch.cat((scores, column), dim=-1).softmax(dim=-1)
    check(body, x, context, whole[..., :-1])


def test_a_sink_logit_of_zero_is_softmax1():
    """As it starts: what differs between the two variants is learned."""
    sink, plain = (models.decoder(attention=GROUPED | {"softmax": kind}) for kind in ("sink_logit", "softmax1"))
    torch.testing.assert_close(sink(models.tokens()), plain(models.tokens()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["key_bias", "key_value_bias"])
def test_an_extra_key_competes_with_the_text_and_brings_its_own_value(kind):
    body, x, context = attention(extra_key=kind)
    scores, q, _ = scores_and_values(body, x, context)
    key = body.extra_key.key.double().view(2, 4).repeat_interleave(2, dim=0)
    column = torch.einsum("bnth,nh->bnt", q, key)[..., None] / 2.0
    whole = torch.cat((column, scores), dim=-1).softmax(dim=-1)
    value = 0.0
    if kind == "key_value_bias":
        value = whole[..., :1] * body.extra_key.value.double().view(2, 1, 4).repeat_interleave(2, dim=0)
    else:
        assert body.extra_key.value is None
    check(body, x, context, whole[..., 1:], value)


def test_softpick_is_its_formula_and_may_give_no_weight_at_all():
    body, x, context = attention(softmax="softpick")
    scores, _, _ = scores_and_values(body, x, context)
    e = (scores.exp() - 1).masked_fill(scores == float("-inf"), 0)
    weights = e.relu() / (e.abs().sum(-1, keepdim=True) + 1e-8)
    check(body, x, context, weights)
    assert (weights.sum(-1) == 0).any() and (weights.sum(-1) < 1).any()


def test_sigmoid_attention_is_its_formula_and_its_weights_do_not_compete():
    body, x, context = attention(softmax="sigmoid")
    weights = scores_and_values(body, x, context)[0].sigmoid()
    assert (weights.triu(1) == 0).all() and weights.sum(-1).max() > 2
    check(body, x, context, weights)


def test_relu_attention_is_its_formula_over_the_keys_that_a_query_sees():
    body, x, context = attention(softmax="relu")
    weights = scores_and_values(body, x, context)[0].clamp(min=0) / torch.arange(1, 10)[:, None]
    check(body, x, context, weights)
    assert (weights.sum(-1) == 0).any()


def test_softpick_is_stable_for_large_scores_and_exact_for_masked_ones():
    x = torch.tensor([200.0, 100.0, -300.0, float("-inf")])
    torch.testing.assert_close(softpick(x), torch.tensor([1.0, 0.0, 0.0, 0.0]))
    # A masked entry must count for nothing: e^-m each would be a third of this sum.
    x = torch.tensor([0.5, -0.5, float("-inf"), float("-inf")])
    up, down = torch.tensor(0.5).exp() - 1, 1 - torch.tensor(-0.5).exp()
    torch.testing.assert_close(softpick(x), torch.tensor([up / (up + down), 0.0, 0.0, 0.0]))
    assert softpick(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "settings",
    [
        {"softmax": "sink_logit"},
        {"softmax": "softpick"},
        {"softmax": "sigmoid"},
        {"softmax": "relu"},
        {"extra_key": "key_bias"},
    ],
)
def test_the_output_is_close_to_float32_in_bfloat16(settings):
    """Training computes in bfloat16: a large logit and the dummy query must not spoil it."""
    body, x, context = attention(**settings)
    with torch.autocast("cpu", torch.bfloat16):
        rough = body(x, context).float()
    exact = body(x, context)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


def test_norms_of_queries_and_keys_are_per_head_with_qk_norm():
    body, x, context = attention(qk_norm=True)
    q, k = body.queries_keys(x, context)
    for vectors in (q, k):
        torch.testing.assert_close(vectors.square().mean(-1), torch.ones_like(vectors[..., 0]), rtol=1e-3, atol=0)
    assert body.q_norm.weight.shape == (4,)


def test_llama_3_scaling_keeps_fast_frequencies_divides_slow_ones_and_blends_between():
    scaling = RopeScaling(factor=8.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_positions=8192)
    turns = torch.tensor([100.0, 4.0, 2.5, 1.0, 0.1])
    frequencies = turns * 2 * torch.pi / 8192
    shares = stretched(frequencies, scaling) / frequencies
    torch.testing.assert_close(shares, torch.tensor([1.0, 1.0, 0.5 + 0.5 / 8, 1 / 8, 1 / 8]))
    plain, scaled = (
        rotary_tables(5, Attention(heads=1, head_dim=8, rope_scaling=rope), torch.device("cpu"))[0]
        for rope in (None, scaling)
    )
    torch.testing.assert_close(plain[:, 0], scaled[:, 0])
    assert not torch.allclose(plain[:, 3], scaled[:, 3], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"attention": GROUPED | {"softmax": "softpick", "extra_key": "key_bias"}}, "both give attention a place"),
        ({"attention": GROUPED | {"qk_norm": True}, "norm": {"kind": "sandwich_qk"}}, "normalises them already"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        models.model_settings(**overrides)
