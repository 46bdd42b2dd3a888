"""Statistics over seeds against values by hand and by SciPy's own tests."""

import math

import numpy
import polars as pl
import pytest
from scipy import stats

from spikesink.tables.statistics.intervals import (
    change_interval,
    effect_size,
    holm,
    mean_interval,
    p_value,
    ratio_interval,
)
from spikesink.tables.statistics.statistics import statistics

OURS, BASE = [3.0, 5.0, 4.0, 7.0], [2.0, 1.0, 3.0, 2.0]


def test_the_t_interval_by_hand():
    # mean 4.75, sd 1.7078, t(0.975, 3) = 3.18245
    found = mean_interval(OURS)
    half = 3.182446305 * math.sqrt(35 / 12) / 2
    assert found == pytest.approx((4.75, 4.75 - half, 4.75 + half, 4))


def test_intervals_are_scipys():
    found = stats.ttest_rel(OURS, BASE)
    low, high = found.confidence_interval(0.95)
    assert change_interval(OURS, BASE, log=False) == pytest.approx((2.75, low, high, 4))
    assert p_value(OURS, BASE, log=False) == pytest.approx(found.pvalue)
    assert effect_size(OURS, BASE, log=False) == pytest.approx(found.statistic / 2), "d_z = t / sqrt(n)"


def test_on_the_logarithmic_scale_the_change_is_a_ratio_of_geometric_means():
    found = change_interval([20.0, 80.0], [10.0, 10.0], log=True)
    half = 12.706204736 * math.log(2)  # the logarithms ln 2 and ln 8 have sd sqrt(2) ln 2
    assert found == pytest.approx((4.0, 4 * math.exp(-half), 4 * math.exp(half), 2))
    assert mean_interval([1.0, 100.0], log=True).value == pytest.approx(10.0)
    with pytest.raises(ValueError, match="0 has no logarithm"):
        mean_interval([0.0, 1.0], log=True)


def test_one_seed_is_a_value_without_an_interval_and_none_is_nothing():
    assert mean_interval([7.0]) == (7.0, None, None, 1)
    assert ratio_interval([1.0], [4.0]) == (0.25, None, None, 1)
    assert mean_interval([]) == (None, None, None, 0)
    assert p_value([1.0], [2.0], log=False) is None


def test_fiellers_interval_holds_the_ratios_that_a_paired_t_test_does_not_reject():
    value, low, high, count = ratio_interval(OURS, BASE)
    assert (value, count) == (4.75 / 2, 4)
    for limit in (low, high):
        assert stats.ttest_1samp(numpy.subtract(OURS, limit * numpy.array(BASE)), 0).pvalue == pytest.approx(0.05)
    assert low < value < high


def test_a_ratio_to_a_mean_that_may_be_0_has_no_bounds():
    assert ratio_interval([1.0, 2.0], [3.0, -2.0])[1:3] == (-math.inf, math.inf)
    assert ratio_interval([1.0, 2.0], [0.0, 0.0]).value is None


def test_a_ratio_of_0_has_an_interval_too():
    assert ratio_interval([0.0, 0.0, 0.0], [40.0, 50.0, 60.0]) == pytest.approx((0.0, 0.0, 0.0, 3))


def test_differences_that_do_not_vary_have_no_test():
    assert effect_size([2.0, 3.0], [1.0, 2.0], log=False) is None
    assert p_value([0.3, 0.1 + 0.2], [0.1, 0.1], log=False) is None, "rounding is no variation"


def test_holm_by_hand_and_scipys_order():
    # 3 x 0.01, 2 x 0.03, then not below its predecessor
    assert holm([0.03, 0.01, None, 0.04]) == pytest.approx([0.06, 0.03, None, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def runs(**variants: list[tuple]) -> pl.DataFrame:
    """Runs of (seed, status, value) by variant; every quantity has the value."""
    rows = [
        {"ablation": "a", "variant": variant, "seed": seed, "status": status}
        | dict.fromkeys(("perplexity", "spike", "sink_ratio"), value)
        for variant, members in variants.items()
        for seed, status, value in members
    ]
    return pl.DataFrame(rows)


def test_pairs_are_runs_of_equal_seed_that_finished_on_both_sides():
    table = runs(
        baseline=[(0, "finished", 10.0), (1, "finished", 20.0), (2, "diverged", None), (3, "finished", 40.0)],
        dyt=[(3, "finished", 42.0), (0, "finished", 11.0), (1, "diverged", 1e9), (2, "finished", 500.0)],
    )
    row = statistics(table, ["perplexity"]).row(1, named=True)
    assert (row["seeds"], row["pairs"], row["change"]) == (3, 2, pytest.approx(1.5))
    assert row["mean"] == pytest.approx((42 + 11 + 500) / 3), "the diverged value is in no mean"
    assert row["left_out"] == "seed 1: diverged"
    assert row["change_low"] == pytest.approx(1.5 - 12.706204736 * 0.5)


def test_a_missing_seed_is_named():
    table = runs(baseline=[(0, "finished", 1.0), (1, "finished", 2.0)], dyt=[(1, "finished", 3.0)])
    row = statistics(table, ["perplexity"]).row(1, named=True)
    assert (row["left_out"], row["pairs"], row["change"]) == ("seed 0: missing", 1, 1.0)
    assert row["low"] is row["change_low"] is row["p"] is None


def test_spikes_are_on_the_logarithmic_scale_and_shares_end_where_they_must():
    pair = [(0, "finished", 1.0), (1, "finished", 99.0)]
    spike, sinks = statistics(runs(baseline=pair), ["spike", "sink_ratio"]).to_dicts()
    assert (spike["mean"], spike["centre"], spike["scale"]) == (50.0, pytest.approx(math.sqrt(99)), "log")
    assert (sinks["centre"], sinks["low"], sinks["high"], sinks["scale"]) == (50.0, 0.0, 100.0, "linear")


def test_the_correction_counts_the_other_variants():
    seeds = range(4)
    table = runs(
        baseline=[(seed, "finished", BASE[seed]) for seed in seeds],
        one=[(seed, "finished", OURS[seed]) for seed in seeds],
        two=[(seed, "finished", BASE[seed] + [0.1, -0.1, 0.2, 0.0][seed]) for seed in seeds],
    )
    baseline, one, two = statistics(table, ["perplexity"]).to_dicts()
    assert baseline["p_holm"] is None
    assert one["p_holm"] == pytest.approx(2 * one["p"])
    assert two["p_holm"] == two["p"] > one["p_holm"]
