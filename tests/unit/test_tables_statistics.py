"""Statistics over seeds against values by hand and by SciPy's own tests."""

import math

import numpy
import polars as pl
import pytest
from scipy import stats

from spikesink.tables.statistics.bounded import bounded_interval, clopper_pearson
from spikesink.tables.statistics.change import change_of, ratio_of
from spikesink.tables.statistics.intervals import mean_of, p_value
from spikesink.tables.statistics.multiplicity import benjamini_hochberg, holm
from spikesink.tables.statistics.statistics import effect_size, statistics

OURS, BASE = [3.0, 5.0, 4.0, 7.0], [2.0, 1.0, 3.0, 2.0]


def test_the_t_interval_by_hand():
    # mean 4.75, sd 1.7078, t(0.975, 3) = 3.18245
    found = mean_of(OURS).estimate()
    half = 3.182446305 * math.sqrt(35 / 12) / 2
    assert found == pytest.approx((4.75, 4.75 - half, 4.75 + half, 4))


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_runs_that_are_correlated_over_seeds_are_compared_in_pairs():
    """They share initial weights and data order; the interval and the p value are SciPy's."""
    ours, base = [11.0, 21.5, 31.0, 42.0], [10.0, 20.0, 30.0, 40.0]
    found = change_of(by_seed(ours), by_seed(base))
    test = stats.ttest_rel(ours, base)
    low, high = test.confidence_interval(0.95)
    assert found.method == "paired" and found.correlation == pytest.approx(stats.pearsonr(ours, base)[0])
    assert found.estimate() == pytest.approx((1.375, low, high, 4))
    assert p_value(found, 0.0) == pytest.approx(test.pvalue)
    assert effect_size(found) == pytest.approx(test.statistic / 2), "d_z = t / sqrt(n)"


@pytest.mark.parametrize("ours", [[3.0, 5.0, 4.0, 7.0], [5.0, 4.0, 3.0, 4.0, 6.0]])
def test_runs_that_are_not_are_independent_by_welch(ours):
    """Also where one side has more seeds: all of them count."""
    found, test = change_of(by_seed(ours), by_seed(BASE)), stats.ttest_ind(ours, BASE, equal_var=False)
    low, high = test.confidence_interval(0.95)
    assert found.method == "Welch"
    assert found.estimate()[:3] == pytest.approx((numpy.mean(ours) - 2.0, low, high))
    assert p_value(found, 0.0) == pytest.approx(test.pvalue)


def test_on_the_logarithmic_scale_the_change_is_a_ratio_of_geometric_means():
    found = change_of({0: 20.0, 1: 80.0}, {0: 10.0, 1: 10.0}, log=True).estimate()
    half = 12.706204736 * math.log(2)  # the logarithms ln 2 and ln 8 have sd sqrt(2) ln 2
    assert found == pytest.approx((4.0, 4 * math.exp(-half), 4 * math.exp(half), 2))
    assert mean_of([1.0, 100.0], log=True).estimate().value == pytest.approx(10.0)
    with pytest.raises(ValueError, match="0 has no logarithm"):
        mean_of([0.0, 1.0], log=True).estimate()


def test_one_seed_is_a_value_without_an_interval_and_none_is_nothing():
    assert mean_of([7.0]).estimate() == (7.0, None, None, 1)
    assert ratio_of({0: 1.0}, {0: 4.0}).estimate() == (0.25, None, None, 1)
    assert mean_of([]).estimate() == (None, None, None, 0)
    assert p_value(change_of({0: 1.0}, {0: 2.0}), 0.0) is None
    assert change_of({0: 1.0, 1: 5.0}, {1: 2.0}).estimate() == (3.0, None, None, 1), "the pair, where there is one"


def test_a_ratio_of_independent_means_by_hand():
    """Donner and Zou's limits for means 4 and 8 whose own intervals are 4 ± 2 and 8 ± 3."""
    sides = [by_seed([centre - spread, centre, centre + spread]) for centre, spread in ((4.0, 1.0), (8.0, 1.5))]
    half = stats.t.ppf(0.975, 2) / math.sqrt(3)
    (low, high), (base_low, base_high) = ((4 - half, 4 + half), (8 - 1.5 * half, 8 + 1.5 * half))
    expected = (
        (32 - math.sqrt(32**2 - low * base_high * (8 - low) * (16 - base_high))) / (base_high * (16 - base_high)),
        (32 + math.sqrt(32**2 - high * base_low * (8 - high) * (16 - base_low))) / (base_low * (16 - base_low)),
    )
    assert ratio_of(*sides).estimate()[:3] == pytest.approx((0.5, *expected))


def test_no_ratio_is_negative_and_one_to_a_mean_near_0_has_no_upper_limit():
    small, large = by_seed([0.0, 0.1, 5.0]), by_seed([40.0, 50.0, 60.0])
    assert ratio_of(small, large, (0.0, 100.0)).estimate().low == 0.0
    assert ratio_of(large, small, (0.0, 100.0)).estimate().high == math.inf
    assert ratio_of(large, by_seed([0.0, 0.0])).value is None


def test_a_ratio_of_a_negative_mean_is_that_of_the_positive_mirrored():
    ours, base = [3.0, 4.0, 5.0], by_seed([6.5, 8.0, 9.5])
    value, low, high, _ = ratio_of(by_seed(ours), base).estimate()
    assert ratio_of(by_seed([-one for one in ours]), base).estimate() == pytest.approx((-value, -high, -low, 3))
    assert ratio_of(base, by_seed([-1.0, -2.0, -3.0])).value is None, "to a negative mean there is none"


def test_the_effect_size_of_unequal_numbers_of_seeds_by_hand():
    """The variances are 2 and 2.5, and the difference of the means is 2: d = 2 / sqrt(4.5 / 2)."""
    found = change_of({10: 1.0, 11: 3.0}, by_seed([-2.0, -1.0, 0.0, 1.0, 2.0]))
    assert effect_size(found) == pytest.approx(2 / 1.5)
    # sd 1 and 1.5, means 4 and 8: sqrt(1 + (0.5 * 1.5)^2) / 8
    assert ratio_of(by_seed([3.0, 4.0, 5.0]), by_seed([6.5, 8.0, 9.5])).spread == pytest.approx(1.25 / 8)


def test_equal_values_are_no_certainty():
    assert mean_of([2.0, 2.0, 2.0]).at is None
    assert change_of(by_seed([2.0, 2.0]), by_seed([1.0, 1.0])).at is None
    assert effect_size(change_of(by_seed([2.0, 2.0]), by_seed([1.0, 1.0]))) is None
    assert mean_of([0.3, 0.1 + 0.2]).at is None, "rounding is no variation"


@pytest.mark.parametrize(("values", "low", "high"), [([0.0] * 5, 0.0, 52.18), ([100.0] * 5, 47.82, 100.0)])
def test_shares_that_are_all_0_or_all_100_have_the_interval_of_a_count(values, low, high):
    """Of five seeds without sinks, up to 52 % of all seeds may have some (Clopper and Pearson)."""
    found = mean_of(values, bounds=(0.0, 100.0)).estimate()
    assert found[1:3] == pytest.approx((low, high), abs=0.01)


@pytest.mark.parametrize(("successes", "trials", "level"), [(0, 5, 0.95), (2, 7, 0.9), (7, 7, 0.99), (13, 40, 0.95)])
def test_the_interval_of_a_count_is_scipys(successes, trials, level):
    found = stats.binomtest(successes, trials).proportion_ci(level, method="exact")
    assert clopper_pearson(successes, trials, level) == pytest.approx((found.low, found.high))


def test_gaffkes_interval_is_that_of_a_count_where_values_are_near_the_bounds():
    near = [1e-9, 1e-9, 1.0, 1.0 - 1e-9, 1e-9]
    assert bounded_interval(near, (0.0, 1.0), 0.95) == pytest.approx(clopper_pearson(2, 5, 0.95), abs=0.01)
    middle = bounded_interval([0.4, 0.5, 0.6], (0.0, 1.0), 0.95)
    wider = bounded_interval([0.4, 0.5, 0.6], (0.0, 2.0), 0.95)
    assert middle[0] < 0.5 < middle[1] < wider[1], "what might have come lies further away"


def test_no_p_value_is_below_what_gaffkes_draws_can_tell():
    """20,000 draws say nothing of less than one of them on each side; a count has an exact one."""
    some = mean_of([0.0] * 10 + [0.005 * place for place in range(1, 11)], bounds=(0.0, 1.0))
    assert p_value(some, 0.9) == pytest.approx(2 / 20_000)
    assert p_value(mean_of([0.0] * 20, bounds=(0.0, 1.0)), 0.5) == pytest.approx(2 * 0.5**20)


def test_the_p_value_is_where_the_interval_ends():
    found = mean_of([3.0, 5.0, 4.0, 7.0])
    for level in (0.5, 0.95, 0.999):
        assert p_value(found, found.at(level)[0]) == pytest.approx(1 - level, rel=1e-6)


def test_holm_by_hand_and_scipys_order():
    # 3 x 0.01, 2 x 0.03, then not below its predecessor
    assert holm([0.03, 0.01, None, 0.04]) == pytest.approx([0.06, 0.03, None, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def test_benjamini_and_hochberg_is_scipys():
    values = [0.03, 0.001, 0.8, 0.04, 0.02]
    assert benjamini_hochberg(values) == pytest.approx(list(stats.false_discovery_control(values)))
    assert benjamini_hochberg([0.03, None]) == [0.03, None]


def runs(**variants: list[tuple]) -> pl.DataFrame:
    """Runs of (seed, status, value) by variant; every quantity has the value."""
    rows = [
        {"ablation": "a", "variant": variant, "seed": seed, "status": status}
        | dict.fromkeys(("context_gain", "spike", "sink_ratio"), value)
        for variant, members in variants.items()
        for seed, status, value in members
    ]
    return pl.DataFrame(rows)


def test_pairs_are_runs_of_equal_seed_that_finished_on_both_sides():
    table = runs(
        baseline=[(0, "finished", 10.0), (1, "finished", 20.0), (2, "diverged", None), (3, "finished", 40.0)],
        dyt=[(3, "finished", 42.0), (0, "finished", 11.0), (1, "diverged", 1e9), (2, "finished", 500.0)],
    )
    row = statistics(table, ["context_gain"]).row(1, named=True)
    assert (row["seeds"], row["pairs"]) == (3, 2)
    assert row["mean"] == pytest.approx((42 + 11 + 500) / 3), "the diverged value is in no mean"
    assert row["left_out"] == "seed 1: diverged"
    assert row["change"] == pytest.approx((42 + 11 + 500) / 3 - 70 / 3), "unlike pairs count as independent runs"
    assert row["method"] == "Welch"


def test_a_missing_seed_is_named():
    table = runs(baseline=[(0, "finished", 1.0), (1, "finished", 2.0)], dyt=[(1, "finished", 3.0)])
    row = statistics(table, ["context_gain"]).row(1, named=True)
    assert (row["left_out"], row["pairs"], row["change"]) == ("seed 0: missing", 1, 1.0)
    assert row["low"] is row["change_low"] is row["p"] is None


def test_a_value_that_has_no_mean_is_named():
    table = runs(
        baseline=[(0, "finished", 1.0), (1, "finished", math.inf), (2, "finished", 0.0), (3, "diverged", None)]
    )
    spike, gain = statistics(table, ["spike", "context_gain"]).to_dicts()
    assert spike["left_out"] == "seed 1: spike is infinite, seed 2: spike is 0, seed 3: diverged"
    assert gain["left_out"] == "seed 1: context_gain is infinite, seed 3: diverged", "a difference may be 0"
    assert (spike["seeds"], gain["seeds"]) == (1, 2)


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
    baseline, one, two = statistics(table, ["context_gain"]).to_dicts()
    assert baseline["p_holm"] is None
    assert one["p_holm"] == pytest.approx(2 * one["p"])
    assert two["p_holm"] == two["p"] > one["p_holm"]
