"""Every variant computes the papers' formulas."""

import models
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spikesink.measures.probes.observe import observe
from spikesink.model.initial import initial_value
from spikesink.model.norms import DynamicTanh, NoNorm, RMSNorm
from spikesink.model.rotary import rotary_tables, rotate
from spikesink.study.settings import Attention


def loss_of(model, rows, window=None, chunk=None):
    targets = rows[:, 1:] if window is None else rows[:, 1:][:, window[0] : window[1]]
    return model(rows[:, :-1], window, targets, chunk)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_no_variant_sees_the_future(name):
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens()
    changed = tokens.clone()
    changed[:, 7] = (changed[:, 7] + 1) % models.VOCABULARY
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :7], after[:, :7], rtol=0, atol=1e-6)
    assert (before[:, 7:] - after[:, 7:]).abs().max() > 1e-4


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_parameter_of_a_variant_learns(name):
    model = models.decoder(**models.VARIANTS[name])
    loss_of(model, models.tokens(length=24)).backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert still == []


@pytest.mark.parametrize("name", ["baseline", "sandwich", "sandwich_qk", "grouped_query", "conditional_head"])
def test_the_gradient_of_query_zero_is_zero(name):
    """Token 0 attends to itself alone, so no loss can depend on its query (2603.17771)."""
    model = models.decoder(**models.VARIANTS[name])
    queries = []

    def keep(module, inputs, output):
        output.retain_grad()
        queries.append(output)

    for block in model.blocks[::2]:
        block.body.q.register_forward_hook(keep)
    loss_of(model, models.tokens()).backward()
    assert len(queries) == 2
    for query in queries:
        torch.testing.assert_close(query.grad[:, 0], torch.zeros_like(query.grad[:, 0]), rtol=0, atol=1e-7)
        assert query.grad[:, 1:].abs().max() > 1e-6


def test_the_baseline_is_the_formula_written_out():
    """Pre-norm, rotate-half RoPE, causal softmax, SwiGLU, untied head, against loops and sums."""
    model = models.decoder()
    token_ids = models.tokens(batch=1, length=5)
    h = model.embedding.weight[token_ids[0]]

    def rms(x, weight):
        return weight * x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5)

    def turn(vector, position):
        out = torch.empty(4)
        for pair in range(2):
            angle = torch.tensor(position / 10_000 ** (2 * pair / 4))
            a, b = vector[pair], vector[pair + 2]
            out[pair] = a * angle.cos() - b * angle.sin()
            out[pair + 2] = b * angle.cos() + a * angle.sin()
        return out

    for layer in range(2):
        attention, feed_forward = model.blocks[2 * layer], model.blocks[2 * layer + 1]
        x = rms(h, attention.pre_norm.weight)
        mixed = torch.zeros(5, 16)
        for head in range(4):
            part = slice(4 * head, 4 * head + 4)
            q = torch.stack([turn(row, t) for t, row in enumerate(x @ attention.body.q.weight[part].T)])
            k = torch.stack([turn(row, t) for t, row in enumerate(x @ attention.body.k.weight[part].T)])
            v = x @ attention.body.v.weight[part].T
            for t in range(5):
                weights = torch.softmax(torch.stack([q[t] @ k[j] / 2.0 for j in range(t + 1)]), dim=0)
                mixed[t, part] = sum(weights[j] * v[j] for j in range(t + 1))
        h = h + mixed @ attention.body.o.weight.T
        x = rms(h, feed_forward.pre_norm.weight)
        body = feed_forward.body
        h = h + (F.silu(x @ body.gate.weight.T) * (x @ body.up.weight.T)) @ body.down.weight.T
    expected = rms(h, model.norm.weight) @ model.head.weight.T
    torch.testing.assert_close(model(token_ids)[0], expected, rtol=1e-4, atol=1e-4)


def test_sandwich_normalises_before_and_after_each_branch():
    model = models.decoder(norm={"kind": "sandwich"})
    h = torch.randn(2, 6, 16)
    block = model.blocks[1]
    block.post_norm.weight.data.uniform_(0.5, 2)
    rms = nn.RMSNorm(16, eps=1e-5)
    expected = h + block.post_norm.weight * rms(block.body(rms(h), None))
    torch.testing.assert_close(block(h, None), expected)


def test_sandwich_qk_feeds_the_raw_stream_and_normalises_queries_and_keys_over_their_whole_width():
    model = models.decoder(norm={"kind": "sandwich_qk"})
    block = model.blocks[0]
    assert isinstance(block.pre_norm, NoNorm)
    x = torch.randn(2, 6, 16)
    q, k = block.body.queries_keys(x, model.context(x))
    for vectors in (q, k):  # rotation keeps norms; the gain is 1, so all heads together have mean square 1
        torch.testing.assert_close(
            vectors.transpose(1, 2).flatten(2).square().mean(-1), torch.ones(2, 6), rtol=1e-4, atol=0
        )
    torch.testing.assert_close(
        block.body.values(x, model.context(x)), block.body.v(x).unflatten(-1, (4, 4)).transpose(1, 2)
    )
    output = block(x, model.context(x)) - x
    torch.testing.assert_close(output.square().mean(-1), torch.ones(2, 6), rtol=1e-3, atol=0)


def test_post_norm_normalises_every_residual_sum_and_no_branch_input():
    """h <- RMSNorm(h + F(h)), as in the first Transformer; observing it sees the same stream."""
    model = models.decoder(norm={"kind": "post"})
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for block in model.blocks:
            block.sum_norm.weight.normal_(1, 0.5, generator=generator)
    tokens = models.tokens()
    h = model.embedding(tokens)
    context = model.context(h)
    for number, block in enumerate(model.blocks, start=1):
        summed = h + block.body(h, context)
        h = summed / (summed.square().mean(-1, keepdim=True) + 1e-5).sqrt() * block.sum_norm.weight
        seen = next(state for state in observe(model, tokens) if state.block == number)
        torch.testing.assert_close(seen.stream_BTD, h, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(tokens), model.norm(h) @ model.head.weight.T, rtol=1e-4, atol=1e-4)


def test_a_bfloat16_residual_stream_rounds_a_spike_and_the_loss():
    """The spacing of bfloat16 at 3,818 is 16: a branch that adds less than half of that adds nothing."""
    model = models.decoder()
    streams = []
    model.norm.register_forward_pre_hook(lambda module, inputs: streams.append(inputs[0]))
    with torch.no_grad():
        model.embedding.weight[:, 3] = 3818.0
        for block in model.blocks:
            for parameter in block.body.parameters():
                parameter.mul_(0.1)
    rows = models.tokens(length=9)
    losses = {}
    for residual in (None, torch.bfloat16):
        for chunk in (None, 5):
            with torch.autocast("cpu", torch.bfloat16):
                losses[residual, chunk] = model(rows[:, :-1], None, rows[:, 1:], chunk, residual)
    assert [stream.dtype for stream in streams[::2]] == [torch.float32, torch.bfloat16]
    assert (streams[2][..., 3] == 3824).all()  # the nearest multiple of 16
    assert (streams[0][..., 3] != 3824).all()
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert losses[None, None] != losses[torch.bfloat16, None]
    assert losses[torch.bfloat16, 5].item() == pytest.approx(losses[torch.bfloat16, None].item(), rel=1e-6)
    assert losses[torch.bfloat16, None].item() == pytest.approx(losses[None, None].item(), rel=0.02)


def test_dynamic_tanh_is_its_formula_with_the_papers_slopes():
    module = DynamicTanh(3, 0.8)
    module.weight.data = torch.tensor([1.0, 2.0, -1.0])
    x = torch.tensor([[0.5, -1.0, 10.0]])
    expected = torch.tensor([[1.0, 2.0, -1.0]]) * torch.tanh(0.8 * x)
    torch.testing.assert_close(module(x), expected)
    blocks = models.decoder(norm={"kind": "dyt"}).blocks
    assert [round(block.pre_norm.alpha.item(), 3) for block in blocks] == [0.8, 0.2, 0.8, 0.2]
    assert isinstance(models.decoder(norm={"kind": "dyt"}).norm, RMSNorm)


def test_rms_norm_is_computed_in_float32():
    """Squares of values this large overflow in float16: the result is finite only if the mean square is in float32."""
    x = torch.full((1, 8), 60_000.0, dtype=torch.float16)
    torch.testing.assert_close(RMSNorm(8, 1e-5)(x), torch.ones(1, 8, dtype=torch.float16))


def test_rotation_depends_on_distance_alone():
    cos, sin = rotary_tables(20, Attention(heads=1, head_dim=8), torch.device("cpu"))
    q, k = torch.randn(8), torch.randn(8)
    scores = [rotate(q, cos[t], sin[t]) @ rotate(k, cos[t - 3], sin[t - 3]) for t in (3, 9, 19)]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scores[0], scores[2], rtol=1e-4, atol=1e-5)


def test_a_window_hides_older_keys_and_has_its_own_angles():
    """Layer 0 has a window of 5 and another base: a token 5 places back changes nothing there, one 4 back does."""
    model = models.decoder(**models.VARIANTS["windows"])
    windowed, plain = model.blocks[0].body, model.blocks[2].body
    x = torch.randn(1, 12, 16)
    context = model.context(x)
    maps = [models.attention_map(body, x, context)[0, :, 11] for body in (windowed, plain)]
    assert (maps[0][:, :7] == 0).all() and (maps[0][:, 7:] > 0).all() and (maps[1] > 0).all()
    for earlier, changes in ((7, True), (6, False)):
        other = x.clone()
        other[:, earlier] += 1
        after = windowed(other, model.context(other))[:, 11]
        assert torch.allclose(after, windowed(x, context)[:, 11], atol=1e-6) != changes
    frequencies = [1, 1 / 100**0.5]
    angles = torch.outer(torch.arange(12.0), torch.tensor(frequencies).repeat(2))
    torch.testing.assert_close(context.window_rotary.cos_TR, angles.cos())
    assert not torch.allclose(context.rotary.cos_TR, angles.cos())


def test_channels_that_do_not_rotate_stay_and_scores_have_the_scale_of_the_settings():
    model = models.decoder(**models.VARIANTS["partial_rotary"])
    body = model.blocks[0].body
    x = torch.randn(1, 6, 16)
    q, k = body.queries_keys(x, model.context(x))
    projected = body.q(x).unflatten(-1, (4, 8)).transpose(1, 2)
    torch.testing.assert_close(q[..., 4:], projected[..., 4:])
    assert not torch.allclose(q[:, :, 1:, :4], projected[:, :, 1:, :4])
    torch.testing.assert_close(
        body.weights(q, k)[..., 1, :2], (0.5 * q[..., 1:2, :] @ k[..., :2, :].mT)[..., 0, :].softmax(-1)
    )


def test_scaled_embeddings_enter_the_stream_and_leave_a_tied_head_alone():
    model = models.decoder(scaled_embeddings=True, tied_embeddings=True)
    tokens = models.tokens()
    torch.testing.assert_close(model.embedding(tokens), 4 * model.embedding.weight[tokens])
    assert model.head_weight is model.embedding.weight


@pytest.mark.parametrize("name", ["baseline", "grouped_query", "sandwich_qk", "windows", "partial_rotary"])
def test_the_map_that_measures_see_is_the_one_the_model_uses(name):
    model = models.decoder(**models.VARIANTS[name])
    attention = model.blocks[0].body
    x = torch.randn(2, 9, 16)
    context = model.context(x)
    maps = models.attention_map(attention, x, context)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 4, 9))
    assert maps.triu(1).abs().max() == 0
    values = attention.values(x, context).repeat_interleave(attention.heads // attention.kv_heads, dim=1)
    expected = attention.o((maps @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, context), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["swiglu", "geglu", "gelu"])
def test_feed_forward_branches_are_their_formulas(kind):
    body = models.decoder(feed_forward={"kind": kind, "width": 20}).blocks[1].body
    x = torch.randn(3, 16)
    if kind in ("swiglu", "geglu"):
        gate = x @ body.gate.weight.T
        tanh = torch.tanh((2 / torch.pi) ** 0.5 * (gate + 0.044715 * gate**3))
        share = torch.sigmoid(gate) if kind == "swiglu" else 0.5 * (1 + tanh)
        hidden = gate * share * (x @ body.up.weight.T)
    else:
        up = x @ body.up.weight.T
        hidden = up * 0.5 * (1 + torch.erf(up / 2**0.5))
    torch.testing.assert_close(body(x, None), hidden @ body.down.weight.T)


def test_linear_and_attention_only_have_the_papers_shapes():
    linear = models.decoder(feed_forward={"kind": "linear", "width": 20}).blocks[1].body
    assert [tuple(parameter.shape) for parameter in linear.parameters()] == [(16, 16)]
    blocks = models.decoder(feed_forward={"kind": "attention", "width": 20}).blocks
    assert [type(block.body).__name__ for block in blocks] == ["CausalAttention"] * 4
    assert all(isinstance(block.pre_norm, RMSNorm) for block in blocks)


def test_the_loss_window_equals_slicing_logits_and_labels():
    model = models.decoder()
    rows = models.tokens(length=13)
    logits = model(rows[:, :-1])
    expected = F.cross_entropy(logits[:, 4:9].flatten(0, 1), rows[:, 5:10].flatten())
    torch.testing.assert_close(loss_of(model, rows, (4, 9)), expected)
    # Earlier tokens stay visible: changing one changes the windowed loss.
    changed = rows.clone()
    changed[:, 1] = (changed[:, 1] + 1) % models.VOCABULARY
    assert loss_of(model, changed, (4, 9)) != expected


def test_variants_of_a_seed_share_the_initial_values_of_shared_parameters():
    baseline = dict(models.decoder(seed=3).named_parameters())
    gated = dict(models.decoder(seed=3, gate={"kind": "conditional"}, norm={"kind": "sandwich"}).named_parameters())
    assert set(baseline) < set(gated)
    for name, parameter in baseline.items():
        assert torch.equal(parameter, gated[name]), name
    other = dict(models.decoder(seed=4).named_parameters())
    assert not torch.equal(baseline["embedding.weight"], other["embedding.weight"])


def test_initial_standard_deviations_are_those_asked_for():
    settings = models.model_settings(
        d_model=256,
        attention={"heads": 4, "head_dim": 64},
        initialisation={"embedding_std": 1.0, "linear_std": 0.02, "query_key_std": 0.06},
        gate={"kind": "conditional"},
    )
    model = models.Decoder(settings, vocabulary=400, positions=8)
    models.initialise(model, 0)
    assert model.embedding.weight.std().item() == pytest.approx(1.0, rel=0.02)
    assert model.head.weight.std().item() == pytest.approx(256**-0.5, rel=0.02)
    for name, std in (("q", 0.06), ("k", 0.06), ("v", 0.02), ("o", 0.02)):
        assert getattr(model.blocks[0].body, name).weight.std().item() == pytest.approx(std, rel=0.02)
    assert model.blocks[0].body.gate.projection.weight.std().item() == pytest.approx(0.02, rel=0.02)


def test_attention_scale_and_causality_match_scaled_dot_product_attention_for_one_token():
    """With a single token attention returns its own value vector, whatever the queries and keys are."""
    model = models.decoder()
    x = torch.randn(1, 1, 16)
    attention = model.blocks[0].body
    torch.testing.assert_close(attention(x, model.context(x)), attention.o(attention.v(x)))


@pytest.mark.parametrize("name", models.VARIANTS)
def test_initial_values_need_no_model(name):
    """A sharded model starts from the same weights: what modules set themselves is what ``initial_value`` says."""
    settings = models.model_settings(**models.VARIANTS[name])
    fresh = models.Decoder(settings, vocabulary=models.VOCABULARY, positions=models.POSITIONS)
    for parameter_name, parameter in fresh.named_parameters():
        value = initial_value(settings, 0, parameter_name, parameter.shape)
        kind = parameter_name.rsplit(".", 1)[1]
        drawn = parameter.dim() >= 2 or kind == "table" or (kind in ("key", "value") and "drawn" in name)
        if drawn:
            assert value.unique().numel() == value.numel(), parameter_name
        elif kind == "bias":
            assert not value.any()
        else:
            torch.testing.assert_close(value, parameter.detach(), msg=parameter_name)


@pytest.mark.parametrize("chunk", [1, 5, 7, 1000])
def test_the_chunked_loss_has_the_plain_losss_value_and_gradient(chunk):
    plain, chunked = models.decoder(), models.decoder()
    rows = models.tokens(length=15)
    expected, found = loss_of(plain, rows, (2, 13)), loss_of(chunked, rows, (2, 13), chunk)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    expected.backward()
    found.backward()
    for (name, one), other in zip(plain.named_parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-5, atol=1e-7, msg=name)


def test_the_chunked_loss_never_holds_more_than_one_chunk_of_logits():
    """Every tensor that autograd keeps or any operation makes has at most chunk x vocabulary elements of logits."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else (out,):
                if isinstance(tensor, torch.Tensor) and tensor.shape[-1:] == (models.VOCABULARY,):
                    self.size = max(self.size, tensor.numel())
            return out

    model, rows = models.decoder(), models.tokens(batch=4, length=25)
    sizes = []
    for chunk in (None, 20):  # more than d_model, whose product with V is the gradient of the head
        with Largest() as largest:
            loss_of(model, rows, None, chunk).backward()
        sizes.append(largest.size)
    assert sizes == [4 * 24 * models.VOCABULARY, 20 * models.VOCABULARY]


def test_tied_embeddings_are_one_parameter():
    model = models.decoder(tied_embeddings=True)
    assert "head.weight" not in dict(model.named_parameters())
    h = model.norm(model.embedding(models.tokens()))
    model.blocks = torch.nn.ModuleList()
    torch.testing.assert_close(model(models.tokens()), h @ model.embedding.weight.T)
