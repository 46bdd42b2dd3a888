"""Onsets: first steps from which quantities stay above thresholds, their order, and the table they are read from."""

import models
import pytest
import torch
from gradient_plant import planted, rows_of

from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.dynamics import THRESHOLDS, onset, onsets, snapshot_summary
from spikesink.measures.questions.gradients import gradient_sink_ratio, gradients

STEPS = [0, 10, 20, 30, 40]


def test_an_onset_lasts_to_the_end_of_the_run():
    """A peak that falls again is none, and the first value can be one."""
    assert onset(STEPS, [0, 5, 0, 5, 5], 1) == 30
    assert onset(STEPS, [5, 5, 5, 5, 5], 1) == 0
    assert onset(STEPS, [0, 5, 5, 5, 0], 1) is None
    assert onset(STEPS, [0, 0, 0, 0, 5], 1) == 40
    assert onset([40, 0, 30, 10, 20], [5, 0, 5, 5, 0], 1) == 30
    assert onset([], [], 1) is None


def test_an_onset_with_patience_lasts_that_many_snapshots_all_of_them_seen():
    assert onset(STEPS, [0, 5, 5, 0, 5], 1, patience=2) == 10
    assert onset(STEPS, [0, 5, 0, 5, 5], 1, patience=2) == 30
    assert onset(STEPS, [0, 5, 0, 0, 5], 1, patience=2) is None
    assert onset(STEPS, [0, 5, 0, 0, 5], 1, patience=1) == 10


def test_the_threshold_is_strict_and_a_missing_value_is_not_above_it():
    assert onset(STEPS, [0, 1, 1, 1, 2], 1) == 40
    assert onset(STEPS, [0, 2, None, 2, 2], 1) == 30


def course(head: int, **quantities: list[float]) -> list[dict]:
    return [
        {"step": step, "block": 3, "layer": 1, "head": head, **{name: values[i] for name, values in quantities.items()}}
        for i, step in enumerate(STEPS)
    ]


def test_the_order_of_onsets_is_told_head_by_head():
    table = course(
        0,
        sink_mass=[0.1, 0.4, 0.4, 0.4, 0.5],
        gradient_sink_ratio=[2.0, 2.0, 9.0, 9.0, 9.0],
        token0_over_early=[1.0, 1.0, 1.0, 8.0, 9.0],
    ) + course(
        1,
        sink_mass=[0.1, 0.1, 0.1, 0.1, 0.1],
        gradient_sink_ratio=[2.0, 2.0, 9.0, 9.0, 9.0],
        token0_over_early=[1.0, 1.0, 8.0, 8.0, 9.0],
    )
    found = onsets(table[::-1])
    assert [row["quantity"] for row in found[:3]] == list(THRESHOLDS)
    first, second = ([row for row in found if row["head"] == head] for head in (0, 1))
    assert [(row["onset"], row["rank"]) for row in first] == [(10, 1), (20, 2), (30, 3)]
    assert {row["order"] for row in first} == {"sink_mass < gradient_sink_ratio < token0_over_early"}
    assert [(row["onset"], row["rank"]) for row in second] == [(None, None), (20, 1), (20, 1)]
    assert {row["order"] for row in second} == {"gradient_sink_ratio = token0_over_early"}
    assert {(row["block"], row["layer"]) for row in found} == {(3, 1)}
    chosen = onsets(table, thresholds={"token0_over_early": 0.5})
    assert [(row["threshold"], row["onset"], row["order"]) for row in chosen] == [(0.5, 0, "token0_over_early")] * 2


def test_a_rise_sets_each_heads_threshold_by_its_own_course():
    """Half way from 0.1 to 0.5 is 0.3, reached at 30; a quantity that never rises has no onset."""
    table = course(0, sink_mass=[0.1, 0.1, 0.2, 0.4, 0.5], token0_over_early=[3.0, 2.0, 2.0, 1.0, 1.0])
    rows = onsets(table, thresholds={"sink_mass": 9, "token0_over_early": 9}, rise=0.5)
    assert rows[0]["threshold"] == pytest.approx(0.3)
    assert [row["onset"] for row in rows] == [30, None]


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
                "gradient_sink_ratio": ratios[block]["ratio"],
                "gradient_sink_ratio_per_sequence": ratios[block]["ratio_per_sequence"],
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
