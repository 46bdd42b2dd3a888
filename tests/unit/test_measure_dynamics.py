"""Onsets by half-rise and their order from planted courses, and the table that they are read from."""

import models
import pytest
import torch
from gradient_plant import planted, rows_of

from spikesink.measures.onsets import onsets, orders
from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.dynamics import snapshot_summary
from spikesink.measures.questions.gradients import gradient_sink_ratio, gradients

STEPS = [5, 10, 20, 30, 40]
SPIKE = "token0_over_early"


def course(head: int = 0, block: int = 3, **quantities: list[float]) -> list[dict]:
    """Rows of one head; quantities that are not given stay at rest."""
    rest = {"sink_mass": 0.1, "gradient_sink_over_uniform": 1.0, "token0_over_early": 1.0}
    return [
        {"step": step, "block": block, "layer": block // 2, "head": head, "sink_mass_uniform": 0.1}
        | {name: quantities[name][i] if name in quantities else value for name, value in rest.items()}
        for i, step in enumerate(STEPS)
    ]


def found_for(rows: list[dict], quantity: str, block: int | None = None) -> dict:
    (row,) = (row for row in rows if row["quantity"] == quantity and row["block"] == block)
    return row


def test_an_onset_is_half_way_from_rest_to_the_end_between_two_snapshots():
    """Rest is the null of sink and gradient sink, whatever the first snapshot shows, and the start of the spike."""
    table = course(
        sink_mass=[0.05, 0.1, 0.2, 0.4, 0.5],
        gradient_sink_over_uniform=[1.5, 2.4, 2.6, 3.5, 4.0],
        token0_over_early=[2.0, 2.0, 5.0, 7.0, 8.0],
    )
    rows = onsets(table[::-1])
    for quantity, half, after, by in (
        ("sink_mass", 0.3, 20, 30),
        ("gradient_sink_over_uniform", 2.5, 10, 20),
        ("token0_over_early", 5.0, 20, 30),
    ):
        for block in (None, 3):
            row = found_for(rows, quantity, block)
            assert row["half"] == pytest.approx(half)
            assert (row["after"], row["by"]) == (after, by), quantity
    assert found_for(rows, "sink_mass", 3)["layer"] == 1


def test_what_does_not_rise_has_no_onset_and_what_was_there_has_it_before_the_first_snapshot():
    """A fixed threshold would call a course that starts above it, or wobbles at rest, an onset."""
    rows = onsets(course(sink_mass=[0.1, 0.12, 0.11, 0.1, 0.12], token0_over_early=[3.0, 2.0, 1.0, 1.0, 1.0]))
    for quantity in ("sink_mass", "gradient_sink_over_uniform", "token0_over_early"):
        row = found_for(rows, quantity)
        assert row["after"] is row["by"] is None
    early = found_for(onsets(course(sink_mass=[0.4, 0.5, 0.5, 0.5, 0.5])), "sink_mass")
    assert (early["after"], early["by"]) == (0, STEPS[0])
    assert onsets([]) == orders([]) == []


def test_a_course_that_falls_back_widens_its_onset():
    """First above half after 10, for good from 40: it cannot be ordered against one in between."""
    table = course(
        sink_mass=[0.1, 0.1, 0.4, 0.2, 0.5],
        gradient_sink_over_uniform=[1.0, 1.0, 1.0, 4.0, 4.0],
    )
    rows = onsets(table)
    assert (found_for(rows, "sink_mass")["after"], found_for(rows, "sink_mass")["by"]) == (10, 40)
    pair = orders(rows)[0]
    assert (pair["earlier"], pair["later"]) == ("sink_mass", "gradient_sink_over_uniform")
    assert (pair["order"], pair["undecided"]) == (0, True)


def test_onsets_are_ordered_where_a_snapshot_separates_them_and_only_there():
    table = course(
        sink_mass=[0.1, 0.5, 0.5, 0.5, 0.5],
        gradient_sink_over_uniform=[1.0, 1.0, 9.0, 9.0, 9.0],
        token0_over_early=[1.0, 1.0, 9.0, 9.0, 9.0],
    )
    names = ("earlier", "later", "order", "undecided")
    whole = [tuple(row[name] for name in names) for row in orders(onsets(table)) if row["block"] is None]
    sink, gradient, spike = "sink_mass", "gradient_sink_over_uniform", "token0_over_early"
    assert whole == [(sink, gradient, 1, False), (sink, spike, 1, False), (gradient, spike, 0, True)]
    # The same courses, exchanged: the sink comes last.
    late = course(
        sink_mass=[0.1, 0.1, 0.5, 0.5, 0.5],
        gradient_sink_over_uniform=[1.0, 9.0, 9.0, 9.0, 9.0],
    )
    whole = [row for row in orders(onsets(late)) if row["block"] is None]
    assert [row["order"] for row in whole] == [-1, None, None]
    assert [row["undecided"] for row in whole] == [False, None, None]


def test_denser_snapshots_order_what_sparse_ones_cannot():
    """Sink at step 12, spike at step 18 of the same run: undecided with a snapshot every 10 steps, decided every 2."""

    def orders_at(steps: list[int]) -> list[int | None]:
        table = [
            {"step": step, "block": 1, "layer": 0, "head": 0, "sink_mass_uniform": 0.1}
            | {"sink_mass": 0.5 if step >= 12 else 0.1, "gradient_sink_over_uniform": 1.0}
            | {"token0_over_early": 9.0 if step >= 18 else 1.0}
            for step in steps
        ]
        return [row["order"] for row in orders(onsets(table)) if row["block"] is None and row["later"] == SPIKE]

    assert orders_at([0, 10, 20, 30])[0] == 0
    assert orders_at(list(range(0, 31, 2)))[0] == 1


def test_the_models_course_is_that_of_its_tables():
    """Mean over heads and blocks of sink mass, median over blocks of the gradient sink: one head is not the model."""
    table = course(head=0, sink_mass=[0.1, 0.1, 0.9, 0.9, 0.9]) + course(head=1)
    table += course(block=1, gradient_sink_over_uniform=[1.0, 1.0, 1.0, 1.0, 9.0])
    table += course(block=5, gradient_sink_over_uniform=[1.0, 1.0, 5.0, 5.0, 5.0])
    rows = onsets(table)
    assert found_for(rows, "sink_mass", 3)["final"] == pytest.approx(0.5)
    assert found_for(rows, "sink_mass")["final"] == pytest.approx((0.5 + 0.1 + 0.1) / 3)
    assert found_for(rows, "gradient_sink_over_uniform")["final"] == 5.0


def test_every_block_rises_from_its_own_null():
    """A window hides key 0 from later queries, so that uniform attention gives it less there."""
    rising = [0.1, 0.1, 0.5, 0.5, 0.5]
    windowed = [row | {"sink_mass_uniform": 0.3} for row in course(block=3, sink_mass=rising)]
    rows = onsets(course(block=1, sink_mass=rising) + windowed)
    found = [found_for(rows, "sink_mass", block)["rest"] for block in (1, 3, None)]
    assert found == pytest.approx([0.1, 0.3, 0.2])


@pytest.mark.parametrize(
    ("name", "seen"),
    [("baseline", range(1, 9)), ("windows", range(1, 6)), ("softmax1", range(2, 10)), ("key_bias", range(2, 10))],
)
def test_the_null_of_the_sink_mass_is_that_of_uniform_attention(name, seen):
    """With queries at zero attention is uniform over the keys that are seen: in block 1 one in so many, by query."""
    model = models.decoder(**models.VARIANTS[name])
    with torch.no_grad():
        for block in model.blocks[::2]:
            block.body.q.weight.zero_()
    table = snapshot_summary(model, models.tokens(2, 9), step=0)
    assert table[0]["sink_mass_uniform"] == pytest.approx(sum(1 / keys for keys in seen) / 8)
    for row in table:
        assert row["sink_mass"] == pytest.approx(row["sink_mass_uniform"])


def test_a_summary_holds_the_measures_that_it_shortens():
    """Every column as the full measure has it, for a model with two attention branches per layer too."""
    for name in ("baseline", "attention_only"):
        model = models.decoder(**models.VARIANTS[name])
        rows = models.tokens(5, 17)
        table = snapshot_summary(model, rows, step=70, early=9, batch_size=2)
        sinks = {
            (row["block"], row["head"]): row for row in attention_sinks(model, rows[:, :-1], epsilon=0.3, batch_size=5)
        }
        ratios = {row["block"]: row for row in gradient_sink_ratio(gradients(model, rows), early=9)}
        firsts = {row["block"]: row for row in gradients(model, rows) if row["position"] == 0}
        states = {row["state"]: row for row in activations(model, rows[:, :-1], batch_size=5)}
        assert len(table) == len(sinks)
        for row in table:
            block = row["block"]
            after = states[2 * ((block + 1) // 2)]
            assert row["step"] == 70
            assert row["layer"] == sinks[block, row["head"]]["layer"]
            expected = {
                "sink_mass": sinks[block, row["head"]]["sink_mass"],
                "sink_mass_uniform": sum(1 / t for t in range(1, 17)) / 16,
                "gradient_sink_ratio": ratios[block]["ratio"],
                "gradient_sink_ratio_per_sequence": ratios[block]["ratio_per_sequence"],
                "gradient_sink_over_uniform": ratios[block]["over_uniform"],
                "value_gradient_token0": firsts[block]["value"],
                "value_gradient_token0_per_sequence": firsts[block]["value_per_sequence"],
                "stream_token0": after["norm_token0"],
                "stream_early": after["norm_early"],
                "token0_over_early": after["norm_token0"] / after["norm_early"],
                "top1": after["top1"],
            }
            for column, value in expected.items():
                assert row[column] == pytest.approx(value, rel=1e-3), column


def test_a_planted_logit_gap_is_found():
    """Every query scores key 0 by 6 / sqrt(4) above all others, through the slowest rotary pair."""
    model = planted(layers=1)
    attention = model.blocks[0].body
    with torch.no_grad():
        model.embedding.weight.zero_()
        model.embedding.weight[:, 1] = 1.0
        model.embedding.weight[5, 0] = 1.0
        attention.q.weight[4 + 1, 1] = 1.0
        attention.k.weight[4 + 1, 0] = 1.0
        rms_other = (1 / 16 + 1e-5) ** 0.5
        rms_first = (2 / 16 + 1e-5) ** 0.5
        attention.q.weight[4 + 1] *= 6 * rms_other * rms_first
    table = snapshot_summary(model, rows_of([5, 5], [7, 7], 10), step=0)
    gaps = [row["logit_gap"] for row in table]
    assert gaps[1] == pytest.approx(6 / 2, rel=5e-3)  # the slowest pair turns by up to 0.1 over ten positions
    assert gaps[0] == gaps[2] == gaps[3] == 0
    assert table[1]["sink_mass"] > table[0]["sink_mass"]


@pytest.mark.parametrize("name", models.VARIANTS)
def test_every_variant_has_a_summary_per_head(name):
    model = models.decoder(**models.VARIANTS[name])
    table = snapshot_summary(model, models.tokens(2, 9), step=1)
    branches = 4 if model.settings.feed_forward.kind == "attention" else 2
    assert len(table) == branches * model.settings.attention.heads
    assert all(isinstance(value, int | float) for row in table for value in row.values())
