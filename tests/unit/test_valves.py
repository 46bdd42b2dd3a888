"""V-scale (2603.17771 section 5.1) and its controls, on values and on keys."""

import models
import pytest
import torch

from spikesink.model.valves import AttentionValve
from spikesink.study.settings import Valve, build


def v_scale(kind: str = "v_scale", heads: int = 2, **settings) -> AttentionValve:
    return AttentionValve(
        build(Valve, {"kind": kind} | settings), d_model=128, head_dim=6, heads=heads, std=0.02
    ).double()


def test_v_scale_starts_at_the_papers_constant():
    """C at initialisation is 13.11, 52.43 and 104.86 for the paper's three models."""
    shapes = [(512, 64, 13.11), (1024, 128, 52.43), (2048, 128, 104.86)]
    for d_model, head_dim, expected in shapes:
        module = AttentionValve(
            build(Valve, {"kind": "v_scale"}), d_model=d_model, head_dim=head_dim, heads=1, std=0.02
        )
        assert module.initial_c == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("kind", ["v_scale", "v_scale_backward_only"])
@pytest.mark.parametrize("length", [0.05, 0.5, 3.0])
def test_v_scale_jacobian_has_the_closed_form_eigenvalues(kind, length):
    """r / (r + C) with multiplicity head_dim - 1, and (r^2 + 3 C r) / (r + C)^2 along v."""
    module = v_scale(kind, heads=1)
    c = module.initial_c
    v = torch.randn(6, dtype=torch.double)
    v = v / v.norm() * length
    jacobian = torch.autograd.functional.jacobian(lambda vector: module(vector.view(1, 1, 1, 6)).flatten(), v)
    torch.testing.assert_close(jacobian, jacobian.T)
    r = length**2
    along = (r * r + 3 * c * r) / (r + c) ** 2
    expected = torch.tensor(sorted([r / (r + c)] * 5 + [along]), dtype=torch.double)
    torch.testing.assert_close(torch.linalg.eigvalsh(jacobian), expected)
    # C is kept in float32, and a small component of v has the rounding errors of the large ones.
    torch.testing.assert_close(jacobian @ v, along * v, rtol=1e-6, atol=1e-6)


def test_v_scale_scales_each_value_head_by_its_own_theta():
    module = v_scale().float()
    module.theta.data = torch.tensor([0.0, 1.0])
    v = torch.randn(1, 2, 3, 6)
    for head, factor in enumerate((1.0, torch.e)):
        r = v[:, head].square().sum(-1, keepdim=True)
        torch.testing.assert_close(module(v)[:, head], v[:, head] * r / (r + module.initial_c * factor))


def test_backward_only_leaves_every_bit_of_the_forward_pass_and_freezes_theta():
    model = models.decoder(value_valve={"kind": "v_scale_backward_only"})
    plain = models.decoder()
    token_ids = models.tokens()
    assert torch.equal(model(token_ids), plain(token_ids))
    assert "theta" not in " ".join(name for name, _ in model.named_parameters())
    model(token_ids).square().sum().backward()
    plain(token_ids).square().sum().backward()
    assert not torch.equal(model.blocks[0].body.v.weight.grad, plain.blocks[0].body.v.weight.grad)


def test_theta_is_learned_one_per_value_head():
    model = models.decoder(value_valve={"kind": "v_scale"}, attention={"heads": 4, "head_dim": 4, "kv_heads": 2})
    model(models.tokens()).square().sum().backward()
    for block in model.blocks[::2]:
        assert block.body.value_valve.theta.shape == (2,)
        assert block.body.value_valve.theta.grad.abs().min() > 0


def test_forward_only_contracts_the_value_and_passes_its_gradient_unchanged():
    v = torch.randn(1, 2, 3, 6, requires_grad=True)
    upstream = torch.randn(1, 2, 3, 6)
    module = AttentionValve(build(Valve, {"kind": "v_scale_forward_only"}), d_model=128, head_dim=6, heads=2, std=0.02)
    full = AttentionValve(build(Valve, {"kind": "v_scale"}), d_model=128, head_dim=6, heads=2, std=0.02)
    contracted = module(v)
    assert torch.equal(contracted, full(v))
    contracted.backward(upstream)
    torch.testing.assert_close(v.grad, upstream)
    full(v.detach()).backward(upstream)
    torch.testing.assert_close(module.theta.grad, full.theta.grad)


def test_a_fixed_threshold_is_c_times_its_factor_and_has_no_parameter():
    module = v_scale(c="fixed", c_factor=3.0)
    assert list(module.parameters()) == []
    v = torch.randn(1, 2, 4, 6)
    r = v.square().sum(-1, keepdim=True)
    torch.testing.assert_close(module(v), v * r / (r + 3.0 * 128 * 6 * 0.02**2))


def test_a_valve_in_chosen_layers_leaves_the_others_plain():
    model = models.decoder(value_valve={"kind": "v_scale", "layers": [1]}, layers=3)
    kinds = [type(block.body.value_valve).__name__ for block in model.blocks[::2]]
    assert kinds == ["Identity", "AttentionValve", "Identity"]
    for layers in ([3], [-1], []):
        with pytest.raises(ValueError, match=r"value_valve.layers = .*: name layers from 0 to 2"):
            models.model_settings(value_valve={"kind": "v_scale", "layers": layers}, layers=3)


def test_a_key_valve_leaves_the_forward_pass_and_changes_only_the_gradient_through_keys():
    """2603.17771: the gradient of the input is the sum of three paths; this valve throttles the key path alone."""
    valve, plain = models.decoder(key_valve={"kind": "v_scale_backward_only"}), models.decoder()
    token_ids = models.tokens()
    assert torch.equal(valve(token_ids), plain(token_ids))
    x = torch.randn(1, 7, 16)
    upstream = torch.randn(1, 7, 16)
    gradients = {}
    for name, model in (("valve", valve), ("none", plain)):
        body = model.blocks[0].body
        body(x, model.context(x)).backward(upstream)
        gradients[name] = {part: getattr(body, part).weight.grad for part in "qkvo"}
    for part in "qvo":
        assert torch.equal(gradients["valve"][part], gradients["none"][part])
    assert not torch.allclose(gradients["valve"]["k"], gradients["none"]["k"])


def test_a_key_valve_is_v_scales_jacobian_on_keys_with_the_keys_initial_deviation():
    model = models.decoder(key_valve={"kind": "v_scale"}, initialisation={"linear_std": 0.3, "query_key_std": 0.5})
    body = model.blocks[0].body
    assert body.key_valve.initial_c == pytest.approx(16 * 4 * 0.5**2)
    x = torch.randn(1, 5, 16)
    _, k = body.queries_keys(x, model.context(x))
    raw = body.k(x).unflatten(-1, (4, 4)).transpose(1, 2)
    r = raw.square().sum(-1)
    # The rotation keeps norms, so the contraction shows in the norm of the rotated keys.
    torch.testing.assert_close(k.norm(dim=-1), raw.norm(dim=-1) * r / (r + 16.0))


def gradients(kind: str, v: torch.Tensor, upstream: torch.Tensor) -> torch.Tensor:
    """What reaches v [B, K, T, H] through a valve of this kind; the forward pass must leave v as it is."""
    v = v.clone().requires_grad_()
    passed = v_scale(kind)(v)
    assert torch.equal(passed, v)
    passed.backward(upstream)
    return v.grad


def values_of_all_lengths() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    lengths = torch.logspace(-2, 1, 5, dtype=torch.double)[:, None]
    v, upstream = (torch.randn(3, 2, 5, 6, generator=generator, dtype=torch.double) for _ in range(2))
    return v * lengths, upstream


def test_uniform_scaling_is_one_factor_with_v_scales_mean_eigenvalue():
    """Equal mean attenuation: over a sequence and head, the traces of both Jacobians have one sum."""
    v, upstream = values_of_all_lengths()
    factor = gradients("v_scale_backward_uniform", v, upstream) / upstream
    assert factor.amax(dim=(-2, -1)).sub(factor.amin(dim=(-2, -1))).abs().max() < 1e-6
    assert factor[..., 0, 0].unique().numel() == 3 * 2  # of each sequence and head its own
    module = v_scale("v_scale_backward_only")
    jacobian = torch.autograd.functional.jacobian(lambda one: module(one).flatten(), v[:1, :1])
    mean = jacobian.flatten(1).diagonal().mean()
    torch.testing.assert_close(factor[0, 0, 0, 0], mean, rtol=1e-5, atol=0)


def test_uniform_scaling_starts_near_one_half():
    """1/2 + 1 / (2 head_dim) where every |v|^2 is C, the mean of the initial values: [calc] of 2603.17771."""
    module = v_scale("v_scale_backward_uniform", heads=1)
    v = torch.randn(1, 1, 4, 6, dtype=torch.double)
    v = v / v.norm(dim=-1, keepdim=True) * module.initial_c**0.5
    assert module.mean_eigenvalue(v).item() == pytest.approx(0.5 + 1 / 12, rel=1e-6)


def test_scaling_at_token_0_is_v_scales_gradient_there_and_nothing_elsewhere():
    v, upstream = values_of_all_lengths()
    found = gradients("v_scale_backward_first", v, upstream)
    torch.testing.assert_close(found[:, :, 1:], upstream[:, :, 1:])
    torch.testing.assert_close(found[:, :, :1], gradients("v_scale_backward_only", v, upstream)[:, :, :1])
    assert (found[:, :, :1] - upstream[:, :, :1]).abs().max() > 0.1
