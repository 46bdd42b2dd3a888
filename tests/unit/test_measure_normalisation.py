"""Normalisation of a planted spike: the bound, the sparsity and the cosines are known."""

import math

import models
import pytest
import torch
from test_measures import silent

from spikesink.measures.probes.starts import starts
from spikesink.measures.questions.normalisation import normalisation, normalised_channels

D = 16


class Spike(torch.nn.Module):
    """A branch that adds known values to channels of the token at position 0."""

    def __init__(self, values: dict[int, float]) -> None:
        super().__init__()
        self.values = values

    def forward(self, x, context):
        out = torch.zeros_like(x)
        for channel, value in self.values.items():
            out[:, 0, channel] = value
        return out


def planted(values: dict[int, float], block: int = 1, **overrides) -> models.Decoder:
    """Random embeddings of unit variance; block ``block`` (0-based) makes the spike."""
    model = silent(initialisation={"linear_std": 0.3, "embedding_std": 1.0}, **overrides)
    model.blocks[block].body = Spike(values)
    return model


def find(rows: list[dict], **wanted) -> dict:
    (row,) = (row for row in rows if all(row[name] == value for name, value in wanted.items()))
    return row


def test_a_spike_reaches_the_bound_and_one_channel():
    """One huge channel: |h~| is sqrt(D) there and 0 elsewhere, whatever the token was (Eq 23-24)."""
    rows = normalisation(planted({5: -3e4}), models.tokens(7, 10), batch_size=3)
    assert [row["block"] for row in rows] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [row["kind"] for row in rows[::2]] == ["attention", "feed_forward", "attention", "feed_forward", "head"]
    before, after = find(rows, block=2, group="spike"), find(rows, block=3, group="spike")
    assert after["bound"] == before["bound"] == math.sqrt(D) == 4
    assert after["maximum"] == pytest.approx(4, rel=1e-5) and after["share_of_bound"] == pytest.approx(1, rel=1e-5)
    assert before["maximum"] < 3.9
    assert after["energy_top"] == pytest.approx(1) and after["participation"] == pytest.approx(1, rel=1e-4)
    assert before["energy_top"] < 0.8 and before["participation"] > 3
    assert find(rows, block=3, group="others")["participation"] > 3
    assert after["token_count"] == 7 and find(rows, block=3, group="others")["token_count"] == 63


def test_participation_counts_equal_channels():
    rows = normalisation(planted({3: 5e4, 4: -5e4, 11: 5e4}), models.tokens(4, 6), batch_size=4, top_channels=2)
    spike = find(rows, block=4, group="spike")
    assert spike["participation"] == pytest.approx(3, rel=1e-3)
    assert spike["energy_top"] == pytest.approx(2 / 3, rel=1e-3)


def test_spike_tokens_become_alike_at_the_step_up_block_and_others_do_not():
    """Fig 5; the pairwise mean is that of the cosine matrix without its diagonal."""
    model = planted({5: 1e6})
    tokens = models.tokens(6, 8)
    rows = normalisation(model, tokens, batch_size=4)
    assert find(rows, block=3, group="spike")["cosine"] == pytest.approx(1, abs=1e-6)
    h = torch.nn.functional.normalize(model.embedding(tokens).detach().double(), dim=-1)
    for group, units in (("spike", h[:, 0]), ("others", h[:, 1:].flatten(0, 1))):
        pairs = (units @ units.T)[~torch.eye(len(units), dtype=torch.bool)]
        assert find(rows, block=2, group=group)["cosine"] == pytest.approx(pairs.mean().item(), abs=1e-6)
    assert abs(find(rows, block=3, group="others")["cosine"]) < 0.5


def test_behind_a_bos_both_starts_are_measured():
    """The state of a BOS is the same everywhere, so its cosine says nothing: without it the text comes first."""
    model = planted({5: 1e6})
    tokens = models.tokens(6, 8)
    tokens[:, 0] = 7
    rows = normalisation(model, tokens, batch_size=4)
    assert find(rows, start="bos", block=1, group="spike")["cosine"] == pytest.approx(1)
    assert find(rows, start="text", block=1, group="spike")["cosine"] < 0.9
    assert find(rows, start="text", block=3, group="spike")["cosine"] == pytest.approx(1)
    assert find(rows, start="text", block=1, group="others")["token_count"] == 6 * 6
    assert {row["start"] for row in normalisation(model, models.tokens(6, 8), batch_size=4)} == {"text"}
    assert starts(tokens)["text"].tolist() == tokens[:, 1:].tolist()


def test_dynamic_tanh_is_bounded_by_one_and_no_norm_by_nothing():
    rows = normalisation(planted({5: 1e6}, norm={"kind": "dyt"}), models.tokens(3, 6), batch_size=3)
    dyt = find(rows, block=3, group="spike")
    assert (dyt["norm"], dyt["bound"]) == ("dyt", 1.0)
    assert dyt["maximum"] == pytest.approx(1)
    raw = normalisation(planted({5: 1e6}, norm={"kind": "sandwich_qk"}), models.tokens(3, 6), batch_size=3)
    spike = find(raw, block=3, group="spike")
    assert (spike["norm"], spike["bound"], spike["share_of_bound"]) == ("none", None, None)
    assert find(raw, kind="head", group="spike")["norm"] == "rms"


def test_spike_channels_are_constant_after_the_norm():
    """Eq 25: with values a, b planted on top of different tokens, a / b is the ratio of the normalised channels."""
    tokens = models.tokens(9, 5)
    rows = normalised_channels(planted({3: 4e5, 12: -2e5}), tokens, batch_size=4, top_channels=2)
    assert len(rows) == 5 * 2
    first, second = (find(rows, block=3, rank=rank) for rank in (1, 2))
    assert (first["channel"], second["channel"]) == (3, 12)
    assert first["mean"] == pytest.approx(4 / math.sqrt(5) * 2, rel=1e-4)
    assert second["mean"] == pytest.approx(-4 / math.sqrt(5), rel=1e-4)
    assert second["ratio"] == pytest.approx(-0.5, rel=1e-4) and second["ratio_std"] < 1e-4
    assert max(first["std"], second["std"]) < 1e-3
    assert find(rows, block=2, rank=1)["std"] > 0.1


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_stays_below_its_bound(name):
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(4, 9)
    rows = normalisation(model, tokens, batch_size=3)
    assert len(rows) == 2 * (len(model.blocks) + 1)
    for row in rows:
        assert row["bound"] is None or 0 < row["maximum"] <= row["bound"] * (1 + 1e-6)
        assert 0 < row["energy_top"] <= 1 and 1 <= row["participation"] <= D and -1 <= row["cosine"] <= 1
    assert len(normalised_channels(model, tokens, batch_size=3)) == 3 * (len(model.blocks) + 1)
    for row, other in zip(rows, normalisation(model, tokens, batch_size=4), strict=True):
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        assert numbers == pytest.approx({name: other[name] for name in numbers}, rel=1e-5), "batches change nothing"
