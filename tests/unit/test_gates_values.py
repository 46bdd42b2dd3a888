"""Gates (2603.05498 Table 7) and V-scale (2603.17771 section 5.1)."""

import models
import pytest
import torch

from spikesink.model.gates import AttentionGate
from spikesink.model.values import VScale
from spikesink.settings import Gate, Value, build


def gate(kind: str, per: str) -> AttentionGate:
    module = AttentionGate(build(Gate, {"kind": kind, "per": per}), d_model=16, heads=4, head_dim=3, positions=10)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


@pytest.mark.parametrize("per", ["channel", "head", "single"])
@pytest.mark.parametrize("kind", ["conditional", "unconditional", "positional", "token_embedding"])
def test_gate_values_lie_between_0_and_1_and_vary_only_where_they_should(kind, per):
    module = gate(kind, per)
    x, embedding = torch.randn(2, 7, 16), torch.randn(2, 7, 16)
    values = module(torch.ones(2, 7, 4, 3), x, embedding)
    assert ((values > 0) & (values < 1)).all()

    def varies(dim: int) -> bool:
        return not torch.equal(values, values.narrow(dim, 0, 1).expand_as(values))

    assert varies(3) == (per == "channel")
    assert varies(2) == (per != "single")
    assert varies(1) == (kind != "unconditional")
    assert varies(0) == (kind in ("conditional", "token_embedding"))


@pytest.mark.parametrize("kind, source", [("conditional", "x"), ("token_embedding", "embedding")])
def test_gate_is_the_sigmoid_of_a_projection_of_its_source(kind, source):
    module = gate(kind, "head")
    inputs = {"x": torch.randn(1, 5, 16), "embedding": torch.randn(1, 5, 16)}
    y = torch.randn(1, 5, 4, 3)
    expected = y * torch.sigmoid(inputs[source] @ module.projection.weight.T)[..., None]
    torch.testing.assert_close(module(y, **{"x_BTD": inputs["x"], "embedding_BTD": inputs["embedding"]}), expected)


@pytest.mark.parametrize(
    "kind, per, parameters",
    [
        ("conditional", "channel", 16 * 12),
        ("conditional", "head", 16 * 4),
        ("conditional", "single", 16),
        ("unconditional", "channel", 12),
        ("unconditional", "head", 4),
        ("unconditional", "single", 1),
        ("positional", "channel", 10 * 12),
        ("token_embedding", "channel", 16 * 12),
    ],
)
def test_gates_have_the_papers_sizes(kind, per, parameters):
    assert sum(parameter.numel() for parameter in gate(kind, per).parameters()) == parameters


def test_a_positional_gate_refuses_a_sequence_beyond_its_table():
    with pytest.raises(ValueError, match="11 positions, but the positional gate has a table of 10"):
        gate("positional", "head")(torch.ones(1, 11, 4, 3), torch.ones(1, 11, 16), torch.ones(1, 11, 16))


def v_scale(kind: str = "v_scale", heads: int = 2) -> VScale:
    return VScale(build(Value, {"kind": kind}), d_model=128, head_dim=6, heads=heads).double()


def test_v_scale_starts_at_the_papers_constant():
    """C at initialisation is 13.11, 52.43 and 104.86 for the paper's three models."""
    shapes = [(512, 64, 13.11), (1024, 128, 52.43), (2048, 128, 104.86)]
    for d_model, head_dim, expected in shapes:
        module = VScale(build(Value, {"kind": "v_scale"}), d_model=d_model, head_dim=head_dim, heads=1)
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
    torch.testing.assert_close(jacobian @ v, along * v)


def test_v_scale_scales_each_value_head_by_its_own_theta():
    module = v_scale()
    module.theta.data = torch.tensor([0.0, 1.0], dtype=torch.double)
    v = torch.randn(1, 2, 3, 6, dtype=torch.double)
    for head, factor in enumerate((1.0, torch.e)):
        r = v[:, head].square().sum(-1, keepdim=True)
        torch.testing.assert_close(module(v)[:, head], v[:, head] * r / (r + module.initial_c * factor))


def test_backward_only_leaves_every_bit_of_the_forward_pass_and_freezes_theta():
    model = models.decoder(value={"kind": "v_scale_backward_only"})
    plain = models.decoder()
    token_ids = models.tokens()
    assert torch.equal(model(token_ids), plain(token_ids))
    assert "theta" not in " ".join(name for name, _ in model.named_parameters())
    model(token_ids).square().sum().backward()
    plain(token_ids).square().sum().backward()
    assert not torch.equal(model.blocks[0].body.v.weight.grad, plain.blocks[0].body.v.weight.grad)


def test_theta_is_learned_one_per_value_head():
    model = models.decoder(value={"kind": "v_scale"}, attention={"heads": 4, "head_dim": 4, "kv_heads": 2})
    model(models.tokens()).square().sum().backward()
    for block in model.blocks[::2]:
        assert block.body.value_map.theta.shape == (2,)
        assert block.body.value_map.theta.grad.abs().min() > 0
