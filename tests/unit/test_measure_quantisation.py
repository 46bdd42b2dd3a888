"""Simulated INT8: exact rounding on small vectors, a planted outlier, and a model that is left as it was."""

import math

import models
import pytest
import torch
from test_measures import silent
from torch import nn

from spikesink.measures.quantised.calibration import input_ranges, linears
from spikesink.measures.quantised.eight_bits import quantised
from spikesink.measures.quantised.grids import rounded
from spikesink.measures.questions.perplexity import mean_nll, perplexity
from spikesink.measures.questions.quantisation import activation_ranges, down_projections, quantisation

SETTINGS = ["full_precision", "dynamic_per_token", "static_per_tensor", "down_projection_static"]
SETTINGS += ["smoothquant", "round_to_nearest", "gptq", "awq"]


def test_values_land_on_the_grid_of_the_range_and_saturate_beyond_it():
    """Step 2: halves go to the even level, 300 saturates at 127 steps."""
    x = torch.tensor([0.0, 0.9, 1.0, 1.1, 3.0, -5.0, 254.0, 300.0, -300.0])
    assert rounded(x, torch.tensor(254.0)).tolist() == [0, 0, 0, 2, 4, -4, 254, 254, -254]
    assert rounded(torch.zeros(3), torch.tensor(0.0)).tolist() == [0, 0, 0]


class OneLinear(nn.Module):
    """What quantised() takes of a decoder: a module that holds matrices."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.one = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            self.one.weight.copy_(weight)
            self.one.bias.fill_(0.3)


def test_an_outlier_kills_all_tokens_per_tensor_and_its_own_alone_per_token():
    """Token 0 holds 127 * 4, so the common step is 4: the other token's values 1 and -1.5 become 0, and with a range
    of their own stay within half of 1.5 / 127."""
    weight = torch.eye(2)
    model = OneLinear(weight)
    x = torch.tensor([[508.0, 1.0], [1.0, -1.5]])
    with quantised({"one": model.one}, {"one": torch.tensor(508.0)}):
        assert model.one(x).tolist() == (torch.tensor([[508.0, 0.0], [0.0, 0.0]]) + 0.3).tolist()
    with quantised({"one": model.one}, None):
        y = model.one(x)
    step = 1.5 / 127
    assert y[0].tolist() == pytest.approx([508.3, 0.3])
    assert y[1].tolist() == pytest.approx([round(1 / step) * step + 0.3, -1.2])
    assert torch.equal(model.one(x), x + 0.3), "afterwards as before"


def test_weights_have_a_range_per_output_channel():
    """A row of small weights keeps its precision beside a row of large ones; within a row the step is max / 127."""
    model = OneLinear(torch.tensor([[127.0, 0.4], [0.127, 0.0004]]))
    with quantised({"one": model.one}, None):
        y = model.one(torch.eye(2))
    assert (y - 0.3).flatten().tolist() == pytest.approx([127, 0.127, 0, 0], abs=1e-5)


def test_full_precision_is_the_models_own_perplexity_exactly():
    model = models.decoder()
    rows = models.tokens(7, 13)
    table = quantisation(model, rows, batch_size=3, calibration_sequences=3)
    scored = perplexity(model, rows[3:], 3)
    nll = sum(row["nll_nats"] for row in scored) / sum(row["tokens"] for row in scored)
    assert [row["setting"] for row in table] == SETTINGS
    assert [row["matrices"] for row in table] == [0, 14, 14, 2, 14, 14, 14, 14]
    assert table[0]["nll_nats"] == nll and table[0]["perplexity"] == math.exp(nll)
    assert len({row["nll_nats"] for row in table}) == 8, "every setting changes something"
    assert all(row["tokens"] == 4 * 12 for row in table)


def test_an_outlier_at_position_0_costs_every_token_per_tensor_and_one_token_per_token():
    """Token 30 has a hidden channel of 1300, all tokens carry what predicts their successor in a channel of 0.8.

    A step of 1300 / 127 rounds that signal to 0 in every token, so that all predictions are uniform; with a step per
    token it is lost at token 30 alone, one of 19 positions.
    """
    model = silent()
    body = model.blocks[1].body
    with torch.no_grad():
        model.embedding.weight.zero_()
        model.embedding.weight[:, 0] = torch.where(torch.arange(31) % 2 == 0, 1.0, -1.0)
        model.embedding.weight[:, 1] = 1.0
        model.embedding.weight[30, 2] = 3.0
        body.gate.weight[:2, 1] = 10.0  # so large that silu is the identity
        body.up.weight[0, 0] = 0.01
        body.up.weight[1, 2] = 30.0
        body.down.weight[5, 0] = 100.0
        model.head_weight.zero_()
        model.head_weight[1, 5] = 10.0
        model.head_weight[2, 5] = -10.0
    rows = torch.tensor([30, 1] + [2, 1] * 9).repeat(6, 1)  # 1 follows even tokens, 2 odd ones
    nll = {row["setting"]: row["nll_nats"] for row in quantisation(model, rows, batch_size=4, calibration_sequences=2)}
    lost = math.log(31)
    expected = {"full_precision": 0, "dynamic_per_token": lost / 19}
    expected |= {"static_per_tensor": lost, "down_projection_static": lost}
    assert {setting: nll[setting] for setting in expected} == pytest.approx(expected, abs=1e-4)
    assert nll["gptq"] == pytest.approx(0, abs=1e-4), "with inputs in full precision nothing is lost"

    (down,) = (row for row in activation_ranges(model, rows[:, :-1], batch_size=4) if row["absmax"] > 100)
    assert (down["block"], down["kind"], down["matrix"], down["position"]) == (2, "feed_forward", "down", 0)
    assert down["absmax_elsewhere"] < 1
    # Of 20 non-zero entries, 18 signals and two at the outlier's token, only the outlier survives.
    assert down["zeroed_per_tensor"] == pytest.approx(19 / 20)
    assert down["zeroed_per_token"] == pytest.approx(1 / 20)


def test_a_range_is_the_largest_magnitude_over_all_batches():
    model = models.decoder()
    tokens = models.tokens(5, 9)
    x = model.blocks[0].pre_norm(model.embedding(tokens))
    ranges = input_ranges(model, tokens, 2)
    assert set(ranges) == set(linears(model))
    assert ranges["0.body.q"].item() == x.abs().max().item()
    assert not model.blocks[0].body.q._forward_pre_hooks, "nobody watches afterwards"


def test_activation_ranges_are_those_of_the_inputs():
    model = models.decoder()
    tokens = models.tokens(5, 9)
    rows = activation_ranges(model, tokens, batch_size=2)
    assert [row["matrix"] for row in rows[:7]] == ["q", "k", "v", "o", "gate", "up", "down"]
    assert [row["block"] for row in rows[:7]] == [1, 1, 1, 1, 2, 2, 2]
    x = model.blocks[0].pre_norm(model.embedding(tokens)).detach()
    first, largest = rows[0], x.abs().amax(dim=(0, 2))
    assert first["absmax"] == largest.max().item() and first["position"] == largest.argmax().item()
    assert first["absmax_elsewhere"] == largest.sort().values[-2].item()
    assert first["token_absmax"] == pytest.approx(x.abs().amax(dim=-1).mean().item())
    for column, absmax in (("zeroed_per_tensor", x.abs().max()), ("zeroed_per_token", x.abs().amax(-1, keepdim=True))):
        assert first[column] == pytest.approx((x.abs() <= absmax / 254).float().mean().item(), abs=1e-9)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_is_quantised_and_left_as_it_was(name):
    model = models.decoder(**models.VARIANTS[name])
    rows = models.tokens(4, 10)
    before = model(rows)
    table = quantisation(model, rows, batch_size=3, calibration_sequences=2)
    has_hidden = model.settings.feed_forward.kind in ("swiglu", "geglu", "gelu")
    lacks = set() if has_hidden else {"down_projection_static"}
    assert [row["setting"] for row in table] == [setting for setting in SETTINGS if setting not in lacks]
    assert len(down_projections(model)) == (2 if has_hidden else 0)
    assert table[1]["matrices"] == sum(isinstance(module, nn.Linear) for module in model.blocks.modules())
    assert all(math.isfinite(row["nll_nats"]) for row in table)
    assert len(activation_ranges(model, rows, batch_size=3)) == table[1]["matrices"]
    assert torch.equal(model(rows), before)


def test_an_error_inside_leaves_the_model_as_it_was():
    model = models.decoder()
    tokens = models.tokens()
    before = model(tokens)
    with pytest.raises(RuntimeError, match="inside"), quantised(linears(model), None):
        assert not torch.equal(model(tokens), before)
        raise RuntimeError("inside")
    assert torch.equal(model(tokens), before)


def test_nothing_left_to_score_is_refused():
    with pytest.raises(ValueError, match="calibration_sequences = 4 of 4"):
        quantisation(models.decoder(), models.tokens(4, 8), batch_size=2, calibration_sequences=4)


def test_the_mean_is_over_tokens():
    model = silent()
    with torch.no_grad():
        model.head_weight.zero_()
    assert mean_nll(model, models.tokens(5, 7), 2) == pytest.approx(math.log(models.VOCABULARY))
