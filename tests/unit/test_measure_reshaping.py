"""Bloat, Compress, Change: closed forms through planted branches, RMSNorm's Jacobian, slopes of planted lines."""

import models
import pytest
import torch
from gradient_plant import planted

from spikesink.measures.probes.backward import backward
from spikesink.measures.questions.reshaping import (
    line_fit,
    position_group,
    reshaping,
    reshaping_slopes,
)
from spikesink.model.norms import RMSNorm


def rows(batch: int = 3, length: int = 12) -> torch.Tensor:
    return models.tokens(batch, length + 1)


def column(table: list[dict], name: str, **place) -> torch.Tensor:
    return torch.tensor([row[name] for row in table if all(row[key] == value for key, value in place.items())])


def shaken_gains(model: models.Decoder) -> models.Decoder:
    """Norm gains that differ from channel to channel, as after training."""
    with torch.no_grad():
        for number, block in enumerate(model.blocks):
            generator = torch.Generator().manual_seed(number)
            for norm in (block.pre_norm, block.post_norm):
                if isinstance(norm, RMSNorm):
                    norm.weight.normal_(1, 0.5, generator=generator)
    return model


def test_rms_norms_jacobian_has_its_closed_form():
    """g3 = J^T g2 with J = (1 / r) D (I - x x^T / (d r^2)), gains and eps included; and g3 = dL/dh_in - g1."""
    model = shaken_gains(models.decoder())
    taps = backward(model, rows(), ("stream", "branch", "input"))
    for block in range(1, 5):
        norm = model.blocks[block - 1].pre_norm
        x, g2 = taps["stream"][block].value, taps["input"][block].gradient
        r = (x.square().mean(dim=-1, keepdim=True) + norm.eps).sqrt()
        scaled = norm.weight.detach() * g2
        expected = (scaled - x * (x * scaled).sum(dim=-1, keepdim=True) / (16 * r**2)) / r
        g3 = taps["branch"][block].gradient
        torch.testing.assert_close(g3, expected, rtol=1e-4, atol=1e-7)
        difference = taps["stream"][block].gradient - taps["stream"][block + 1].gradient
        torch.testing.assert_close(g3, difference, rtol=1e-3, atol=1e-6)


def test_theorem_2_bounds_rms_norms_gain_and_the_bound_is_met():
    """||J|| <= max |gamma| / rms(x), with equality for a gradient at the largest gain, across x."""
    norm = RMSNorm(6, 1e-5)
    norm.weight.data = torch.tensor([0.5, -3.0, 1.0, 2.0, 0.1, 1.0])
    x = torch.tensor([[[4.0, 0.0, 1.0, -2.0, 3.0, 1.0]]])
    jacobian = torch.autograd.functional.jacobian(lambda v: norm(v[None, None])[0, 0], x[0, 0])
    bound = norm.jacobian_bound(x).item()
    assert torch.linalg.matrix_norm(jacobian, ord=2).item() == pytest.approx(bound, rel=1e-5)
    assert torch.linalg.matrix_norm(jacobian * 0.999, ord=2).item() < bound


@pytest.mark.parametrize("name", models.VARIANTS)
def test_compress_never_exceeds_its_bound(name):
    model = shaken_gains(models.decoder(**models.VARIANTS[name]))
    table = reshaping(model, rows(), batch_size=2)
    kind = model.settings.norm.kind
    attention_only = model.settings.feed_forward.kind == "attention"
    expected = ["attention" if attention_only or block % 2 else "feed_forward" for block in range(1, 5)]
    assert [next(row["branch"] for row in table if row["block"] == block) for block in range(1, 5)] == expected
    assert len(table) == 4 * 3 * 12
    if kind in ("rms", "sandwich"):
        assert all(0 < row["compress"] <= 1.0001 * row["compress_bound"] for row in table if row["compress"])
        assert max(row["compress"] / row["compress_bound"] for row in table if row["compress"]) > 0.3
    else:
        assert all(row["compress_bound"] is None for row in table)
    if kind == "sandwich_qk":
        assert all(row["compress"] == 1 for row in table if row["compress"])
    pairs = {(row["sequence"], row["position"]) for row in table}
    assert pairs == {(b, t) for b in range(3) for t in range(12)}


def test_rms_norm_compresses_with_slope_minus_one():
    """The planted gradient stands across the stream, so compress is exactly 1 / rms(h_in) = 4 / ||h_in||, its bound."""
    scales = [float(2**power) for power in range(8)]
    model = planted(scales)
    inputs = torch.arange(8).repeat(3, 1)
    batch = torch.cat((inputs, inputs[:, :1]), dim=1)
    table = reshaping(model, batch)
    norms, compress = (column(table, name, block=1) for name in ("input_norm", "compress"))
    torch.testing.assert_close(norms.reshape(3, 8)[0], 2 * torch.tensor(scales))
    torch.testing.assert_close(compress, 4 / norms, rtol=1e-4, atol=0)
    torch.testing.assert_close(compress, column(table, "compress_bound", block=1), rtol=1e-5, atol=0)
    slopes = reshaping_slopes(table)
    (slope,) = (
        row
        for row in slopes
        if (row["branch"], row["block"], row["group"], row["quantity"]) == ("attention", 1, None, "compress")
    )
    assert slope["slope"] == pytest.approx(-1, abs=1e-3)
    assert slope["correlation"] == pytest.approx(-1, abs=1e-4)
    assert 10 ** slope["intercept"] == pytest.approx(4, rel=1e-3)
    assert slope["points"] == 24


def test_a_linear_branch_bloats_by_its_factor_and_changes_by_the_closed_form():
    """body = 3 I: g2 = 3 g1, and dL/dh_in = g1 + 3 J^T g1."""
    model = models.decoder(feed_forward={"kind": "linear", "width": 20})
    with torch.no_grad():
        model.blocks[3].body.matrix.weight[:] = 3 * torch.eye(16)
    table = reshaping(model, rows())
    torch.testing.assert_close(column(table, "bloat", block=4), torch.full((36,), 3.0), rtol=1e-4, atol=0)
    taps = backward(model, rows(), ("stream",))
    ratio = taps["stream"][4].gradient.norm(dim=-1) / taps["stream"][5].gradient.norm(dim=-1)
    torch.testing.assert_close(column(table, "change", block=4), ratio.flatten(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        column(table, "input_norm", block=4), taps["stream"][4].value.norm(dim=-1).flatten(), rtol=1e-5, atol=0
    )


def test_a_post_norm_counts_to_the_branch():
    """Doubling a sandwich's post-norm gain doubles the branch's bloat for the same gradient after it."""
    table = {}
    for gain in (1.0, 2.0):
        model = models.decoder(norm={"kind": "sandwich"})
        with torch.no_grad():
            model.blocks[3].post_norm.weight.fill_(gain)
        taps = backward(model, rows(1), ("stream", "input"))
        table[gain] = taps["input"][4].gradient.norm() / taps["stream"][5].gradient.norm()
        found = column(reshaping(model, rows(1)), "bloat", block=4)
        expected = taps["input"][4].gradient.norm(dim=-1) / taps["stream"][5].gradient.norm(dim=-1)
        torch.testing.assert_close(found, expected[0], rtol=1e-4, atol=0)
    assert table[2.0] > 1.3 * table[1.0]


def test_under_post_norm_the_gradient_at_the_sum_is_taken_before_the_norm():
    """Else the norm's shrinking would count as what the branch does: change is 1 where a branch passes nothing back."""
    model = models.decoder(norm={"kind": "post"})
    with torch.no_grad():
        model.embedding.weight.mul_(50)
        for parameter in model.blocks[3].body.parameters():
            parameter.zero_()
    table = reshaping(model, rows(1))
    torch.testing.assert_close(column(table, "change", block=4), torch.ones(len(column(table, "change", block=4))))
    taps = backward(model, rows(1), ("stream", "sum", "input"))
    for block in (1, 2, 3):
        expected = taps["input"][block].gradient.norm(dim=-1) / taps["sum"][block].gradient.norm(dim=-1)
        torch.testing.assert_close(column(table, "bloat", block=block), expected[0], rtol=1e-4, atol=0)
    assert not torch.allclose(taps["sum"][1].gradient, taps["stream"][2].gradient, rtol=0.1)


def test_sequences_positions_and_chunks_are_what_was_asked_for():
    model = models.decoder()
    table = reshaping(model, rows(5), sequences=3, positions=7)
    assert {(row["sequence"], row["position"]) for row in table} == {(b, t) for b in range(3) for t in range(7)}
    chunked = reshaping(model, rows(5), sequences=3, positions=7, batch_size=1)

    def by_place(row: dict) -> tuple:
        return row["block"], row["sequence"], row["position"]

    for one, other in zip(sorted(table, key=by_place), sorted(chunked, key=by_place), strict=True):
        assert by_place(one) == by_place(other)
        for name in ("input_norm", "bloat", "compress", "change"):
            assert one[name] == pytest.approx(other[name], rel=1e-4)


def test_positions_without_gradient_have_no_ratio():
    """After the loss window nothing comes back: None, not NaN and not zero, and slopes leave them out."""
    table = reshaping(models.decoder(), rows(), window=(0, 5))
    for row in table:
        for name in ("bloat", "compress", "change"):
            assert (row[name] is None) == (row["position"] >= 5)
    whole = next(row for row in reshaping_slopes(table) if row["block"] == 1 and row["group"] is None)
    assert whole["points"] == 3 * 5


def test_position_groups_are_those_of_the_papers_figure():
    groups = [position_group(position) for position in range(18)]
    assert groups == ["0", "1", "2-3", "2-3", *["4-7"] * 4, *["8-15"] * 8, "rest", "rest"]


def test_slopes_are_least_squares_and_absent_where_nothing_varies():
    x = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    y = torch.tensor([1.0, -1.0, -2.0, -6.0], dtype=torch.float64)
    fit = line_fit(torch.stack((x, y), dim=1))
    assert fit["slope"] == pytest.approx(-2.2)
    assert fit["intercept"] == pytest.approx(1.3)
    assert fit["correlation"] == pytest.approx(torch.corrcoef(torch.stack((x, y)))[0, 1].item())
    assert fit["spread"] == pytest.approx(5**0.5 / 2)
    constant = line_fit(torch.stack((torch.ones_like(x), y), dim=1))
    assert constant["slope"] is constant["correlation"] is None
    level = line_fit(torch.stack((x, torch.ones_like(x)), dim=1))
    assert level["slope"] == pytest.approx(0)
    assert level["correlation"] is None
    assert line_fit(torch.empty(0, 2, dtype=torch.float64))["points"] == 0
    assert reshaping_slopes([]) == []
