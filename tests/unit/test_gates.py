"""Gates (2603.05498 Table 7; at the values, 2505.06708 and 2510.09017)."""

import json
from dataclasses import asdict

import models
import pytest
import torch
from safetensors.torch import save_file

from spikesink.model.gates import AttentionGate
from spikesink.model.trained import load_run
from spikesink.study.errors import InputError
from spikesink.study.settings import Gate, build


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


@pytest.mark.parametrize("per, parameters", [("channel", 3 * 3), ("head", 3), ("single", 4 * 3)])
def test_a_value_state_gate_is_the_sigmoid_of_a_projection_of_the_values(per, parameters):
    """2510.09017: g_j = sigmoid(v_j W_g), one matrix for all heads; a single gate reads all heads of a position."""
    module = AttentionGate(
        build(Gate, {"kind": "value_state", "per": per, "at": "value"}), d_model=16, heads=4, head_dim=3, positions=10
    )
    torch.nn.init.normal_(module.projection.weight)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    v = torch.randn(2, 5, 4, 3)
    weight = module.projection.weight
    if per == "single":
        g = (v.flatten(2) @ weight.T)[..., None]
    else:
        g = torch.stack([v[:, :, head] @ weight.T for head in range(4)], dim=2)
    torch.testing.assert_close(module(v, None, None), v * torch.sigmoid(g))


def test_a_gate_at_the_values_acts_on_what_attention_mixes():
    """Qiu et al.'s position G2: with a gate of the input, value vectors are those of the plain model times the gate."""
    model = models.decoder(gate={"kind": "conditional", "per": "head", "at": "value"})
    body = model.blocks[0].body
    x = torch.randn(1, 6, 16)
    gates = torch.sigmoid(body.value_gate.projection(x))
    plain = body.v(x).unflatten(-1, (4, 4))
    expected = (plain * gates[..., None]).transpose(1, 2)
    torch.testing.assert_close(body.values(x, model.context(x)), expected)
    assert body.gate is None


def test_a_value_state_gate_belongs_at_the_values():
    with pytest.raises(ValueError, match="at = 'output' with kind = 'value_state'"):
        build(Gate, {"kind": "value_state"})


@pytest.mark.parametrize("per", ["channel", "head", "single"])
def test_a_run_whose_constant_gates_have_their_former_shape_is_one_clear_line(tmp_path, per):
    """They had two dimensions, and so decayed with the matrices."""
    model = models.decoder(gate={"kind": "unconditional", "per": per})
    training = {"steps": 2, "sequence_length": 8, "batch_size": 1, "optimiser": {"lr": 1.0}}
    run = {"tokenizer": {"vocabulary": models.VOCABULARY, "bos": "none"}, "model": asdict(model.settings)}
    (tmp_path / "run.json").write_text(json.dumps(run | {"training": training | {"schedule": {"warmup_steps": 0}}}))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    loaded, _ = load_run(tmp_path, "cpu")
    assert torch.equal(loaded.blocks[0].body.gate.table, model.blocks[0].body.gate.table)
    former = {
        name: tensor.unsqueeze(0) if name.endswith("table") else tensor for name, tensor in model.state_dict().items()
    }
    save_file(former, tmp_path / "model.safetensors")
    with pytest.raises(InputError) as error:
        load_run(tmp_path, "cpu")
    text = str(error.value)
    assert "\n" not in text and "model.safetensors does not fit" in text
    assert "size mismatch for blocks.0.body.gate.table" in text and "(and 1 more)" in text and "again" in text
