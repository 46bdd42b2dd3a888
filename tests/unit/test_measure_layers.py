"""Layer by layer: planted norms, sinks and valves are found where they are."""

import models
import pytest
import torch
from gradient_plant import harmonic
from torch import nn

from spikesink.measures.probes.observe import observe
from spikesink.measures.questions.layers import layers
from spikesink.measures.questions.valve_strength import valve_strength


class Plant(nn.Module):
    """A branch that adds ``value`` to one channel of one position."""

    def __init__(self, position: int, value: float) -> None:
        super().__init__()
        self.position, self.value = position, value

    def forward(self, x, context):
        out = torch.zeros_like(x)
        out[:, self.position, 3] = self.value
        return out


def silent(**overrides) -> models.Decoder:
    """Blocks that add nothing, uniform attention, embeddings of ones."""
    model = models.decoder(**overrides)
    with torch.no_grad():
        model.embedding.weight.fill_(1.0)
        for block in model.blocks:
            for parameter in block.body.parameters():
                parameter.zero_()
    return model


def test_planted_norms_stand_in_their_columns():
    """A branch of the second layer writes 30 to token 0 and one of the first 8 to token 2, of 15 early ones."""
    model = silent()
    model.blocks[1].body = Plant(2, 8.0)
    model.blocks[3].body = Plant(0, 30.0)
    first, second = layers(model, models.tokens(5, 24), batch_size=2)
    assert (first["layer"], second["layer"]) == (0, 1)
    assert first["feed_forward_token0"] == 0
    assert first["feed_forward_early_mean"] == pytest.approx(8 / 15)
    assert first["feed_forward_early_max"] == pytest.approx(8)
    assert second["feed_forward_token0"] == pytest.approx(30)
    assert first["attention_token0"] == first["attention_early_max"] == 0
    assert first["stream_token0"] == pytest.approx(4)
    assert second["stream_token0"] == pytest.approx((15 + 31**2) ** 0.5)
    raised = (15 + 9**2) ** 0.5
    assert second["stream_early_mean"] == pytest.approx((14 * 4 + raised) / 15)
    assert second["stream_early_max"] == pytest.approx(raised)


def test_uniform_attention_has_the_harmonic_floor_over_the_first_queries():
    """sink_mass averages queries 0..T_eps - 1 alone: H_8 / 8 with T_eps = 8, whatever the context's length."""
    for queries, expected in ((8, harmonic(8) / 8), (64, harmonic(24) / 24)):
        (row, _) = layers(silent(), models.tokens(3, 24), queries=queries, epsilon=0.2)
        assert row["sink_mass_mean"] == row["sink_mass_max"] == pytest.approx(expected, rel=1e-5)
        assert row["queries"] == min(queries, 24)
        assert row["sink_rate"] == (1 if expected > 0.2 else 0)


def test_the_sink_rate_counts_heads_of_single_sequences():
    """One head of four attends to token 30 alone, which stands first in two of three sequences: a rate of 1 / 6."""
    model = silent()
    attention = model.blocks[0].body
    with torch.no_grad():
        model.embedding.weight[:, 0] = 0
        model.embedding.weight[30, 0] = 1
        attention.q.weight[2 * 4 + 1, 1] = 30.0
        attention.k.weight[2 * 4 + 1, 0] = 30.0
    tokens = torch.zeros(3, 24, dtype=torch.long)
    tokens[:2, 0] = 30
    row = layers(model, tokens, batch_size=2)[0]
    assert row["sink_rate"] == pytest.approx(1 / 6)
    uniform = harmonic(24) / 24
    assert row["sink_mass_max"] == pytest.approx((1 + 1 + uniform) / 3, rel=1e-3)
    assert row["sink_mass_mean"] == pytest.approx((2 * (1 + 3 * uniform) + 4 * uniform) / 12, rel=1e-3)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_the_columns_are_those_of_an_eager_pass(name):
    """Norms as observed, attention as in the whole map, values before and after valve and gate."""
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(3)
    table = layers(model, tokens, queries=6, early=5, epsilon=0.25, batch_size=2)
    seen, known = list(observe(model, tokens)), models.attention_maps(model, tokens)
    for row in table:
        attention, second = seen[2 * row["layer"] + 1], seen[2 * row["layer"] + 2]
        maps = [known[state.block] for state in (attention, second) if state.block in known]
        alpha = torch.cat(maps, dim=1)[:, :, :6, 0].mean(dim=-1)
        assert row["sink_mass_mean"] == pytest.approx(alpha.mean().item(), rel=1e-4)
        assert row["sink_rate"] == pytest.approx((alpha > 0.25).float().mean().item())
        sites = (
            ("attention", attention.output_BTD),
            ("feed_forward", second.output_BTD),
            ("stream", second.stream_BTD),
        )
        for site, state in sites:
            norms = state.norm(dim=-1)
            assert row[f"{site}_token0"] == pytest.approx(norms[:, 0].mean().item(), rel=1e-4)
            assert row[f"{site}_early_mean"] == pytest.approx(norms[:, 1:6].mean().item(), rel=1e-4)
            assert row[f"{site}_early_max"] == pytest.approx(norms[:, 1:6].amax(dim=1).mean().item(), rel=1e-4)
        raw, mixed = [], []
        for state in (attention, second):
            if state.kind == "attention":
                block, before = model.blocks[state.block - 1], seen[state.block - 1].stream_BTD
                with torch.no_grad():
                    x = block.pre_norm(before)
                    raw.append(block.body.v(x).unflatten(-1, (-1, block.body.head_dim)).norm(dim=-1)[:, 0])
                    mixed.append(block.body.values(x, model.context(seen[0].stream_BTD)).norm(dim=-1)[:, :, 0])
        assert row["value_raw_token0"] == pytest.approx(torch.stack(raw).mean().item(), rel=1e-4)
        assert row["value_token0"] == pytest.approx(torch.stack(mixed).mean().item(), rel=1e-4)
    assert [row["layer"] for row in table] == [0, 1]


def test_value_norms_are_contracted_by_r_over_r_plus_c():
    """||v^|| = ||v|| r / (r + C), averaged over value heads."""
    model = models.decoder(value_valve={"kind": "v_scale", "c": "fixed", "c_factor": 0.5})
    tokens = models.tokens(2)
    row = layers(model, tokens)[0]
    body = model.blocks[0].body
    with torch.no_grad():
        v = body.v(model.blocks[0].pre_norm(model.embedding(tokens))).unflatten(-1, (4, 4)).norm(dim=-1)
    contracted = v * v**2 / (v**2 + body.value_valve.initial_c)
    assert row["value_raw_token0"] == pytest.approx(v[:, 0].mean().item(), rel=1e-5)
    assert row["value_token0"] == pytest.approx(contracted[:, 0].mean().item(), rel=1e-5)
    assert row["value_early_max"] == pytest.approx(contracted.mean(dim=-1)[:, 1:].amax(dim=1).mean().item(), rel=1e-5)


def test_valve_strength_reads_theta_and_the_threshold_in_force():
    model = models.decoder(**models.VARIANTS["key_scale"], value_valve={"kind": "v_scale", "layers": [1]})
    theta = torch.tensor([0.5, -1.0])
    with torch.no_grad():
        model.blocks[2].body.value_valve.theta[:] = theta
    table = valve_strength(model)
    assert [(row["block"], row["layer"], row["head"], row["path"]) for row in table] == [
        (1, 0, 0, "key"),
        (1, 0, 1, "key"),
        (3, 1, 0, "value"),
        (3, 1, 1, "value"),
        (3, 1, 0, "key"),
        (3, 1, 1, "key"),
    ]
    values = [row for row in table if row["path"] == "value"]
    assert [row["theta"] for row in values] == theta.tolist()
    initial = 16 * 4 * 0.3**2
    assert [row["c"] for row in values] == pytest.approx((initial * theta.exp()).tolist())
    assert all(row["theta"] == 0 and row["c"] == row["initial_c"] for row in table if row["path"] == "key")


def test_valves_that_are_fixed_have_a_threshold_and_no_theta_and_plain_models_no_rows():
    for name, factor in (("v_scale_fixed", 4.0), ("v_scale_backward_only", 1.0)):
        table = valve_strength(models.decoder(**models.VARIANTS[name]))
        assert len(table) == 2 * 4
        assert all(row["theta"] is None for row in table)
        assert all(row["c"] == pytest.approx(factor * 16 * 4 * 0.3**2) for row in table)
    assert valve_strength(models.decoder()) == []
