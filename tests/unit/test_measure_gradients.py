"""Gradient norms by position: planted gradient sinks, Proposition 1 and V-scale's Jacobian on real layers."""

import subprocess
import sys

import models
import pytest
import torch
from gradient_plant import harmonic, mixture_gradient, planted, rows_of

from spikesink.measures.groups import GROUPS
from spikesink.measures.independence import sink_observations
from spikesink.measures.probes.backward import backward
from spikesink.measures.probes.shares import shares
from spikesink.measures.probes.sink_mass import attention_on, logit_gap
from spikesink.measures.questions.dynamics import snapshot_summary
from spikesink.measures.questions.gradients import gradient_sink_ratio, gradients, under_uniform_attention
from spikesink.measures.questions.layers import layers
from spikesink.measures.questions.reshaping import reshaping
from spikesink.measures.questions.value_gradients import moments, theorem_bounds, value_gradient_bounds

SITES = ("stream", "branch", "input", "sum", "query", "key", "value", "mixed", "mixture")
ATTENTION_KINDS = [
    "baseline",
    "grouped_query",
    "softpick",
    "sink_logit",
    "key_value_bias",
    "conditional_head",
    "v_scale",
]


def rows(batch: int = 3, length: int = 12, seed: int = 0) -> torch.Tensor:
    return models.tokens(batch, length + 1, seed)


def position_norms(table: list[dict], column: str, block: int = 1) -> torch.Tensor:
    return torch.tensor([row[column] for row in table if row["block"] == block])


def test_a_planted_gradient_sink_has_its_closed_form():
    """With equal targets dL/dv_s = sum_{t >= s} g / (t + 1), so the norms fall as H_T - H_s and so does the input's."""
    model, length = planted(), 20
    table = gradients(model, rows_of([1, 1], [7, 7], length), batch_size=1)
    share = torch.tensor([harmonic(length) - harmonic(s) for s in range(length)]) / length
    g = mixture_gradient(model, 7)
    torch.testing.assert_close(position_norms(table, "value"), share * g.norm())
    through = model.blocks[0].body.v.weight.T @ g
    torch.testing.assert_close(position_norms(table, "input"), share * through.norm())
    # Nothing comes back through queries and keys where all values are equal: beta_ts = <g_t, v_s - y_t> = 0.
    assert position_norms(table, "query").max() == position_norms(table, "key").max() == 0
    for early in (5, 31):
        last = min(early, length - 1)
        others = sum(harmonic(length) - harmonic(s) for s in range(1, last + 1)) / last
        (ratio,) = gradient_sink_ratio(table, early=early)
        assert ratio["early"] == last
        assert ratio["ratio"] == pytest.approx(harmonic(length) / others, rel=1e-5)
        # The planted attention is uniform, so the null is the measure itself.
        assert ratio["ratio_uniform"] == pytest.approx(ratio["ratio"], rel=1e-5)
        assert ratio["over_uniform"] == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(("length", "expected", "values"), [(64, 2.990, 5.044), (2048, 1.626, 8.231)])
def test_uniform_attention_over_equal_gradients_has_harmonic_ratios(length, expected, values):
    """R_GS(0) = H_T / mean of H_T - H_s over s = 1..31, and H_T (T - 1) / (T - H_T) for values against all later ones.

    Without this null, a ratio of 3 would pass for a gradient sink where no key is preferred."""
    body = models.decoder(**models.VARIANTS["grouped_query"]).blocks[0].body
    input_TD, value_TD = under_uniform_attention(body, torch.ones(length, 16))
    assert value_TD.shape == (length, 8) and input_TD.shape == (length, 16)
    norms = [row.norm().item() for row in input_TD]
    table = [
        {"block": 1, "layer": 0, "position": t} | dict.fromkeys(("input", "input_per_sequence", "input_uniform"), norm)
        for t, norm in enumerate(norms)
    ]
    (ratio,) = gradient_sink_ratio(table)
    assert ratio["ratio_uniform"] == pytest.approx(expected, abs=0.002)
    by_position = value_TD.norm(dim=-1)
    assert (by_position[0] / by_position[1:].mean()).item() == pytest.approx(values, abs=0.002)
    total = harmonic(length)
    assert values == pytest.approx(total * (length - 1) / (length - total), abs=0.002)


@pytest.mark.parametrize(
    "name",
    ["baseline", "grouped_query", "qwen2", "conditional_head", "attention_only", "windows", "softmax1", "key_bias"],
)
def test_the_null_is_the_gradient_of_a_model_that_attends_uniformly(name):
    """With queries at zero attention is uniform: what values and inputs get through values is the null, block by block.

    A gate also feeds the input, so of a gated model values alone are compared; queries at zero send keys nothing."""
    model = models.decoder(**models.VARIANTS[name])
    with torch.no_grad():
        for block in model.blocks:
            if hasattr(block.body, "q"):
                for parameter in block.body.q.parameters():
                    parameter.zero_()
    batch = rows(4)
    taps = backward(model, batch, ("value",))
    for row in gradients(model, batch):
        value = taps["value"][row["block"]].gradient.sum(dim=0)[row["position"]]
        assert row["value_uniform"] == pytest.approx(value.norm().item(), rel=1e-3, abs=1e-9)
        through = value @ model.blocks[row["block"] - 1].body.v.weight
        assert row["input_uniform"] == pytest.approx(through.norm().item(), rel=1e-3, abs=1e-9)


def test_a_valves_throttle_is_no_part_of_the_null():
    """V-scale contracts the gradient of small values; the null is that of the same gradients without it."""
    model = models.decoder(**models.VARIANTS["v_scale"])
    with torch.no_grad():
        for block in model.blocks[::2]:
            block.body.q.weight.zero_()
            block.body.v.weight.mul_(1e-2)
    for row in gradients(model, rows()):
        assert row["value"] < 0.1 * row["value_uniform"]


def test_sequences_are_summed_before_the_norm_and_apart_in_their_own_column():
    """Two sequences with other targets: ||g_a + g_b|| / 2 against (||g_a|| + ||g_b||) / 2, as computed by hand."""
    model, length = planted(), 6
    table = gradients(model, rows_of([1, 1], [7, 9], length))
    g_a, g_b = mixture_gradient(model, 7), mixture_gradient(model, 9)
    share = torch.tensor([harmonic(length) - harmonic(s) for s in range(length)]) / length
    together, apart = (g_a + g_b).norm() / 2, (g_a.norm() + g_b.norm()) / 2
    assert together < 0.95 * apart
    torch.testing.assert_close(position_norms(table, "value"), share * together)
    torch.testing.assert_close(position_norms(table, "value_per_sequence"), share * apart)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_has_a_row_per_attention_block_and_position(name):
    """The chunks are those of one step: whatever the batch size, the numbers are the same."""
    model = models.decoder(**models.VARIANTS[name])
    table = gradients(model, rows())
    blocks = [1, 2, 3, 4] if model.settings.feed_forward.kind == "attention" else [1, 3]
    assert [(row["block"], row["position"]) for row in table] == [(block, t) for block in blocks for t in range(12)]
    assert [row["layer"] for row in table[::12]] == list(range(len(blocks)))
    chunked = gradients(model, rows(), batch_size=2)
    for column in ("input", "query", "key", "value", "input_per_sequence", "input_uniform", "value_uniform"):
        expected = torch.tensor([row[column] for row in table])
        torch.testing.assert_close(torch.tensor([row[column] for row in chunked]), expected, rtol=1e-4, atol=1e-6)
        assert expected.isfinite().all()
        assert (expected > 0).any()


@pytest.mark.parametrize("name", ATTENTION_KINDS)
def test_the_first_query_gets_no_gradient(name):
    """It sees one key only, so its softmax is 1 whatever the score. An extra key, a softpick sum or the gate that the
    query's token feeds would change that: those are other maps."""
    table = gradients(models.decoder(**models.VARIANTS[name]), rows())
    query = position_norms(table, "query")
    if name in ("sink_logit", "key_value_bias"):
        assert query[0] > 1e-3 * query[1]
    else:
        assert query[0] < 1e-4 * query[1]


def test_gradients_are_those_that_an_optimisation_step_sees():
    """dL/dW = sum_bt grad_bt x_bt^T for the projections, with a loss window and tied, trained or frozen parameters."""
    model = models.decoder(**models.VARIANTS["qwen2"])
    batch, window = rows(4), (3, 9)
    model(batch[:, :-1], window, batch[:, 1:][:, slice(*window)]).backward()
    expected = {part: getattr(model.blocks[2].body, part).weight.grad.clone() for part in "qkv"}
    model.zero_grad()
    model.requires_grad_(False)
    taps = backward(model, batch, ("input", "query", "key", "value"), window=window, loss_chunk=5)
    for part, site in (("q", "query"), ("k", "key"), ("v", "value")):
        found = torch.einsum("bto,bti->oi", taps[site][3].gradient, taps["input"][3].value)
        torch.testing.assert_close(found, expected[part], rtol=1e-4, atol=1e-7)


def test_measuring_leaves_parameters_and_model_as_they_were():
    model = models.decoder().eval()
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, 3.0) if number % 2 else None
    before = model(models.tokens())
    with torch.no_grad():  # a caller's no_grad must not silence the measure
        gradients(model, rows())
    for number, parameter in enumerate(model.parameters()):
        assert (parameter.grad == 3.0).all() if number % 2 else parameter.grad is None
    assert torch.equal(model(models.tokens()), before)
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_positions_after_the_loss_window_have_no_gradient():
    table = gradients(models.decoder(), rows(), window=(2, 7))
    norms = position_norms(table, "input", block=3)
    assert (norms[:7] > 0).all()
    assert (norms[7:] == 0).all()


@pytest.mark.parametrize("name", ["baseline", "grouped_query", "qwen2"])
def test_the_inputs_gradient_is_the_sum_of_three_paths(name):
    """grad h~ = W_q^T grad q + W_k^T grad k + W_v^T grad v: what a valve throttles is the third term alone."""
    model = models.decoder(**models.VARIANTS[name])
    taps = backward(model, rows(), SITES)
    body = model.blocks[2].body
    parts = zip("qkv", ("query", "key", "value"), strict=True)
    paths = sum(taps[site][3].gradient @ getattr(body, part).weight for part, site in parts)
    torch.testing.assert_close(taps["input"][3].gradient, paths, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["v_scale", "v_scale_backward_only", "v_scale_forward_only", "v_scale_one_layer"])
def test_a_valve_throttles_the_value_gradient_by_its_jacobian(name):
    """grad v = J grad v^, J = phi I + 2 C / (r + C)^2 v v^T; the identity where only the forward pass is contracted."""
    model = models.decoder(**models.VARIANTS[name])
    taps = backward(model, rows(), ("value", "mixed"))
    throttled = {"v_scale": [1, 3], "v_scale_backward_only": [1, 3], "v_scale_one_layer": [3]}.get(name, [])
    for block in (1, 3):
        v = taps["value"][block].value.unflatten(-1, (4, 4))
        g = taps["mixed"][block].gradient.unflatten(-1, (4, 4))
        expected = g
        if block in throttled:
            c = model.blocks[block - 1].body.value_valve.initial_c
            r = v.square().sum(dim=-1, keepdim=True)
            expected = r / (r + c) * g + 2 * c / (r + c) ** 2 * v * (v * g).sum(dim=-1, keepdim=True)
            assert expected.norm() < 0.9 * g.norm()
        torch.testing.assert_close(taps["value"][block].gradient, expected.flatten(2), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_attention_on_a_key_is_a_column_of_the_attention_map(name):
    model = models.decoder(**models.VARIANTS[name])
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "extra_key" in parameter_name:
                parameter.normal_()
        h = model.embedding(models.tokens())
        context = model.context(h)
        body, x = model.blocks[0].body, model.blocks[0].pre_norm(h)
        q, k = body.queries_keys(x, context)
        for position in (0, 4):
            weights = models.attention_map(body, x, context)
            as_mixed = attention_on(body, q, k, position, in_shares=False)
            torch.testing.assert_close(as_mixed, weights[..., position])
            torch.testing.assert_close(attention_on(body, q, k, position), shares(body, weights)[..., position])


def test_the_logit_gap_is_key_0s_score_above_the_other_visible_keys():
    model = models.decoder(**models.VARIANTS["grouped_query"])
    with torch.no_grad():
        h = model.embedding(models.tokens())
        q, k = model.blocks[0].body.queries_keys(h, model.context(h))
        scores = q @ k.repeat_interleave(2, dim=1).transpose(-1, -2) / 2
        gaps = [scores[:, :, t, 0] - scores[:, :, t, 1 : t + 1].mean(dim=-1) for t in range(1, 12)]
        expected = torch.stack(gaps).mean(dim=0)
        torch.testing.assert_close(logit_gap(model.blocks[0].body, q, k), expected)


@pytest.mark.parametrize("name", ATTENTION_KINDS)
def test_proposition_1_holds_on_a_real_layer(name):
    """The gradient of a mixed value is sum_t a_ts g_t over the query heads that read it, for every key s."""
    model = models.decoder(**models.VARIANTS[name])
    batch = rows()
    taps = backward(model, batch, ("input", "mixed", "mixture"))
    for block in (1, 3):
        body = model.blocks[block - 1].body
        context = model.context(model.embedding(batch[:, :-1]))
        with torch.no_grad():
            a = models.attention_map(body, taps["input"][block].value, context)
        g = taps["mixture"][block].gradient.unflatten(-1, (body.heads, body.head_dim)).transpose(1, 2)
        per_head = a.transpose(-1, -2) @ g
        expected = per_head.unflatten(1, (body.kv_heads, -1)).sum(dim=2).transpose(1, 2).flatten(2)
        torch.testing.assert_close(taps["mixed"][block].gradient, expected, rtol=1e-4, atol=1e-7)


def test_theorem_1s_moments_and_bounds_are_found_in_planted_gradients():
    """g = mu + shared noise (variance rho) + own noise (sigma^2 - rho): the upper bound is then met with equality."""
    generator = torch.Generator().manual_seed(0)
    n, queries, width = 4000, 12, 3
    mu = torch.tensor([0.6, 0.0, -0.3])
    shared = torch.randn(n, 1, width, generator=generator) * (0.4 / width) ** 0.5
    own = torch.randn(n, queries, width, generator=generator) * (1.1 / width) ** 0.5
    a = 1 / torch.arange(1, queries + 1).expand(n, queries)
    found = moments(a[:, None], (mu + shared + own)[:, None])
    found = theorem_bounds({name: values[:, 0] for name, values in found.items()})
    mass, second = harmonic(12), sum(1 / t**2 for t in range(1, 13))
    assert found["mass"] == pytest.approx(mass)
    assert found["second_moment"] == pytest.approx(second)
    assert found["mu2"] == pytest.approx(0.45, rel=0.05)
    assert found["sigma2"] == pytest.approx(1.5, rel=0.03)
    assert found["rho"] == pytest.approx(0.4, rel=0.1)
    assert found["lower"] == pytest.approx(mass**2 * 0.45, rel=0.05)
    assert found["upper"] == pytest.approx(mass**2 * 0.45 + 1.5 * second + 0.4 * (mass**2 - second), rel=0.05)
    assert found["lower"] < found["actual"] == pytest.approx(found["upper"], rel=0.03)
    # The mean over many sequences leaves M mu alone.
    assert found["batch_actual"] == pytest.approx(found["batch_lower"], rel=0.05)


def test_theorem_1s_bounds_meet_where_all_gradients_are_equal():
    """A planted layer with one target for all: no noise, so lower = actual = upper = M^2 ||g||^2, head by head."""
    model, length = planted(), 8
    table = value_gradient_bounds(model, rows_of([1, 1, 1], [7, 7, 7], length), batch_size=2)
    g = mixture_gradient(model, 7).unflatten(0, (4, 4)) / length
    for row in table:
        expected = (harmonic(length) * g[row["head"]].norm()).square().item()
        for column in ("lower", "actual", "upper", "batch_lower", "batch_actual", "batch_upper"):
            assert row[column] == pytest.approx(expected, rel=1e-4)
        assert abs(row["sigma2"]) < 1e-4 * row["mu2"]


def test_theorem_1_bounds_real_gradients_where_its_assumption_holds():
    """A real loss through a real layer with uniform, hence independent, attention: between the bounds, up to sampling.

    Targets drawn at random make g_t alike at all positions in distribution."""
    model = models.decoder(layers=1)
    with torch.no_grad():
        model.blocks[0].body.q.weight.zero_()
        model.embedding.weight[:] = model.embedding.weight[:1]
    table = value_gradient_bounds(model, models.tokens(600, 17, seed=3))
    for row in table:
        assert row["mass"] == pytest.approx(harmonic(16), rel=1e-4)
        assert row["lower"] < row["actual"] < 1.1 * row["upper"]
        assert row["actual"] == pytest.approx(row["upper"], rel=0.1)


def test_bounds_exist_for_every_attention_block_and_query_head():
    for name in ("grouped_query", "attention_only", "softpick", "conditional_head", "value_conditional_head"):
        model = models.decoder(**models.VARIANTS[name])
        table = value_gradient_bounds(model, rows(), position=2)
        blocks = [1, 2, 3, 4] if name == "attention_only" else [1, 3]
        assert [(row["block"], row["head"]) for row in table] == [(b, head) for b in blocks for head in range(4)]
        assert all(row["actual"] > 0 and row["mass"] > 0 for row in table)
    with pytest.raises(ValueError, match="at least two sequences"):
        value_gradient_bounds(model, rows(1))


def test_the_gradient_sink_ratio_follows_definition_1():
    norms = [8.0, 1.0, 2.0, 3.0, 50.0]
    table = [
        {"block": 3, "layer": 1, "position": t, "input": norm, "input_per_sequence": 2.0, "input_uniform": 2 * norm}
        for t, norm in enumerate(norms)
    ]
    expected = {"block": 3, "layer": 1, "position": 0, "early": 3, "ratio": 4.0, "ratio_per_sequence": 1.0}
    expected |= {"ratio_uniform": 4.0, "over_uniform": 1.0}
    assert gradient_sink_ratio(table, early=3) == [expected]
    assert gradient_sink_ratio(table[::-1], early=3) == [expected]
    # s = 2 within 0..T_e is left out of its own mean; s beyond T_e is not in it, and the divisor stays T_e.
    assert gradient_sink_ratio(table, position=2, early=3)[0]["ratio"] == pytest.approx(2 / ((8 + 1 + 3) / 3))
    assert gradient_sink_ratio(table, position=4, early=3)[0]["ratio"] == pytest.approx(50 / (14 / 3))
    assert gradient_sink_ratio(table)[0]["early"] == 4
    silent = [row | {"input": 0.0, "input_uniform": 0.0} for row in table]
    assert gradient_sink_ratio(silent)[0]["ratio"] is None
    with pytest.raises(ValueError, match="position = 5 lies outside the 5 positions"):
        gradient_sink_ratio(table, position=5)


def test_a_model_in_bfloat16_is_measured_in_float32():
    """Sums and norms of a half-precision model agree with the float32 model's to its own rounding."""
    exact, half = models.decoder(**models.VARIANTS["v_scale"]), models.decoder(**models.VARIANTS["v_scale"]).bfloat16()
    tables = [gradients(model, rows(8)) for model in (exact, half)]
    for column in ("input", "value"):
        a, b = (position_norms(table, column, block=3) for table in tables)
        torch.testing.assert_close(a, b, rtol=0.2, atol=1e-3)
    taps = backward(half, rows(2), SITES)
    for site in SITES:
        for tap in taps[site].values():
            assert tap.value.dtype == tap.gradient.dtype == torch.float32
    for measure in (
        lambda: value_gradient_bounds(half, rows()),
        lambda: reshaping(half, rows()),
        lambda: layers(half, rows()[:, :-1]),
        lambda: snapshot_summary(half, rows(), step=1),
        lambda: sink_observations(half, rows()),
    ):
        table = measure()
        numbers = [value for row in table for value in row.values() if isinstance(value, float)]
        assert torch.tensor(numbers).isfinite().all()


def test_measures_import_where_only_torch_numpy_and_safetensors_exist():
    """A bare GPU machine measures and writes CSV."""
    modules = [module for group in GROUPS.values() for module in group.modules]
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('polars', 'scipy', 'sklearn', 'matplotlib')));"
        f"import spikesink.measures.__main__, {', '.join(modules)}"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
