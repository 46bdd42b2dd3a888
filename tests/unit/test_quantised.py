"""Quantisation by published methods: each against its formula, on matrices and models small enough to check."""

import models
import pytest
import torch

from spikesink.measures.quantised.calibration import Seen, inputs_by_block, linears, with_weights
from spikesink.measures.quantised.eight_bits import quantised, smoothing
from spikesink.measures.quantised.grids import Int4, per_row, round_to_nearest, rounded
from spikesink.measures.quantised.weight_only import (
    DAMPING,
    awq,
    awq_weights,
    gptq,
    gptq_weights,
    rtn_weights,
)


def inputs(tokens: int = 200, channels: int = 12, seed: int = 0) -> torch.Tensor:
    """Correlated inputs; channel 3 is twenty times larger than the others."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, channels, generator=random) @ torch.randn(channels, channels, generator=random)
    x[:, 3] *= 20
    return x


def weights(outputs: int = 7, channels: int = 12, seed: int = 1) -> torch.Tensor:
    return torch.randn(outputs, channels, generator=torch.Generator().manual_seed(seed))


def seen(x: torch.Tensor) -> Seen:
    one = Seen()
    for part in x[None].split(64, dim=1):
        one.add(part)
    return one


def test_int4_has_sixteen_levels_from_the_smallest_to_the_largest_weight():
    """Step 1 from -5 to 10: halves go to the even level; a group of positive weights keeps 0."""
    weight = torch.tensor([[-5.0, -4.6, 0.0, 0.4, 9.6, 10.0], [3.0, 15.0, 7.2, 3.0, 3.0, 3.0]])
    assert round_to_nearest(weight).tolist() == [[-5, -5, 0, 0, 10, 10], [3, 15, 7, 3, 3, 3]]
    assert round_to_nearest(torch.zeros(2, 3)).tolist() == [[0, 0, 0]] * 2


def test_a_group_of_inputs_has_a_grid_of_its_own():
    """A large weight must not cost the precision of another group."""
    weight = torch.tensor([[0.0, 0.15, 0.04, 0.0, 150.0, 6.0]])
    assert round_to_nearest(weight, size=3)[0].tolist() == pytest.approx([0, 0.15, 0.04, 0, 150, 10], abs=1e-5)
    assert round_to_nearest(weight, size=6)[0].tolist() == pytest.approx([0, 0, 0, 0, 150, 10], abs=1e-5)
    assert round_to_nearest(weight, size=4)[0, 4:].tolist() == [150, 10], "the last group may be smaller"


def brute_force(weight: torch.Tensor, hessian: torch.Tensor, size: int) -> torch.Tensor:
    """Optimal Brain Quantisation in a fixed order: every update from the inverse of the rest of the Hessian."""
    weight, hessian = weight.double().clone(), hessian.double().clone()
    hessian.diagonal().add_(DAMPING * hessian.diagonal().mean())
    found = torch.empty_like(weight)
    for index in range(weight.shape[1]):
        if index % size == 0:
            grid = Int4.of(weight[:, index : index + size])
        inverse = torch.linalg.inv(hessian[index:, index:])
        found[:, index] = grid.nearest(weight[:, index : index + 1])[:, 0]
        change = (weight[:, index] - found[:, index]) / inverse[0, 0]
        weight[:, index:] -= change[:, None] * inverse[0]
    return found


@pytest.mark.parametrize("size", [12, 5])
def test_gptq_is_optimal_brain_quantisation_in_a_fixed_order(size):
    """Otherwise the Cholesky factor would stand for other updates than those of the paper's Eq 2 and 3."""
    hessian = seen(inputs()).hessian_II
    expected = brute_force(weights(), hessian, size)
    torch.testing.assert_close(gptq(weights(), hessian, size), expected.float())
    assert not torch.equal(gptq(weights(), hessian, size), round_to_nearest(weights(), size))


def test_gptq_rounds_to_nearest_where_no_input_can_make_up_for_another():
    """A diagonal Hessian: independent inputs, of any magnitude, and one that was always 0."""
    for diagonal in (torch.ones(12), torch.linspace(0, 50, 12), torch.zeros(12)):
        torch.testing.assert_close(gptq(weights(), diagonal.diag(), 5), round_to_nearest(weights(), 5))


@pytest.mark.parametrize("seed", range(5))
def test_gptq_and_awq_change_the_output_less_than_rounding_to_nearest(seed):
    """On calibration data; else there would be no reason to use them."""
    found, weight = seen(inputs(seed=seed)), weights(seed=seed + 10)
    plain = found.output_change(round_to_nearest(weight) - weight)
    assert found.output_change(gptq(weight, found.hessian_II) - weight) < plain
    assert found.output_change(awq(weight, found) - weight) < plain


@pytest.mark.parametrize("tokens", [5, 200])
def test_the_change_of_the_output_is_that_of_the_output(tokens):
    """From the inputs themselves where they are fewer than the 12 channels, else from their Hessian."""
    x, weight = inputs(tokens), weights()
    change, found = round_to_nearest(weight) - weight, seen(x)
    assert (found.inputs is None) == (tokens == 200)
    direct = (x.double() @ change.double().T).square().sum().item()
    assert found.output_change(change) == pytest.approx(direct, rel=1e-4)


def test_awq_rounds_to_nearest_where_all_inputs_are_equally_large():
    """Every exponent gives scale 1 then."""
    x = torch.where(inputs() > 0, 1.0, -1.0)
    torch.testing.assert_close(awq(weights(), seen(x)), round_to_nearest(weights()))


def test_awq_refines_the_grid_of_the_largest_input():
    """One input carries nearly all of the output, and its weight is small beside another's: its error must shrink."""
    x = torch.full((50, 2), 0.01)
    x[:, 0] = 100.0
    weight = torch.tensor([[0.3, 15.0]])
    assert round_to_nearest(weight).tolist() == [[0, 15]]
    assert awq(weight, seen(x))[0, 0].item() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("name", ["baseline", "sandwich_qk", "dyt", "attention_only", "gelu", "linear", "qwen2"])
def test_smoothing_changes_nothing_before_the_rounding(name, monkeypatch):
    """Inputs divided and weights multiplied: the same function, whatever norm or feed-forward the scales pass."""
    model = models.decoder(**models.VARIANTS[name])
    rows = models.tokens(4, 10)
    scales = smoothing(model, rows, 3)
    monkeypatch.setattr("spikesink.measures.quantised.eight_bits.rounded", lambda x, absmax: x)
    with quantised(linears(model), None, scales):
        torch.testing.assert_close(model(rows), model(rows), rtol=0, atol=0)
        smooth = model(rows)
    torch.testing.assert_close(smooth, model(rows), rtol=1e-4, atol=1e-4)
    assert all((scale != 1).all() for scale in scales.values())


def test_smoothing_is_that_of_the_paper_for_the_readers_of_an_input():
    """s = max|x|^0.5 / max|w|^0.5 over all matrices that read x; those that read something else have none."""
    model = models.decoder(gate={"kind": "conditional"})
    rows = models.tokens(4, 10)
    scales = smoothing(model, rows, 3)
    readers = {0: ["q", "k", "v", "gate.projection"], 1: ["gate", "up"], 2: ["q", "k", "v", "gate.projection"]}
    readers[3] = readers[1]
    assert set(scales) == {f"{block}.body.{name}" for block, names in readers.items() for name in names}
    x = model.blocks[0].pre_norm(model.embedding(rows)).detach().abs().amax(dim=(0, 1))
    matrices = linears(model)
    w = torch.stack([matrices[f"0.body.{name}"].weight.detach().abs().amax(dim=0) for name in readers[0]]).amax(dim=0)
    torch.testing.assert_close(scales["0.body.v"], (x / w).sqrt())


def test_smoothing_saves_a_small_channel_beside_a_large_one():
    """Channel 0 holds 508, channel 1 holds 1: with one step per token, 4, channel 1 is lost; smoothed it is not."""
    one = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        one.weight.copy_(torch.tensor([[0.0, 1.0]]))
    x = torch.tensor([[508.0, 1.0]])
    assert rounded(x, per_row(x)).tolist() == [[508, 0]]
    with quantised({"one": one}, None, {"one": torch.tensor([508.0, 1.0])}):
        assert one(x).item() == pytest.approx(1)


def test_the_statistics_are_those_of_every_input_and_later_blocks_see_the_new_weights():
    model = models.decoder()
    tokens, new = models.tokens(5, 9), {}
    with with_weights(model, new):
        for index, block in enumerate(inputs_by_block(model, tokens, 2)):
            if index == 0:
                x = model.blocks[0].pre_norm(model.embedding(tokens)).detach().flatten(0, 1)
                torch.testing.assert_close(block["0.body.q"].hessian_II, x.T @ x)
                torch.testing.assert_close(block["0.body.q"].magnitude_I, x.abs().sum(dim=0))
                new["0.body.o"] = torch.zeros_like(model.blocks[0].body.o.weight)
            if index == 1:
                x = model.blocks[1].pre_norm(model.embedding(tokens)).detach().flatten(0, 1)
                torch.testing.assert_close(block["1.body.up"].hessian_II, x.T @ x, msg="attention adds nothing now")
    assert model.blocks[0].body.o.weight.abs().max() > 0 and "forward" not in vars(model.blocks[0].body.o)


@pytest.mark.parametrize("name", ["baseline", "grouped_query", "crossed_all", "value_value_state_channel"])
def test_every_matrix_inside_the_blocks_gets_weights_of_its_shape(name):
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(4, 10)
    for found in (rtn_weights(model), gptq_weights(model, tokens, 3), awq_weights(model, tokens, 3)):
        assert {key: weight.shape for key, weight in found.items()} == {
            key: matrix.weight.shape for key, matrix in linears(model).items()
        }
        assert all(weight.isfinite().all() for weight in found.values())
