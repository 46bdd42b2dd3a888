"""The life of a planted spike: the right blocks, channels and tokens, and none where there is none."""

import models
import planted_spikes
import pytest
import torch
from planted_spikes import CHANNEL, Plant, silent

from spikesink.measures.probes.spikes import SpikeRule, anatomy, spaced
from spikesink.measures.questions.lifecycle import lifecycle, spike_channels, spike_tokens

RELATIVE = SpikeRule(magnitude=0, ratio=20)
TALL = SpikeRule(ratio=100)  # ordinary activations of the planted models are near 1


def lived(**plants: tuple[int, dict[int, float]]) -> models.Decoder:
    """Six layers, embeddings 0.1 everywhere, and plants by block: b4 is block 4."""
    model = silent(layers=6)
    with torch.no_grad():
        model.embedding.weight.fill_(0.1)
    for name, (position, values) in plants.items():
        model.blocks[int(name[1:]) - 1].body = Plant(position, values)
    return model


def roles(rows: list[dict], role: str) -> list[int]:
    return [row["block"] for row in rows if row["role"] == role]


def test_a_planted_spike_has_one_step_up_and_one_step_down_block():
    model = lived(b4=(3, {7: -900.0}), b6=(3, {7: -4.0}), b10=(3, {7: 890.0}), b12=(5, {2: 1.0}))
    rows = lifecycle(model, models.tokens(5, 20), batch_size=2)
    assert roles(rows, "before") == [1, 2, 3]
    assert roles(rows, "step_up") == [4]
    assert roles(rows, "plateau") == [5, 6, 7, 8, 9]
    assert roles(rows, "step_down") == [10]
    assert roles(rows, "after") == [11, 12]
    assert [row["kind"] for row in rows] == ["attention", "feed_forward"] * 6
    assert [row["written"] for row in rows] == pytest.approx([0, 0, 0, -900, 0, -4, 0, 0, 0, 890, 0, 0])
    assert [row["after"] for row in rows] == pytest.approx([0.1] * 3 + [899.9] * 2 + [903.9] * 4 + [13.9] * 3, rel=1e-5)
    assert [row["before"] for row in rows[1:]] == [row["after"] for row in rows[:-1]]
    assert rows[3]["share"] == pytest.approx(900 / 903.9)
    assert rows[9]["share"] == pytest.approx(-890 / 903.9)
    # Block 12 writes elsewhere: neither on the spike token nor on its channel.
    assert rows[3]["output_maximum"] == pytest.approx(900) and rows[11]["output_maximum"] == 0
    assert {(row["channel"], row["position"], row["spike_channels"], row["sequences"]) for row in rows} == {
        (7, 3, 1, 5)
    }


def test_spike_tokens_are_no_part_of_the_median_that_judges_them():
    """Tokens 0, 2, 4 and 6 of eight are tall in all channels: a median of all tokens would be theirs, 30, and none of
    them massive at 20 medians."""
    model = silent()
    with torch.no_grad():
        model.embedding.weight.fill_(1.0)
        model.embedding.weight[25] = 30.0
        model.embedding.weight[25, 7] = 500.0
    tokens = torch.zeros(2, 8, dtype=torch.long)
    tokens[:, ::2] = 25
    rows = spike_tokens(model, tokens, rule=RELATIVE)
    assert [(row["position"], row["token_id"], row["spikes"]) for row in rows] == [
        (place, 25, 2) for place in (0, 2, 4, 6)
    ]


def test_several_blocks_may_share_a_step():
    """As in the paper's Qwen2.5-14B: were the threshold one half, a step in four parts would not be found."""
    down = {f"b{block}": (0, {7: -150.0}) for block in (8, 10, 11, 12)}
    rows = lifecycle(lived(b2=(0, {7: 400.0}), b4=(0, {7: 200.0}), **down), models.tokens(3, 8))
    assert roles(rows, "step_up") == [2, 4]
    assert roles(rows, "step_down") == [8, 10, 11, 12]
    assert roles(rows, "plateau") == [3, 5, 6, 7, 9]
    strict = lifecycle(
        lived(b2=(0, {7: 400.0}), b4=(0, {7: 200.0}), **down), models.tokens(3, 8), rule=SpikeRule(step_share=0.5)
    )
    assert roles(strict, "step_up") == [2] and roles(strict, "step_down") == []


def test_shares_up_to_the_plateau_and_the_embeddings_add_up_to_one():
    """A share is a projection on all spike channels, so a block that makes another channel's spike counts by size."""
    model = lived(b4=(2, {7: 600.0}), b6=(2, {1: -800.0, 7: 300.0}))
    rows = lifecycle(model, models.tokens(3, 8))
    assert {row["channel"] for row in rows} == {7} and {row["spike_channels"] for row in rows} == {2}
    spike = {7: 900.1, 1: -799.9}
    square = sum(value**2 for value in spike.values())
    assert rows[3]["share"] == pytest.approx(600 * spike[7] / square, rel=1e-4)
    assert rows[5]["share"] == pytest.approx((300 * spike[7] - 800 * spike[1]) / square, rel=1e-4)
    embedding = 0.1 * (spike[7] + spike[1]) / square
    assert sum(row["share"] for row in rows) + embedding == pytest.approx(1, rel=1e-5)
    assert rows[5]["output_maximum"] == pytest.approx(800)


def test_a_model_without_spikes_says_so():
    """Large for its neighbours, but under both thresholds."""
    model = lived(b4=(3, {7: 1.5}))
    rows = lifecycle(model, models.tokens(4, 10), rule=RELATIVE)
    assert {row["role"] for row in rows} == {"no_spike"}
    assert {(row["spike_channels"], row["sequences"]) for row in rows} == {(0, 0)}
    # What comes closest is still followed.
    assert {(row["channel"], row["position"]) for row in rows} == {(7, 3)} and rows[3]["written"] == 1.5
    assert spike_channels(model, models.tokens(4, 10), rule=RELATIVE) == []
    assert spike_tokens(model, models.tokens(4, 10), rule=RELATIVE) == []


@pytest.mark.parametrize(
    ("height", "rule", "found"),
    [
        (99.8, SpikeRule(ratio=100), False),
        (100.2, SpikeRule(ratio=100), True),
        (100.2, SpikeRule(), True),
        (100.2, SpikeRule(ratio=1003), False),
        (1.8, RELATIVE, False),
        (2.1, RELATIVE, True),
    ],
)
def test_a_spike_exceeds_the_magnitude_and_the_ratio(height, rule, found):
    """The stream is 0.1 everywhere and 0.1 + height at the spike, so the median is 0.1."""
    rows = spike_channels(lived(b2=(0, {7: height})), models.tokens(3, 8), rule=rule)
    assert [row["channel"] for row in rows] == ([7] if found else [])


def test_a_spike_that_the_embedding_brings_along_is_a_plateau_from_the_start():
    """Sequences that do not carry it are left out of the means, and the tables count them."""
    model = lived()
    with torch.no_grad():
        model.embedding.weight[17, 5] = 500
    tokens = torch.zeros(4, 8, dtype=torch.long)
    tokens[:3, 4] = 17
    tokens[0, 6] = 17
    rows = lifecycle(model, tokens, batch_size=3)
    assert roles(rows, "plateau") == list(range(1, 13))
    assert rows[0]["sequences"] == 3 and rows[0]["before"] == rows[11]["after"] == 500
    (channel,) = spike_channels(model, tokens)
    assert (channel["channel"], channel["rank"], channel["sequence_share"]) == (5, 1, 0.75)
    at_4, at_6 = spike_tokens(model, tokens, batch_size=3)
    assert (at_4["position"], at_4["token_id"], at_4["spikes"], at_4["occurrences"]) == (4, 17, 3, 3)
    assert (at_6["position"], at_6["token_id"], at_6["spikes"], at_6["occurrences"]) == (6, 17, 1, 1)
    assert (at_4["sequence_share"], at_4["magnitude"]) == (0.75, 500)


def test_a_token_spikes_wherever_it_stands():
    tokens = models.tokens(6, 12) % 20
    tokens[2, 5] = tokens[2, 9] = tokens[4, 0] = 25
    model = planted_spikes.amplified([25])
    found = {(row["position"], row["token_id"]): row for row in spike_tokens(model, tokens, rule=TALL)}
    assert list(found) == [(0, 25), (5, 25), (9, 25)]
    assert all(row["magnitude"] == pytest.approx(50 * 16, rel=1e-4) for row in found.values())
    (channel,) = spike_channels(model, tokens, rule=TALL)
    assert channel["channel"] == CHANNEL and channel["sequence_share"] == pytest.approx(2 / 6)


def test_an_amplifier_and_its_opposite_are_the_two_steps():
    model = planted_spikes.amplified([0], down=-49.0)
    tokens = models.tokens(4, 10) % 20 + 1
    tokens[:, 0] = 0
    rows = lifecycle(model, tokens, rule=TALL)
    assert roles(rows, "step_up") == [2] and roles(rows, "step_down") == [6]
    assert [rows[1]["written"], rows[5]["written"]] == pytest.approx([800, -784], rel=1e-3)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_has_a_life(name):
    model, tokens = models.decoder(**models.VARIANTS[name]), models.tokens(3, 8)
    rows = lifecycle(model, tokens, rule=SpikeRule(0, 2), batch_size=2)
    assert [row["block"] for row in rows] == [1, 2, 3, 4]
    assert all(row["sequences"] > 0 for row in rows), "with such a low threshold something is always found"
    assert spike_channels(model, tokens, rule=SpikeRule(0, 2)) and spike_tokens(model, tokens, rule=SpikeRule(0, 2))
    # Behind a norm on the residual sum too, the shares up to the plateau and the embedding's are all of the spike.
    stream = anatomy(model, tokens, rule=SpikeRule(0, 2), batch_size=2).stream_SNC
    plateau = stream[..., 0].abs().mean(dim=1).argmax()
    embedding = ((stream[0] * stream[plateau]).sum(dim=-1) / stream[plateau].square().sum(dim=-1)).mean().item()
    assert sum(row["share"] for row in rows[:plateau]) + embedding == pytest.approx(1, abs=1e-4)


def test_spaced_items_are_the_middles_of_equal_parts():
    assert spaced(list(range(9)), 3) == [1, 4, 7]
    assert spaced(list(range(3)), 5) == [0, 1, 2]
    assert spaced([], 4) == []
