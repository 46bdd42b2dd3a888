"""A planted quadratic amplifier is found with its strength, direction and quality; U_k agrees with its definition."""

import models
import planted_spikes
import pytest
import torch
from planted_spikes import CHANNEL, D_MODEL, amplified, direction, plant_amplifier, silent
from torch.nn import functional as F

from spikesink.measures.probes.amplifier import amplifier_of, leading_direction, symmetric_form
from spikesink.measures.probes.spikes import SpikeRule
from spikesink.measures.questions.alignment import amplifier_alignment, determination, relative_error, silu_identity
from spikesink.measures.questions.amplifier import amplifier_norms, amplifier_spectrum, kept_ranks

RULE = SpikeRule(ratio=100)


def with_gains(name: str, seed: int = 0) -> models.Decoder:
    """A variant with norm gains that are not 1."""
    model = models.decoder(**models.VARIANTS[name])
    with torch.no_grad():
        for parameter in model.blocks.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(seed))
    return model


def explicit_form(block, channel: int) -> torch.Tensor:
    """U_k = sum_i Wd[k, i] Wg[i] Wu[i]^T, term by term, with the gain folded in."""
    body, gain = block.body, getattr(block.pre_norm, "weight", torch.ones(D_MODEL))
    terms = zip(body.gate.weight * gain, body.up.weight * gain, body.down.weight[channel], strict=True)
    return sum(weight * torch.outer(gate, up) for gate, up, weight in terms)


@pytest.mark.parametrize("chunk", [3, 1024])
@pytest.mark.parametrize("name", ["baseline", "sandwich", "sandwich_qk", "dyt"])
def test_norms_are_those_of_the_explicit_sum(name, chunk):
    model = with_gains(name)
    rows = amplifier_norms(model, chunk=chunk)
    assert [(row["block"], row["channel"]) for row in rows] == [(b, k) for b in (2, 4) for k in range(D_MODEL)]
    for row in rows:
        explicit = explicit_form(model.blocks[row["block"] - 1], row["channel"]).norm().item()
        assert row["norm"] == pytest.approx(explicit, rel=1e-4)


@pytest.mark.parametrize("name", ["baseline", "sandwich", "sandwich_qk", "dyt"])
def test_the_form_of_the_normalised_input_is_the_branch_without_silu(name):
    """h^T S_k h with the gain folded in is channel k of Wd (Wg x * Wu x) with x the pre-norm's output."""
    model = with_gains(name)
    block, h = model.blocks[1], 3 * torch.randn(7, D_MODEL, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x, ungained = block.pre_norm(h), block.pre_norm.before_gain(h)
        body = block.body
        expected = body.down(body.gate(x) * body.up(x))[:, 5]
        form = symmetric_form(amplifier_of(block), 5)
    torch.testing.assert_close(torch.einsum("ti,ij,tj->t", ungained, form, ungained), expected, rtol=1e-4, atol=1e-4)
    if name in ("baseline", "sandwich"):
        torch.testing.assert_close(ungained.norm(dim=-1), torch.full((7,), D_MODEL**0.5), rtol=1e-4, atol=0)


@pytest.mark.parametrize("strength", [50.0, -50.0])
def test_a_planted_amplifiers_spectrum_is_one_eigenvalue(strength):
    """Of either sign; the other channels of the block have nothing."""
    tokens = models.tokens(4, 10) % 20 + 1
    tokens[:, 0] = 0
    rows = amplifier_spectrum(amplified([0], strength=strength), tokens, rule=RULE)
    assert {(row["block"], row["role"], row["width"]) for row in rows} == {(2, "step_up", D_MODEL)}
    by_group = {group: [row for row in rows if row["group"] == group] for group in ("spike", "ordinary")}
    assert {row["channel"] for row in by_group["spike"]} == {CHANNEL}
    # Sixteen ranks of one spike channel and of one other, from the middle of the fifteen.
    assert {row["channel"] for row in by_group["ordinary"]} == {8} and len(rows) == 2 * D_MODEL
    values = [row["eigenvalue"] for row in by_group["spike"]]
    assert [row["rank"] for row in by_group["spike"]] == list(range(D_MODEL)) and values == sorted(values)
    assert values[0 if strength < 0 else -1] == pytest.approx(strength, rel=1e-5)
    assert sum(abs(value) > 1e-3 for value in values) == 1
    assert all(row["eigenvalue"] == 0 for row in by_group["ordinary"])


def test_the_leading_direction_is_that_of_the_largest_magnitude():
    """S = 50 s s^T - 60 r r^T with s and r orthogonal: the negative one leads."""
    model, s = silent(), direction()
    r = direction(seed=5)
    r = F.normalize(r - (r @ s) * s, dim=0)
    plant_amplifier(model, 2, s, CHANNEL, 50.0)
    body = model.blocks[1].body
    with torch.no_grad():
        body.gate.weight[1] = body.up.weight[1] = planted_spikes.SHARP * r / planted_spikes.GAIN
        body.down.weight[CHANNEL, 1] = -60 / planted_spikes.SHARP**2
        leading = leading_direction(amplifier_of(model.blocks[1]), CHANNEL)
    assert (leading.eigenvalue, leading.second) == pytest.approx((-60, 50), rel=1e-5)
    assert abs(leading.vector_D @ r) == pytest.approx(1, abs=1e-5)
    assert leading.cosine(-3 * leading.vector_D) == pytest.approx(-1, abs=1e-5)


def test_both_steps_have_a_spectrum():
    tokens = models.tokens(4, 10) % 20 + 1
    tokens[:, 0] = 0
    rows = amplifier_spectrum(amplified([0], down=-49.0), tokens, rule=RULE)
    extreme = {row["role"]: row["eigenvalue"] for row in rows if row["group"] == "spike" and abs(row["eigenvalue"]) > 1}
    assert extreme == pytest.approx({"step_up": 50, "step_down": -49}, rel=1e-5)


def test_kept_ranks_are_the_extremes_and_some_between():
    assert kept_ranks(10, 3, 4) == list(range(10))
    assert kept_ranks(100, 2, 4) == [0, 1, 14, 38, 62, 86, 98, 99]


def test_spike_tokens_meet_a_planted_amplifier_head_on():
    """lambda d cos^2 = 50 x 16 on tokens along s; 0 on tokens across; opposed tokens, which SiLU silences, are where
    the quadratic form is wrong."""
    model = amplified([0], opposed=[29])
    tokens = models.tokens(4, 10) % 20 + 1
    tokens[:, 0], tokens[:, 5] = 0, 29
    rows = {row["group"]: row for row in amplifier_alignment(model, tokens, rule=RULE, batch_size=3)}
    assert {name: row["tokens"] for name, row in rows.items()} == {"spike": 4, "other": 36, "all": 40}
    for row in rows.values():
        assert (row["block"], row["role"], row["channel"]) == (2, "step_up", CHANNEL)
        assert row["eigenvalue"] == pytest.approx(50, rel=1e-5) and row["second"] == pytest.approx(0, abs=1e-3)
    spike, other, whole = rows["spike"], rows["other"], rows["all"]
    assert spike["cosine"] == pytest.approx(1, abs=1e-5)
    assert [spike[name] for name in ("output", "quadratic", "rank_one")] == pytest.approx([800] * 3, rel=1e-4)
    assert spike["error_rank_one"] < 1e-4 and spike["r2_rank_one"] is None
    assert other["cosine"] == pytest.approx(-4 / 36, abs=1e-5)
    assert other["cosine_absolute"] == pytest.approx(4 / 36, abs=1e-5)
    assert other["output"] == pytest.approx(0, abs=1e-4) and other["rank_one"] == pytest.approx(800 * 4 / 36, rel=1e-4)
    # Four outputs of 800 and as many errors of 800.
    assert whole["error_quadratic"] == pytest.approx(1, rel=1e-3)
    assert whole["r2_rank_one"] == pytest.approx(1 - 4 / (4 * (1 - 0.1)), rel=1e-3)


def test_without_opposed_tokens_the_approximation_is_exact():
    tokens = models.tokens(4, 10) % 20 + 1
    tokens[:, 0] = 0
    rows = amplifier_alignment(amplified([0]), tokens, rule=RULE)
    (whole,) = (row for row in rows if row["group"] == "all")
    assert whole["error_rank_one"] < 1e-4
    assert whole["r2_rank_one"] == pytest.approx(1, abs=1e-4) and whole["r2_quadratic"] == pytest.approx(1, abs=1e-4)


def test_the_true_output_is_the_branchs():
    """Mean output over all tokens, from the folded weights, against the model's own forward pass."""
    model, tokens = with_gains("baseline"), models.tokens(3, 8)
    rows = amplifier_alignment(model, tokens, rule=SpikeRule(0, 2), batch_size=2)
    with torch.no_grad():
        h = model.embedding(tokens)
        context, outputs = model.context(h), {}
        for number, block in enumerate(model.blocks, start=1):
            outputs[number] = block.body(block.pre_norm(h), context)
            h = block(h, context)
    checked = [row for row in rows if row["group"] == "all"]
    assert checked
    for row in checked:
        assert row["output"] == pytest.approx(outputs[row["block"]][..., row["channel"]].mean().item(), rel=1e-3)


def test_quality_is_zero_error_for_the_truth_and_zero_r2_for_its_mean():
    truth = torch.tensor([1.0, 2.0, 3.0])
    assert relative_error(truth, truth) == 0 and determination(truth, truth) == 1
    assert determination(torch.full((3,), 2.0), truth) == 0
    assert relative_error(torch.tensor([2.0, 2.0, 1.0]), truth) == pytest.approx(3 / 6)
    assert determination(truth[:1].expand(3), truth[:1].expand(3)) is None


def test_silu_is_the_identity_on_tokens_along_the_direction():
    """Pre-activations of + 200 and - 200 in the only hidden channel: kept whole, or lost."""
    model = amplified([0], opposed=[29])
    tokens = models.tokens(4, 10) % 20 + 1
    tokens[:, 0], tokens[:, 5] = 0, 29
    rows = silu_identity(model, tokens, rule=RULE, batch_size=3)
    assert len(rows) == 40 and {(row["block"], row["role"]) for row in rows} == {(2, "step_up")}
    for row in rows:
        assert row["token_id"] == tokens[row["sequence"], row["position"]]
        assert row["group"] == ("spike" if row["position"] == 0 else "other")
        if row["position"] == 0:
            assert (row["cosine"], row["norm_ratio"]) == pytest.approx((1, 1), abs=1e-6)
            assert row["output_maximum"] == pytest.approx(800, rel=1e-4)
        elif row["position"] == 5:
            assert row["norm_ratio"] == pytest.approx(0, abs=1e-6) and row["output_maximum"] == pytest.approx(0)


def test_silu_halves_small_inputs():
    """Near 0 silu(x) ~ x / 2, so the ratio is what tells identity from it: the cosine is near 1 in both."""
    model = amplified([0])
    with torch.no_grad():
        model.blocks[1].body.gate.weight[1:] = 1e-4 * torch.randn(19, D_MODEL)
    tokens = models.tokens(4, 10) % 20 + 1
    tokens[:, 0] = 0
    others = [row for row in silu_identity(model, tokens, rule=RULE) if row["group"] == "other"]
    assert all(row["norm_ratio"] == pytest.approx(0.5, abs=1e-3) and row["cosine"] > 0.999 for row in others)


def test_of_other_tokens_only_some_are_kept():
    tokens = models.tokens(4, 10) % 20 + 1
    tokens[:, 0] = 0
    rows = silu_identity(amplified([0]), tokens, rule=RULE, others=9)
    assert [row["group"] for row in rows].count("spike") == 4 and len(rows) == 13
    assert {row["sequence"] for row in rows} == {0, 1, 2, 3}


def test_without_spikes_the_strongest_block_is_shown_and_says_so():
    model = models.decoder()
    tokens = models.tokens(3, 8)
    rows = amplifier_alignment(model, tokens)
    assert {row["role"] for row in rows} == {"no_spike"} and len({row["block"] for row in rows}) == 1
    assert {row["group"] for row in rows} == {"leading", "other", "all"}
    assert {row["tokens"] for row in rows if row["group"] == "leading"} == {3}
    spectrum = amplifier_spectrum(model, tokens)
    assert {row["group"] for row in spectrum} == {"leading", "ordinary"} and len(spectrum) == 6 * D_MODEL
    assert sum(row["group"] == "leading" for row in silu_identity(model, tokens)) == 3


def test_a_group_without_tokens_has_no_row():
    """Where every token spikes there are no others: no row, and no mean of nothing."""
    rows = amplifier_alignment(amplified([0]), torch.zeros(3, 8, dtype=torch.long), rule=RULE)
    assert {row["group"]: row["tokens"] for row in rows} == {"spike": 24, "all": 24}


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_can_be_asked(name):
    """SwiGLU and GeGLU blocks give rows, other feed-forward branches none."""
    model, tokens = models.decoder(**models.VARIANTS[name]), models.tokens(3, 8)
    rule = SpikeRule(0, 2)
    tables = [
        amplifier_norms(model),
        amplifier_spectrum(model, tokens, rule=rule),
        amplifier_alignment(model, tokens, rule=rule),
        silu_identity(model, tokens, rule=rule),
    ]
    assert all(bool(table) == (model.settings.feed_forward.kind in ("swiglu", "geglu")) for table in tables)
