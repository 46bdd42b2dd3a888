"""Interventions do what their name says and nothing else, and leave the model as it was."""

import math

import gradient_plant
import models
import pytest
import torch
from test_measures import blank_embeddings, plant_sink, silent
from torch import nn
from torch.nn import functional as F

from spikesink.measures.matched import drawn, in_attention, states_at
from spikesink.measures.probes.edits import entries_set, keys_hidden
from spikesink.measures.probes.observe import observe
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.interventions import Scoring, interventions, step_up_block
from spikesink.model.attention import CausalAttention

T = 12


class Spike(nn.Module):
    """A branch that adds ``value`` times one more than the token's parity to one channel of position 0."""

    def __init__(self, channel: int, value: float) -> None:
        super().__init__()
        self.channel, self.value = channel, value

    def forward(self, x, context):
        out = 0 * x  # in the graph, as gradients need it
        odd = (context.embedding_BTD[:, 0, 1] < 0).float()
        out[:, 0, self.channel] = self.value * (1 + odd)
        return out


def planted() -> models.Decoder:
    """Block 2 makes a spike of 50 (even tokens) or 100 (odd ones) in channel 5; only channels 0..5 are ever used."""
    model = silent()
    with torch.no_grad():
        model.embedding.weight.zero_()
        model.embedding.weight[:, :3] = torch.randn(31, 3, generator=torch.Generator().manual_seed(0))
        model.embedding.weight[:, 1] = torch.where(torch.arange(31) % 2 == 0, 1.0, -1.0)
    model.blocks[1].body = Spike(5, 50.0)
    return model


def nll_of(model: models.Decoder, rows: torch.Tensor, spike: float | None = None) -> float:
    """By hand: the embedding, the spike or what stands in its place, the final norm, the head."""
    h = model.embedding(rows[:, :-1]).clone()
    h[:, 0, 5] = 50.0 * (1 + (h[:, 0, 1] < 0).float()) if spike is None else spike
    logits = model.norm(h) @ model.head_weight.T
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).item()


def hidden(model: models.Decoder, *keys: int):
    """The context manager that hides these keys in every attention block."""
    bodies = [module for module in model.modules() if isinstance(module, CausalAttention)]
    return keys_hidden(dict.fromkeys(bodies, torch.tensor(keys)))


def find(rows: list[dict], **wanted) -> dict:
    (row,) = (row for row in rows if all(row[name] == value for name, value in wanted.items()))
    return row


@pytest.mark.parametrize("kind", ["rms", "sandwich", "post"])
def test_entries_are_set_in_the_stream_that_goes_on(kind):
    """After a norm on the residual sum too, and whether the block runs whole or in parts."""
    model = models.decoder(norm={"kind": kind})
    tokens, channels = models.tokens(2, T), torch.tensor([3, 7])
    plain = [state.stream_BTD for state in observe(model, tokens)]
    inputs = []
    model.blocks[2].register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[0].detach()))
    chosen, values = torch.zeros(1, 16, dtype=torch.bool), torch.zeros(16)
    chosen[0, channels], values[channels] = True, torch.tensor([5.0, -1.0])
    with entries_set(model.blocks[1], chosen, values):
        model(tokens)
        parts = [state.stream_BTD for state in observe(model, tokens)]
    expected = plain[2].clone()
    expected[:, 0, channels] = torch.tensor([5.0, -1.0])
    assert torch.equal(inputs[0], expected) and torch.equal(parts[2], expected)


def test_a_planted_spike_is_zeroed_fixed_and_left_alone_by_the_control():
    model = planted()
    rows = models.tokens(8, T + 1)
    table, _ = interventions(model, rows, scoring=Scoring(3), channels=1, calibration_sequences=4, controls=2)
    scored = rows[4:]
    assert {row["block"] for row in table} == {2} and {row["start"] for row in table} == {"text"}
    assert find(table, intervention="none")["nll_nats"] == pytest.approx(nll_of(model, scored), rel=1e-5)
    assert find(table, intervention="zero_spike")["nll_nats"] == pytest.approx(nll_of(model, scored, 0.0), rel=1e-5)
    mean = 50.0 * (1 + (rows[:4, 0] % 2).float().mean().item())
    assert 50 < mean < 100, "the test needs both kinds of tokens among the calibration rows"
    assert find(table, intervention="mean_spike")["nll_nats"] == pytest.approx(nll_of(model, scored, mean), rel=1e-5)
    # Most channels are empty, so those of median magnitude are: setting them to zero changes nothing at all.
    none, control = find(table, intervention="none"), find(table, intervention="zero_median")
    assert control == pytest.approx(none | {"intervention": "zero_median"})
    assert find(table, intervention="zero_spike")["nll_nats"] != pytest.approx(none["nll_nats"], rel=1e-3)
    assert none["spike"] == pytest.approx(50.0 * (1 + (scored[:, 0] % 2).float().mean().item()))
    assert find(table, intervention="zero_spike")["spike"] < 5
    assert find(table, intervention="mean_spike")["spike"] == pytest.approx(mean)
    assert all(row["perplexity"] == math.exp(row["nll_nats"]) and row["tokens"] == 4 * T for row in table)


def test_a_chosen_block_is_the_one_that_is_changed():
    """Before the block that makes it there is nothing to zero: the spike comes after."""
    table, _ = interventions(
        planted(), models.tokens(6, T + 1), scoring=Scoring(6), channels=1, calibration_sequences=3, block=1, controls=0
    )
    assert {row["block"] for row in table} == {1}
    assert find(table, intervention="zero_spike")["spike"] >= 50


def test_the_step_up_block_is_the_first_beyond_half_the_maximum():
    states = torch.tensor([1.0, 4.0, 6.0, 10.0, 2.0])[:, None, None].expand(5, 3, 4)
    assert step_up_block(states) == 3
    assert step_up_block(-states) == 3


def test_states_are_those_of_the_stream():
    model = models.decoder()
    tokens = models.tokens(5, T)
    expected = torch.stack([seen.stream_BTD[:, 2] for seen in observe(model, tokens)][1:])
    torch.testing.assert_close(states_at(model, tokens, 2, 2), expected)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_set_entries_are_set_in_the_stream_and_nothing_else_is(name):
    """In the forward pass and when a measure runs the block in parts, for every kind of norm."""
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(3, T)
    channels, values = [3, 11], torch.arange(16.0)
    chosen = torch.zeros(5, 16, dtype=torch.bool)
    chosen[4, channels] = True
    before = model(tokens)
    with entries_set(model.blocks[1], chosen, values):
        changed = model(tokens)
        seen = [one.stream_BTD for one in observe(model, tokens)]
    plain = [one.stream_BTD for one in observe(model, tokens)]
    expected = plain[2].clone()
    expected[:, 4, channels] = values[channels]
    torch.testing.assert_close(seen[2], expected)
    assert torch.equal(seen[1], plain[1])
    torch.testing.assert_close(model.norm(seen[-1]) @ model.head_weight.T, changed)
    assert not torch.equal(changed, before) and torch.equal(changed[:, :4], before[:, :4])
    assert torch.equal(model(tokens), before)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_a_masked_key_tells_other_positions_nothing(name):
    """With the key at p masked everywhere, the token at p decides its own logits only, for every kind of attention."""
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(3, T)
    other = tokens.clone()
    other[:, 4] = (tokens[:, 4] + 1) % models.VOCABULARY
    before = model(tokens)
    elsewhere = torch.arange(T) != 4
    with hidden(model, 4):
        masked, with_other = model(tokens), model(other)
        maps = models.attention_maps(model, tokens).values()
    torch.testing.assert_close(masked[:, elsewhere], with_other[:, elsewhere])
    assert not torch.allclose(masked[:, 4], with_other[:, 4])
    torch.testing.assert_close(masked[:, :5], before[:, :5])
    assert not torch.allclose(masked[:, 5:], before[:, 5:])
    assert all(weights[:, :, elsewhere, 4].abs().max() == 0 for weights in maps)
    assert torch.equal(model(tokens), before)


@pytest.mark.parametrize("name", ["baseline", "grouped_query", "sink_logit", "key_value_bias"])
def test_the_masked_keys_weight_goes_to_the_others_in_proportion(name):
    """Softmax without one key: A_tj / (1 - A_tp), an extra key included."""
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens(3, T)
    plain = models.attention_maps(model, tokens)[1]
    with hidden(model, 0):
        masked = models.attention_maps(model, tokens)[1]
    expected = plain[..., 1:, 1:] / (1 - plain[..., 1:, :1])
    torch.testing.assert_close(masked[..., 1:, 1:], expected)
    torch.testing.assert_close(masked[..., 0, :], plain[..., 0, :])


def test_masking_the_sink_takes_its_mass_and_masking_another_key_does_not():
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=1, head=2, token=30, strength=6.0)
    rows = models.tokens(6, T + 1) % 30
    rows[:, 0] = 30
    table, _ = interventions(model, rows, scoring=Scoring(4), block=1, channels=1, calibration_sequences=2, controls=3)
    bos = [row for row in table if row["start"] == "bos"]
    assert [row["intervention"] for row in bos[-4:]] == ["mask_equal_mass"] + ["mask_other"] * 3
    controls = [row["position"] for row in bos[-3:]]
    assert len(set(controls)) == 3 and all(0 < position <= T // 2 for position in controls)
    none, sink = find(bos, intervention="none"), find(bos, intervention="mask_sink")
    assert none["sink_mass_max"] > 0.9 and none["sink_share"] == 1 / 4, "one of the four heads after block 1"
    assert sink["sink_mass"] == sink["sink_mass_max"] == pytest.approx(1 / T), "its own query still sees it"
    assert sink["sink_share"] == 0
    for row in bos[-3:]:
        assert row["sink_mass_max"] > 0.9 and row["sink_share"] == 1 / 4
    # Behind a BOS the mean over sequences is the value itself.
    assert find(bos, intervention="mean_spike")["nll_nats"] == pytest.approx(none["nll_nats"])
    assert {row["start"] for row in table} == {"bos", "text"}


def test_after_the_last_block_no_attention_is_left_to_describe():
    model = models.decoder()
    table, _ = interventions(
        model, models.tokens(5, T + 1), scoring=Scoring(5), block=len(model.blocks), calibration_sequences=2, controls=1
    )
    assert len(table) == 8 and all(row["sink_share"] is row["sink_mass"] is None for row in table)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_has_its_rows(name):
    model = models.decoder(**models.VARIANTS[name])
    table, _ = interventions(
        model, models.tokens(5, 9), scoring=Scoring(4, sink_tokens=6), calibration_sequences=2, controls=1
    )
    assert [row["intervention"] for row in table] == [
        "none",
        "zero_spike",
        "mean_spike",
        "zero_median",
        "zero_equal_norm",
        "mask_sink",
        "mask_equal_mass",
        "mask_other",
    ]
    assert all(math.isfinite(row["nll_nats"]) for row in table)


def test_nothing_left_to_score_is_refused():
    with pytest.raises(ValueError, match="calibration_sequences = 5 of 5"):
        interventions(models.decoder(), models.tokens(5, 8), scoring=Scoring(2), calibration_sequences=5)


def reading_the_spike() -> models.Decoder:
    """A spike of 6 or 12 in channel 5, and head 2 of the attention after it, whose keys read that channel alone."""
    model = planted()
    model.blocks[1].body = Spike(5, 6.0)
    attention = model.blocks[2].body
    with torch.no_grad():
        model.embedding.weight[:, 3] = 1.0
        model.embedding.weight[:, 8:] = 3.0  # ordinary channels, which the control takes a part of
        attention.q.weight[2 * 4 + 1, 3] = 8.0
        attention.k.weight[2 * 4 + 1, 5] = 8.0
    return model


def test_taking_the_spike_away_takes_the_sink_of_the_head_that_reads_it():
    """Spike -> norm -> sink: without the spike the head attends uniformly, else it does not."""
    table, heads = interventions(
        reading_the_spike(), models.tokens(8, T + 1), scoring=Scoring(4), channels=1, calibration_sequences=4
    )
    uniform = sum(1 / t for t in range(1, T + 1)) / T
    mass = {
        (row["intervention"], row["head"]): row["sink_mass"]
        for row in heads
        if row["attention_block"] == 3 and row["after_block"]
    }
    for head in (0, 1, 3):
        assert mass["zero_spike", head] == mass["none", head] == pytest.approx(uniform)
    assert mass["none", 2] > 0.95
    assert mass["zero_spike", 2] == pytest.approx(uniform)
    for kept in ("mean_spike", "zero_median"):
        assert mass[kept, 2] > 0.95, kept
    assert mass["zero_equal_norm", 2] > 0.7, "it takes some queries' channel 3"
    for name in ("none", "zero_spike"):
        expected = sum(mass[name, head] for head in range(4)) / 4
        assert find(table, intervention=name)["sink_mass"] == pytest.approx(expected)
    assert {row["after_block"] for row in heads if row["attention_block"] == 1} == {False}


def test_hiding_the_sink_takes_its_gradient_and_hiding_as_much_attention_elsewhere_does_not():
    """Uniform attention over equal gradients: R = H_T / mean of H_T - H_s. With key 0 hidden, its value gets its own
    query's gradient alone and key s gets sum over t >= s of 1 / t."""
    length = 16
    rows = gradient_plant.rows_of([1] * 6, [7] * 6, length)
    table, _ = interventions(
        gradient_plant.planted(), rows, scoring=Scoring(3), channels=1, block=1, calibration_sequences=2
    )
    table = [row for row in table if row["start"] == "bos"]
    harmonic = [gradient_plant.harmonic(count) for count in range(length + 1)]
    later = range(1, length)
    mean = sum(harmonic[length] - harmonic[s] for s in later) / (length - 1)
    none, sink, matched = (find(table, intervention=name) for name in ("none", "mask_sink", "mask_equal_mass"))
    assert none["gradient_sink_ratio"] == pytest.approx(harmonic[length] / mean, rel=1e-4)
    assert none["gradient_sink_over_uniform"] == pytest.approx(1, rel=1e-4)
    hidden_mean = sum(harmonic[length - 1] - harmonic[s - 1] for s in later) / (length - 1)
    assert sink["gradient_sink_ratio"] == pytest.approx(1 / hidden_mean, rel=1e-4)
    assert sink["gradient_sink_over_uniform"] < 0.5
    assert matched["gradient_sink_over_uniform"] > 1
    # Both take the same attention away, up to the last key that was drawn.
    assert sink["removed_mass"] == pytest.approx((harmonic[length] - 1) / length)
    assert matched["removed_mass"] == pytest.approx(sink["removed_mass"], abs=0.06)
    assert matched["position"] is None and none["removed_mass"] is None


def test_the_control_of_the_spike_takes_as_much_norm_from_the_stream():
    """Root mean square over the calibration sequences, as the stream itself shows it."""
    model, rows = models.decoder(), models.tokens(9, T + 1)
    table, _ = interventions(model, rows, scoring=Scoring(4), channels=2, block=2, calibration_sequences=6, controls=0)
    spike, control = (find(table, intervention=name) for name in ("zero_spike", "zero_equal_norm"))
    assert control["removed_norm"] == pytest.approx(spike["removed_norm"], rel=0.05) and spike["removed_norm"] > 0
    assert find(table, intervention="none")["removed_norm"] == 0
    top = states_at(model, rows[:6, :-1], 0, 6)[1]
    channels = top.abs().mean(dim=0).argsort(descending=True)[:2]
    assert spike["removed_norm"] == pytest.approx(top[:, channels].square().sum(dim=1).mean().sqrt().item())
    fixed = find(table, intervention="mean_spike")["removed_norm"]
    assert fixed == pytest.approx(top[:, channels].var(dim=0, correction=0).sum().sqrt().item())


def test_entries_are_drawn_up_to_a_target_and_no_further():
    amounts = torch.ones(10, 10)
    allowed = torch.ones(10, 10, dtype=torch.bool)
    allowed[0] = False
    for target, count in ((0.0, 0), (7.2, 7), (40.0, 40), (500.0, 90)):
        chosen = drawn(amounts, allowed, target)
        assert chosen.sum() == count and not chosen[0].any()
    assert torch.equal(drawn(amounts, allowed, 7.0), drawn(amounts, allowed, 7.0))


@pytest.mark.parametrize("name", ["baseline", "grouped_query", "softpick", "key_value_bias", "attention_only"])
def test_the_hidden_mass_is_that_of_the_map(name):
    """Mean over queries, heads and blocks of the attention on the hidden keys, their own queries' left out."""
    model, tokens = models.decoder(**models.VARIANTS[name]), models.tokens(3, T)
    plans = {plan.name: plan for plan in in_attention(model, tokens, 1, batch_size=2, chunk=5)}
    maps = models.attention_maps(model, tokens).values()
    received = torch.stack([(one - one * torch.eye(T)).sum(dim=-2).mean(dim=(0, 1)) / T for one in maps])
    assert plans["mask_sink"].removed_mass == pytest.approx(received[:, 0].mean().item(), rel=1e-4)
    other = plans["mask_other"]
    assert other.removed_mass == pytest.approx(received[:, other.position].mean().item(), rel=1e-4)
    coarse = received[:, 1:].max().item() / 2
    assert plans["mask_equal_mass"].removed_mass == pytest.approx(plans["mask_sink"].removed_mass, abs=coarse)
    sinks = attention_sinks(model, tokens, epsilon=0.3, batch_size=3)
    assert plans["mask_sink"].removed_mass < sum(row["sink_mass"] for row in sinks) / len(sinks)
