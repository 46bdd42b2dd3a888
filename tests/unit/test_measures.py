"""Measures find what has been planted: known attention maps, known spikes, known likelihoods."""

import math

import models
import pytest
import torch
from torch import nn

from spikesink.measures.probes.attention_rows import attention_received
from spikesink.measures.probes.observe import observe
from spikesink.measures.probes.shares import shares
from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.attention import attention_sinks, trained_queries
from spikesink.measures.questions.perplexity import by_document, losses, perplexity
from spikesink.model.softmax import scores_to_weights
from spikesink.model.unnormalised import relu, sigmoid
from spikesink.study.kinds import SOFTMAX

LAYERS, WIDTH, HEADS, HEAD_DIM = 2, 16, 4, 4


def silent(**overrides) -> models.Decoder:
    """A decoder whose blocks add nothing and whose attention is uniform: what is planted is all there is."""
    model = models.decoder(**overrides)
    with torch.no_grad():
        for block in model.blocks:
            for parameter in block.body.parameters():
                parameter.zero_()
    return model


def plant_sink(model: models.Decoder, layer: int, head: int, token: int, strength: float) -> None:
    """Make ``head`` look at keys of ``token`` only: rotation-free channels are those of the lowest frequency.

    Token ``token`` carries channel 0 and every token carries channel 1; the head's query reads channel 1 and its key
    channel 0, both through the slowest rotary pair, so that the score hardly depends on distance.
    """
    attention = model.blocks[2 * layer].body
    slow = head * HEAD_DIM + HEAD_DIM // 2 - 1
    with torch.no_grad():
        model.embedding.weight[:, :2] = 0
        model.embedding.weight[:, 1] = 1
        model.embedding.weight[token, 0] = 1
        attention.q.weight[slow, 1] = strength
        attention.k.weight[slow, 0] = strength


def blank_embeddings(model: models.Decoder) -> None:
    with torch.no_grad():
        model.embedding.weight.zero_()


def test_uniform_attention_gives_the_harmonic_floor():
    """Under uniform causal attention sink_mass = H_T / T, which is 0.074 at T = 64: far below the threshold."""
    rows = attention_sinks(silent(), models.tokens(3, 64), epsilon=0.3, batch_size=2)
    harmonic = sum(1 / t for t in range(1, 65)) / 64
    assert len(rows) == LAYERS * HEADS
    for row in rows:
        assert row["sink_mass"] == pytest.approx(harmonic, rel=1e-4)
        assert row["largest_key_mass"] == pytest.approx(harmonic, rel=1e-4)
        assert row["sink_share"] == row["sink_share_gu"] == 0
        assert row["sink_position"] == 0


@pytest.mark.parametrize("kind", ["sigmoid", "relu"])
def test_weights_that_do_not_sum_to_one_count_in_shares(kind):
    """Sigmoid weights start at 1/2: taken as they are, every key of every head would be a sink (2410.10781)."""
    model = silent()
    facts = model.blocks[0].body.softmax
    for block in model.blocks[::2]:
        block.body.softmax, block.body.scores_to_weights = SOFTMAX[kind], scores_to_weights(kind)
        if kind == "relu":
            block.body.scores_to_weights = lambda scores: relu(scores + 1)  # of equal scores above 0
    harmonic = sum(1 / t for t in range(1, 65)) / 64
    assert not model.blocks[0].body.softmax.bounded and facts.bounded
    for row in attention_sinks(model, models.tokens(3, 64), epsilon=0.3, batch_size=2):
        assert row["sink_mass"] == row["largest_key_mass"] == pytest.approx(harmonic, rel=1e-4)
        assert row["sink_share"] == 0


def test_a_planted_sink_is_found_in_sigmoid_attention_and_a_query_without_weight_gives_none():
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=1, head=2, token=30, strength=30.0)
    body = model.blocks[2].body
    body.softmax, body.scores_to_weights = SOFTMAX["sigmoid"], lambda scores: sigmoid(scores - 8)
    tokens = torch.randint(0, 30, (5, 64), generator=torch.Generator().manual_seed(0))
    tokens[:, 0] = 30
    rows = attention_sinks(model, tokens, epsilon=0.3, batch_size=2)
    assert [(row["layer"], row["head"]) for row in rows if row["sink_share"] > 0] == [(1, 2)]
    weights = torch.tensor([[0.0, 0.0, 0.0], [0.9, 0.9, 0.0], [0.2, 0.1, 0.1]])
    expected = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.25, 0.25]])
    torch.testing.assert_close(shares(body, weights), expected)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_sink_is_that_of_the_whole_map(name):
    """From a few queries at a time, for every kind of attention; and from the later queries alone."""
    model, tokens = models.decoder(**models.VARIANTS[name]), models.tokens(3, 12)
    maps = torch.cat(list(models.attention_maps(model, tokens).values()), dim=1)
    for first in (0, 6):
        alpha = maps[:, :, first:].mean(dim=-2)[..., :6]
        rows = attention_sinks(model, tokens, epsilon=0.3, batch_size=2, chunk=5, first=first)
        found = torch.tensor([[row["sink_mass"], row["largest_key_mass"], row["sink_share"]] for row in rows])
        largest = alpha.amax(dim=-1)
        expected = torch.stack((alpha[..., 0], largest, (largest > 0.3).float()), dim=-1).mean(dim=0)
        torch.testing.assert_close(found, expected)


def test_alpha_divides_by_all_queries():
    """alpha_k = (1/T) sum_t A[t, k], with zeros for the queries before k (Eq 27)."""
    attention = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.2, 0.2, 0.6, 0], [0.1, 0.2, 0.3, 0.4]])
    expected = torch.tensor([1.8, 0.9, 0.9, 0.4]) / 4
    for chunk in (1, 3, 4):
        torch.testing.assert_close(attention_received(in_rows(attention, chunk), 4)[0, 0], expected)


def in_rows(attention: torch.Tensor, chunk: int) -> list[tuple[int, torch.Tensor]]:
    """Rows of one head's map [T, T], as attention_rows yields them."""
    places = range(0, len(attention), chunk)
    return [(first, attention[None, None, first : first + chunk, : first + chunk]) for first in places]


@pytest.mark.parametrize("position", [0, 9])
def test_a_planted_sink_head_is_found_where_it_is(position):
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=1, head=2, token=30, strength=6.0)
    tokens = torch.randint(0, 30, (5, 64), generator=torch.Generator().manual_seed(0))
    tokens[:, position] = 30
    rows = attention_sinks(model, tokens, epsilon=0.3, batch_size=2)
    found = [(row["layer"], row["head"]) for row in rows if row["sink_share"] > 0]
    assert found == [(1, 2)]
    (sink,) = (row for row in rows if (row["layer"], row["head"]) == (1, 2))
    assert sink["block"] == 3
    assert sink["sink_share"] == 1
    assert sink["sink_position"] == position
    assert sink["largest_key_mass"] > 0.8 * (64 - position) / 64
    # Gu et al. count the first token alone.
    assert sink["sink_share_gu"] == (1 if position == 0 else 0)
    # The sink ratio of the model is one head in eight.
    assert sum(row["sink_share"] for row in rows) / len(rows) == 1 / 8


def test_a_sink_in_the_second_half_does_not_count():
    """Eq 28 takes the maximum over k <= T / 2 only."""
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=0, head=0, token=30, strength=6.0)
    tokens = torch.zeros(2, 64, dtype=torch.long)
    tokens[:, 32] = 30
    rows = attention_sinks(model, tokens, epsilon=0.3, batch_size=2)
    assert all(row["sink_share"] == 0 for row in rows)
    tokens = torch.zeros(2, 64, dtype=torch.long)
    tokens[:, 31] = 30
    rows = attention_sinks(model, tokens, epsilon=0.3, batch_size=2)
    assert sum(row["sink_share"] for row in rows) == 1


def test_the_threshold_is_strict_and_a_share_of_sequences():
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=0, head=0, token=30, strength=6.0)
    tokens = torch.zeros(4, 64, dtype=torch.long)
    tokens[:3, 0] = 30
    rows = attention_sinks(model, tokens, epsilon=0.3, batch_size=3)
    assert rows[0]["sink_share"] == 0.75
    exact = rows[1]["sink_mass"]
    again = attention_sinks(model, tokens, epsilon=exact + 1e-6, batch_size=4)
    assert again[1]["sink_share"] == 0
    assert attention_sinks(model, tokens, epsilon=exact - 1e-4, batch_size=4)[1]["sink_share"] == 1


def test_attention_only_counts_all_its_attention_layers():
    rows = attention_sinks(
        silent(feed_forward={"kind": "attention", "width": 20}), models.tokens(2, 8), epsilon=0.3, batch_size=2
    )
    assert [row["block"] for row in rows[::HEADS]] == [1, 2, 3, 4]
    assert [row["layer"] for row in rows[::HEADS]] == [0, 1, 2, 3]


class Plant(nn.Module):
    """A branch that adds ``value`` to one channel of one token."""

    def __init__(self, position: int, channel: int, value: float) -> None:
        super().__init__()
        self.place, self.value = (position, channel), value

    def forward(self, x, context):
        out = torch.zeros_like(x)
        out[:, self.place[0], self.place[1]] = self.value
        return out


def test_a_planted_spike_rises_stays_and_falls():
    model = silent()
    with torch.no_grad():
        model.embedding.weight.fill_(0.5)
    model.blocks[1].body = Plant(3, 7, -900.0)
    model.blocks[3].body = Plant(3, 7, 890.0)
    rows = activations(model, models.tokens(5, 20), batch_size=2)
    assert [row["state"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["kind"] for row in rows] == ["embedding", "attention", "feed_forward", "attention", "feed_forward"]
    assert [row["maximum"] for row in rows] == pytest.approx([0.5, 0.5, 899.5, 899.5, 9.5])
    spike = max(rows, key=lambda row: row["maximum"])
    assert (spike["maximum_position"], spike["maximum_channel"]) == (3, 7)
    assert [round(rows[2][f"top{rank}"], 3) for rank in (1, 2, 3)] == [899.5, 0.5, 0.5]
    assert [row["output_top1"] for row in rows] == [None, 0, 900, 0, 890]
    assert all(row["median"] == row["ordinary_median"] == pytest.approx(0.5) for row in rows)
    assert [row["maximum_token0"] for row in rows] == pytest.approx([0.5] * 5)
    assert [row["maximum_later"] for row in rows] == [row["maximum"] for row in rows]
    token0 = math.sqrt(16 * 0.25)
    assert rows[2]["norm_token0"] == pytest.approx(token0)
    early = (14 * token0 + math.sqrt(15 * 0.25 + 899.5**2)) / 15
    assert rows[2]["norm_early"] == pytest.approx(early)


def test_the_median_is_of_ordinary_tokens():
    """Token 0 and the token of the spike are judged by it: of these four tokens they would make the median 30."""
    model = silent()
    with torch.no_grad():
        model.embedding.weight.fill_(1.0)
        model.embedding.weight[17:19] = 30.0
        model.embedding.weight[18, 5] = -400.0
    tokens = torch.zeros(3, 4, dtype=torch.long)
    tokens[:, 0], tokens[:, 2] = 17, 18
    row = activations(model, tokens, batch_size=2)[0]
    assert (row["ordinary_median"], row["maximum"]) == (1.0, 400.0)
    assert (row["maximum_token0"], row["maximum_later"]) == (30.0, 400.0)
    assert activations(model, tokens[:, :1], batch_size=3)[0]["ordinary_median"] == 30.0, "there is no other token"


@pytest.mark.parametrize(
    ("context", "window", "queries"),
    [
        (64, None, (0, 64)),
        (16, None, (0, 16)),
        (4096, None, (0, 64)),
        (64, (16, 64), (16, 64)),
        (4096, (1024, 4096), (1024, 1088)),
    ],
)
def test_trained_queries_are_the_first_that_count(context, window, queries):
    assert trained_queries(context, window, 64) == queries


def test_a_sink_that_only_later_queries_see_is_one_inside_the_loss_window():
    """A model that was trained on positions 16 and later may have its sink for these queries alone."""
    attention = torch.zeros(64, 64)
    attention[:16, 3], attention[16:, 0] = 1, 1
    for chunk in (5, 16, 64):
        assert attention_received(in_rows(attention, chunk), 64)[0, 0, 0] == 0.75
        assert attention_received(in_rows(attention, chunk), 64, 16)[0, 0, 0] == 1


def test_the_perplexity_of_every_document_is_told_apart():
    model, rows = models.decoder(), models.tokens(4, 9)
    losses_NT = losses(model, rows, batch_size=3)
    documents = torch.tensor([[0] * 8, [0] * 3 + [5] * 5, [5] * 8, [9] * 8])
    found = by_document(losses_NT, documents)
    assert [(row["document"], row["tokens"]) for row in found] == [(0, 11), (5, 13), (9, 8)]
    assert found[1]["nll_nats"] == pytest.approx((losses_NT[1, 3:].sum() + losses_NT[2].sum()).item())


def test_the_maximum_is_taken_over_all_sequences():
    model = silent()
    with torch.no_grad():
        model.embedding.weight.fill_(1.0)
        model.embedding.weight[17, 5] = -40.0
    tokens = torch.zeros(7, 6, dtype=torch.long)
    tokens[5, 4] = 17
    rows = activations(model, tokens, batch_size=3)
    assert rows[0]["maximum"] == 40
    assert (rows[0]["maximum_position"], rows[0]["maximum_channel"]) == (4, 5)
    assert rows[0]["top1"] == pytest.approx((40 + 6 * 1) / 7)


@pytest.mark.parametrize("name", models.VARIANTS)
def test_observing_changes_nothing(name):
    """The last observed stream leads to the model's own logits, for every variant."""
    model = models.decoder(**models.VARIANTS[name])
    tokens = models.tokens()
    seen = list(observe(model, tokens))
    assert len(seen) == 2 * LAYERS + 1
    torch.testing.assert_close(model.norm(seen[-1].stream_BTD) @ model.head_weight.T, model(tokens))


def test_a_uniform_prediction_has_perplexity_of_the_vocabulary():
    model = silent()
    with torch.no_grad():
        model.head_weight.zero_()
    rows = perplexity(model, models.tokens(7, 11), batch_size=3)
    assert [row["position"] for row in rows] == list(range(10))
    assert all(row["tokens"] == 7 for row in rows)
    total = sum(row["nll_nats"] for row in rows) / sum(row["tokens"] for row in rows)
    assert math.exp(total) == pytest.approx(models.VOCABULARY)


def test_likelihood_is_that_of_the_next_token():
    model = models.decoder()
    rows = models.tokens(4, 9)
    logits = model(rows[:, :-1]).log_softmax(-1)
    expected = [-sum(logits[b, t, rows[b, t + 1]].item() for b in range(4)) for t in range(8)]
    measured = [row["nll_nats"] for row in perplexity(model, rows, batch_size=3)]
    assert measured == pytest.approx(expected, rel=1e-5)
