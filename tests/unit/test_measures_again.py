"""The headline measures computed a second time, from the papers' formulas and the plain Llama of plain_llama.py.

A measure that agrees with itself alone could be wrong in hooks, masks, positions or batches without a test noticing.
"""

import math

import models
import plain_llama
import polars as pl
import pytest
import torch
from torch.nn import functional as F

from spikesink.measures.onsets import half_rise
from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.gradients import gradient_sink_ratio, gradients
from spikesink.measures.questions.induction import induction
from spikesink.measures.questions.quantisation import quantisation
from spikesink.measures.questions.retrieval import KEY, PAIRS, distances, planted, retrieval
from spikesink.tables.collecting.measured import sinks, spike
from spikesink.tables.topics import abilities

LAYERS, HEADS, LENGTH = 2, 4, 20


@pytest.fixture(scope="module")
def model():
    """Sharp attention, and a token at position 0 that stands out."""
    model = models.decoder(initialisation={"linear_std": 0.6})
    with torch.no_grad():
        model.embedding.weight[0] *= 30
        for block in model.blocks:
            block.pre_norm.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(3))
    return model


@pytest.fixture(scope="module")
def weights(model):
    return {name: value.detach() for name, value in model.state_dict().items()}


def texts(rows: int = 6, length: int = LENGTH + 1, seed: int = 5) -> torch.Tensor:
    tokens = models.tokens(rows, length, seed) % 30 + 1
    tokens[:, 0] = 0
    return tokens


def again(weights, tokens, product=None) -> plain_llama.Seen:
    return plain_llama.run(weights, tokens, LAYERS, HEADS, product)


def test_the_logits_agree(model, weights):
    torch.testing.assert_close(model(texts()), again(weights, texts()).logits, rtol=1e-4, atol=1e-4)


def test_spike_relative_spike_and_outlier_ratio(model, weights):
    tokens = texts()
    states = again(weights, tokens).states
    height, index = max((state.abs().max().item(), index) for index, state in enumerate(states))
    state = states[index].abs()
    medians = []
    for sequence in state:
        tallest = sequence.amax(dim=1).argmax().item()
        ordinary = [sequence[t] for t in range(LENGTH + 1) if t not in (0, tallest)]
        medians.append(torch.cat(ordinary).median().item())
    first, later = (max(s[:, part].abs().max().item() for s in states) for part in (slice(0, 1), slice(1, None)))
    found = spike(pl.DataFrame(activations(model, tokens, batch_size=4)))
    assert found["spike"] == pytest.approx(height, rel=1e-4)
    assert found["spike_over_median"] == pytest.approx(height / (sum(medians) / len(medians)), rel=1e-4)
    assert found["spike_over_elsewhere"] == pytest.approx(first / later, rel=1e-4)


def test_sink_ratio_and_sink_mass_by_head(model, weights):
    tokens, epsilon = texts(), 0.2
    rows = attention_sinks(model, tokens, epsilon=epsilon, batch_size=4)
    length, above, of_first = LENGTH + 1, 0, []
    for layer, maps in enumerate(again(weights, tokens).maps):
        for head in range(HEADS):
            alpha = [[sum(maps[b, head, t, k] for t in range(k, length)) / length for k in range(length // 2)]
                     for b in range(len(tokens))]  # fmt: skip
            shares = [max(one) > epsilon for one in alpha]
            (row,) = (row for row in rows if (row["layer"], row["head"]) == (layer, head))
            assert row["sink_mass"] == pytest.approx(sum(one[0].item() for one in alpha) / len(alpha), rel=1e-4)
            assert row["sink_share"] == pytest.approx(sum(map(bool, shares)) / len(shares))
            above, of_first = above + sum(map(bool, shares)), [*of_first, row["sink_mass"]]
    heads = pl.DataFrame(rows).with_columns(sink_share_trained="sink_share", sink_mass_trained="sink_mass")
    found = sinks(heads.with_columns(trained_first=0, trained_last=length))
    assert found["sink_ratio"] == pytest.approx(100 * above / (LAYERS * HEADS * len(tokens))) and above > 0
    assert (found["sink_mass_mean"], found["sink_mass_max"]) == (pytest.approx(sum(of_first) / 8), max(of_first))


def ratio(gradient_TD: torch.Tensor, early: int) -> float:
    """Definition 1 for s = 0."""
    norms = gradient_TD.norm(dim=-1)
    return (norms[0] / norms[1 : early + 1].mean()).item()


def test_gradient_sink_and_its_value_under_uniform_attention(model, weights):
    """The gradient at the attention input, by autograd through the plain model; the null from the same gradients that
    come back to the mixtures, with weights 1 / (t + 1) in place of the model's."""
    rows = texts(5)
    found = gradient_sink_ratio(gradients(model, rows, batch_size=2), early=7)
    free = {name: value.clone().requires_grad_() for name, value in weights.items()}
    seen = again(free, rows[:, :-1])
    loss = F.cross_entropy(seen.logits.flatten(0, 1), rows[:, 1:].flatten())
    of_inputs = torch.autograd.grad(loss, seen.inputs, retain_graph=True)
    of_mixtures = torch.autograd.grad(loss, seen.mixtures)
    for layer, row in enumerate(found):
        assert row["ratio"] == pytest.approx(ratio(of_inputs[layer].sum(dim=0), 7), rel=1e-3)
        norms = of_inputs[layer].norm(dim=-1).sum(dim=0)
        assert row["ratio_per_sequence"] == pytest.approx((norms[0] / norms[1:8].mean()).item(), rel=1e-3)
        g = of_mixtures[layer].sum(dim=0)
        of_values = torch.stack([sum(g[t] / (t + 1) for t in range(s, LENGTH)) for s in range(LENGTH)])
        null = ratio(of_values @ weights[f"blocks.{2 * layer}.body.v.weight"], 7)
        assert row["ratio_uniform"] == pytest.approx(null, rel=1e-3)
        assert row["over_uniform"] == pytest.approx(row["ratio"] / row["ratio_uniform"])


def test_induction(model, weights):
    """A start token, seven random tokens, the same seven: the loss of the second copy's tokens 2 to 7."""
    copy = torch.stack([torch.randperm(30, generator=torch.Generator().manual_seed(s))[:7] + 1 for s in range(6)])
    rows = torch.cat((torch.zeros(6, 1, dtype=torch.long), copy, copy), dim=1)
    log_p = again(weights, rows).logits.log_softmax(-1)
    losses = [-log_p[torch.arange(6), place - 1, rows[:, place]] for place in range(15)]
    right = [log_p[:, place - 1].argmax(-1) == rows[:, place] for place in range(15)]
    first, second = range(2, 8), range(9, 15)
    found = abilities.induction(pl.DataFrame(induction(model, rows, starts=True, batch_size=4)))
    gain = torch.stack([losses[p] for p in first]).mean() - torch.stack([losses[p] for p in second]).mean()
    assert found["induction_gain"] == pytest.approx(gain.item(), rel=1e-4)
    assert found["induction_accuracy"] == pytest.approx(100 * torch.stack([right[p] for p in second]).float().mean())


def test_retrieval(model, weights):
    """Every sequence is rebuilt by its definition: key and value before each distance, one key again at the end."""
    hay, ordinary = texts(8, LENGTH), torch.arange(1, 31)
    (table,) = [pl.DataFrame(retrieval(model, hay, ordinary, batch_size=3, seeds=1))]
    drawn = torch.rand(8, 30, generator=torch.Generator().manual_seed(0)).topk(PAIRS * (KEY + 1), dim=1).indices + 1
    keys, values = drawn[:, : PAIRS * KEY].view(8, PAIRS, KEY), drawn[:, PAIRS * KEY :]
    chosen = []
    for asked, distance in enumerate(distances(LENGTH)):
        rows = hay.clone()
        for pair, other in enumerate(distances(LENGTH)):
            rows[:, LENGTH - other] = values[:, pair]
            rows[:, LENGTH - other - KEY : LENGTH - other] = keys[:, pair]
        rows[:, -KEY:] = keys[:, asked]
        log_p = again(weights, rows).logits[:, -1].log_softmax(-1).gather(1, values)
        row = table.row(asked, named=True)
        assert row["distance"] == distance
        assert row["log_probability"] == pytest.approx(log_p[:, asked].mean().item(), rel=1e-4)
        chosen.append((log_p.argmax(1) == asked).sum().item())
    assert table["chosen"].to_list() == chosen
    assert torch.equal(planted(hay, keys, values)[:, 0], hay[:, 0]), "the start token stays"


def perplexity(weights, rows, product=None) -> float:
    logits = again(weights, rows[:, :-1], product).logits
    return math.exp(F.cross_entropy(logits.flatten(0, 1).double(), rows[:, 1:].flatten()).item())


def inputs_of(weights, tokens) -> dict[str, torch.Tensor]:
    """What enters every matrix inside the blocks: [tokens, inputs] by name."""
    found = {}

    def product(name, x):
        found[name] = x.flatten(0, 1)
        return x @ weights[name].T

    again(weights, tokens, product)
    return found


def nearest_4_bits(weight: torch.Tensor) -> torch.Tensor:
    """Per output 15 steps from the smallest to the largest weight, 0 among the levels: a group is 128 inputs."""
    low, high = weight.amin(1, keepdim=True).clamp(max=0), weight.amax(1, keepdim=True).clamp(min=0)
    step = (high - low) / 15
    zero = torch.round(-low / step)
    return step * ((torch.round(weight / step) + zero).clamp(0, 15) - zero)


def by_awq(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The least output error of 20 powers of the inputs' mean magnitude (2306.00978 Eq 5)."""
    mean = x.abs().mean(0)
    tried = []
    for step in range(20):
        scale = (mean / mean.max()).clamp(min=1e-4) ** (step / 20)
        scale = scale / (scale.max() * scale.min()).sqrt()
        changed = nearest_4_bits(weight * scale) / scale
        tried.append(((x @ (changed - weight).T).pow(2).sum().item(), step, changed))
    return min(tried)[2]


def by_obq(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Optimal Brain Quantisation input by input, as the paper of GPTQ begins (2210.17323 Eq 2 and 3)."""
    hessian = x.double().T @ x.double()
    hessian += 0.01 * hessian.diagonal().mean() * torch.eye(len(hessian))
    left, found = weight.double().clone(), torch.empty_like(weight.double())
    low, high = weight.amin(1).clamp(max=0).double(), weight.amax(1).clamp(min=0).double()
    step = (high - low) / 15
    zero = torch.round(-low / step)
    for i in range(weight.shape[1]):
        inverse = torch.linalg.inv(hessian[i:, i:])
        found[:, i] = step * ((torch.round(left[:, i] / step) + zero).clamp(0, 15) - zero)
        left[:, i:] -= ((left[:, i] - found[:, i]) / inverse[0, 0])[:, None] * inverse[0]
    return found.float()


@pytest.fixture(scope="module")
def found(model):
    """The perplexity of every setting: four rows calibrate, five are scored."""
    table = quantisation(model, texts(9), batch_size=4, calibration_sequences=4)
    return {row["setting"]: row["perplexity"] for row in table}


SCORED, CALIBRATION = texts(9)[4:], texts(9)[:4, :-1]


def test_weights_of_four_bits(found, weights):
    """Round to nearest, AWQ on the inputs of the whole model, GPTQ on those that the blocks before give by then."""
    matrices = inputs_of(weights, CALIBRATION)
    assert found["full_precision"] == pytest.approx(perplexity(weights, SCORED), rel=1e-4)
    nearest = {name: nearest_4_bits(weights[name]) for name in matrices}
    assert found["round_to_nearest"] == pytest.approx(perplexity(weights | nearest, SCORED), rel=1e-4)
    awq = {name: by_awq(weights[name], x) for name, x in matrices.items()}
    assert found["awq"] == pytest.approx(perplexity(weights | awq, SCORED), rel=1e-4)
    gptq = dict(weights)
    for block in range(2 * LAYERS):
        seen = inputs_of(gptq, CALIBRATION)
        own = [name for name in matrices if name.startswith(f"blocks.{block}.")]
        gptq |= {name: by_obq(weights[name], seen[name]) for name in own}
    assert found["gptq"] == pytest.approx(perplexity(gptq, SCORED), rel=1e-3)


def eight_bits(x: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
    step = largest / 127
    return (x / step).round().clamp(-127, 127) * step


def test_weights_and_inputs_of_eight_bits(found, weights):
    """A range per output of a matrix; for inputs one per token, one per matrix, or one per token after SmoothQuant."""
    seen = inputs_of(weights, CALIBRATION)

    def row(x):
        return x.abs().amax(-1, keepdim=True)

    def per_token(name, x):
        return eight_bits(x, row(x)) @ eight_bits(weights[name], row(weights[name])).T

    def static(name, x):
        return eight_bits(x, seen[name].abs().max()) @ eight_bits(weights[name], row(weights[name])).T

    def smoothed(name, x):
        block, matrix = name.removesuffix(".weight").rsplit(".", 1)
        readers = next((group for group in ("qkv", ("gate", "up")) if matrix in group), None)
        if readers is None:  # the output and down projections are left as they are
            return per_token(name, x)
        largest = torch.stack([weights[f"{block}.{one}.weight"].abs().amax(0) for one in readers]).amax(0)
        scale = (seen[name].abs().amax(0) / largest).sqrt()
        weight = weights[name] * scale
        return eight_bits(x / scale, row(x / scale)) @ eight_bits(weight, row(weight)).T

    assert found["dynamic_per_token"] == pytest.approx(perplexity(weights, SCORED, per_token), rel=1e-4)
    assert found["static_per_tensor"] == pytest.approx(perplexity(weights, SCORED, static), rel=1e-4)
    assert found["smoothquant"] == pytest.approx(perplexity(weights, SCORED, smoothed), rel=1e-4)
    assert len({round(value, 4) for value in found.values()}) == 8, "every setting gives another perplexity"


def test_half_a_rise_is_read_off_the_course():
    course = {1: 0.1, 2: 0.15, 4: 0.29, 8: 0.32, 16: 0.5}
    assert half_rise(course, 0.1) == {"rest": 0.1, "final": 0.5, "half": 0.3, "after": 4, "by": 8}
    assert half_rise(course, None)["half"] == pytest.approx(0.3)
    assert half_rise(course, 0.45)["by"] is None, "from 0.45 to 0.5 is no rise of a quarter"
