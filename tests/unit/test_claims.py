"""Verdicts on planted tables: every comparison gives each verdict where, and only where, it must."""

import math
import sys

import polars as pl
import pytest
from planted_runs import observations, planted_mechanism, planted_runs
from scipy import stats

from spikesink.claims import __main__ as entry
from spikesink.claims.observations import observe
from spikesink.claims.page import cells
from spikesink.claims.quantities import derived
from spikesink.claims.reading import parse
from spikesink.claims.region import Region
from spikesink.claims.verdict import Finding, judge, judge_all
from spikesink.claims.vocabulary import Claim

YES, NO, UNSURE, ABSENT, BLANK = "reproduced", "not reproduced", "undecidable", "not run", "not measured"


def claim(**keys) -> Claim:
    values = {"claim": "A statement", "quantity": "spike", "compare": "ratio", "of": "dyt"} | keys
    return parse({"claims.yaml": {"claims": {"arXiv 2603.05498": {"Table 5": {"planted": values}}}}})[0]


def verdict(values: dict, **keys) -> str:
    stated = claim(**keys)
    return judge(stated, observations(values, stated.quantity)).verdict


BASE = [100.0, 120.0, 90.0, 110.0]


@pytest.mark.parametrize(
    ("dyt", "expected"),
    [
        ([10.0, 12.5, 8.8, 11.0], YES),  # ratios near 0.1
        ([90.0, 125.0, 88.0, 112.0], NO),  # ratios near 1
        ([10.0, 130.0, 20.0, 150.0], UNSURE),
        (["diverged"] * 4, ABSENT),
        ([], ABSENT),
    ],
)
def test_a_ratio_of_magnitudes(dyt, expected):
    assert verdict({"baseline": BASE, "dyt": dyt}, below=0.5) == expected


@pytest.mark.parametrize(
    ("dyt", "expected"),
    [
        ([0.0, 0.4, 1.0, 0.5], YES),  # a sink ratio of 0 has no logarithm
        ([45.0, 50.0, 42.0, 49.0], NO),
        ([5.0, 60.0, 2.0, 55.0], UNSURE),
        ([0.0, 0.0, 1.0, 0.0], UNSURE),  # a fifth seed may have sinks
    ],
)
def test_a_ratio_of_shares(dyt, expected):
    values = {"baseline": [40.0, 51.0, 40.0, 48.0], "dyt": dyt}
    assert verdict(values, quantity="sink_ratio", below=0.25) == expected


def test_a_ratio_of_shares_is_never_negative_and_shows_both_means():
    values = {"baseline": [40.0, 51.0, 40.0, 48.0], "dyt": [0.0, 0.4, 5.0, 0.5]}
    found = judge(claim(quantity="sink_ratio", below=0.25), observations(values, "sink_ratio"))
    low, high = (float(end) for end in found.interval.strip("[]").split(", "))
    assert 0 == low < high and found.observed == "0.0330 (1.48 / 44.8)"


def test_a_ratio_to_0_is_undecidable_and_says_so():
    found = judge(
        claim(quantity="sink_ratio", below=0.25),
        observations({"baseline": [0.0, 0.0], "dyt": [1.0, 2.0]}, "sink_ratio"),
    )
    assert (found.verdict, found.observed, found.remark) == (UNSURE, "undefined", "the ratio is to 0 or less")
    assert found.interval == "no interval"


@pytest.mark.parametrize(
    ("dyt", "expected"),
    [
        ([41.0, 52.0, 39.0, 50.0], YES),
        ([0.0, 9.0, 2.0, 5.0], NO),  # -40 points
        ([90.0, 99.0, 82.0, 93.0], NO),  # +45 points: outside on the other side
        ([20.0, 70.0, 25.0, 60.0], UNSURE),
        (["diverged", "diverged", "diverged", "failed"], ABSENT),
    ],
)
def test_a_difference(dyt, expected):
    values = {"baseline": [40.0, 51.0, 40.0, 48.0], "dyt": dyt}
    assert verdict(values, quantity="sink_ratio", compare="difference", within=10) == expected


@pytest.mark.parametrize(
    ("dyt", "expected"),
    [([40.0, 45.0, 42.0], YES), ([5.0, 6.0, 4.0], NO), ([5.0, 60.0, 30.0], UNSURE), ([], ABSENT)],
)
def test_a_value(dyt, expected):
    values = {"baseline": [40.0], "dyt": dyt}
    assert verdict(values, quantity="sink_ratio", compare="value", above=25) == expected


def test_a_quantity_that_no_run_has_is_not_measured():
    found = judge(claim(quantity="sink_ratio", compare="value", above=25), observations({"dyt": [1.0]}, "spike"))
    assert (found.verdict, found.remark) == (BLANK, "no run has sink_ratio: not measured, or never present")


@pytest.mark.parametrize(("seeds", "expected"), [(5, UNSURE), (6, YES), (20, YES)])
def test_seeds_that_all_agree_are_counted(seeds, expected):
    """Five of five seeds leave open that half of all seeds do it: 2 x 0.5^5 = 0.06."""
    keys = {"quantity": "spike_position", "compare": "seeds", "at_most": 0}
    values = {"baseline": [0.0] * seeds, "dyt": [0.0] * seeds}
    found = judge(claim(**keys), observations(values, "spike_position"))
    assert (found.verdict, found.observed) == (expected, f"{seeds} of {seeds} seeds")
    assert found.p == pytest.approx(2 * 0.5**seeds)
    assert verdict(values, quantity="spike_position", compare="value", at_most=0) == expected, "equal values as well"
    assert verdict({"dyt": [9.0] * 6}, **keys) == NO


def test_seeds_that_cannot_tell_are_not_counted():
    """Onsets between which no snapshot lies have no order; that is no evidence against one."""
    keys = {"quantity": "order_sink_spike", "compare": "seeds", "of": "baseline", "above": 0, "open": 0}

    def found(orders: list[float]) -> Finding:
        models = {f"baseline/seed{seed}": {"order_sink_spike": order} for seed, order in enumerate(orders)}
        return judge(claim(**keys), observe(planted_runs({"baseline": orders}), planted_mechanism(models)))

    assert [found(orders).verdict for orders in ([1.0] * 6 + [0.0], [-1.0] * 6 + [0.0], [0.0] * 9)] == [YES, NO, UNSURE]
    assert found([1.0] * 6 + [0.0]).observed == "6 of 6 seeds"
    assert (found([0.0] * 9).observed, found([0.0] * 9).remark) == ("no seed can tell", "undecidable in every seed")


def test_a_correlation_over_variants_is_of_ranks_seed_by_seed():
    rows = {"lr_7.5e-5": (12.0, 10.0), "lr_1.5e-4": (11.0, 20.0), "baseline": (10.0, 30.0), "lr_6e-4": (9.0, 25.0)}
    keys = {"quantity": "sink_ratio", "against": "perplexity", "compare": "correlation", "of": list(rows)}
    table = planted_runs({name: [0.0] * 6 for name in rows}).with_columns(
        *(
            pl.Series(column, [rows[name][place] + (seed % 2) * 0.1 for name in rows for seed in range(6)])
            for place, column in enumerate(("perplexity", "sink_ratio"))
        )
    )
    found = judge(claim(**keys, below=0), observe(table))
    assert found.observed == "-0.800, 6 of 6 seeds", "each has the same"
    assert (found.verdict, found.paper) == (YES, "-1.00")


def test_a_correlation_divides_the_claims_quantity_alone():
    """The quotient rises with the perplexity, and the perplexity over the spike falls."""
    names = ["lr_7.5e-5", "lr_1.5e-4", "baseline", "lr_6e-4", "lr_1.2e-3"]
    table = planted_runs({name: [10.0 * place] for place, name in enumerate(names, start=1)}).with_columns(
        pl.Series("sink_ratio", [10.0 * place**2 for place in range(1, 6)]),
        pl.Series("perplexity", [1.0, 1.1, 1.2, 1.3, 1.4]),
    )
    keys = {"quantity": "sink_ratio", "relative_to": "spike", "against": "perplexity", "compare": "correlation"}
    assert judge(claim(**keys, of=names, above=0), observe(table)).observed == "1.00"


LIST = ["heads32_dim8", "heads32_dim16", "baseline"]


@pytest.mark.parametrize(
    ("middle", "upwards", "downwards"),
    [
        ([20.0, 21.0, 22.0], YES, NO),
        ([40.0, 41.0, 42.5], NO, NO),  # up, then down
        ([29.0, 32.0, 31.0], UNSURE, NO),  # level with the last
    ],
)
def test_a_list_in_order(middle, upwards, downwards):
    values = dict(zip(LIST, ([10.0, 11.0, 12.0], middle, [30.0, 31.0, 32.5]), strict=True))
    keys = {"quantity": "sink_ratio", "of": LIST}
    assert verdict(values, compare="increasing", **keys) == upwards
    assert verdict(values, compare="decreasing", **keys) == downwards
    assert verdict(values, compare="decreasing", quantity="sink_ratio", of=LIST[::-1]) == upwards
    del values["heads32_dim8"]
    assert verdict(values, compare="increasing", **keys) == ABSENT


@pytest.mark.parametrize(
    ("gelu", "expected"), [([9.0, 10.0, 11.0], YES), ([90.0, 95.0, 99.0], NO), ([9.0, 60.0, 80.0], UNSURE)]
)
def test_the_highest_and_the_lowest(gelu, expected):
    values = {"baseline": [5.0, 6.0, 7.0], "dyt": [50.0, 52.0, 53.0], "gelu": gelu}
    keys = {"quantity": "perplexity", "among": ["baseline", "gelu"]}
    assert verdict(values, compare="highest", **keys) == expected
    mirrored = {name: [-value for value in members] for name, members in values.items()}
    assert verdict(mirrored, compare="lowest", **keys) == expected
    del values["gelu"]
    assert verdict(values, compare="highest", **keys) == ABSENT


def test_a_tolerance_lets_a_step_go_the_wrong_way():
    values = {"baseline": [100.0], "dyt": [97.0]}
    keys = {"compare": "highest", "of": "dyt", "among": ["baseline"]}
    assert verdict(values, **keys) == NO
    assert verdict(values, **keys, tolerance=0.05) == YES, "of a magnitude it is a share"
    assert verdict(values, **keys, tolerance=0.02, quantity="perplexity") == NO, "and of a perplexity"
    assert verdict(values, **keys, tolerance=2, quantity="context_gain") == NO
    assert verdict(values, **keys, tolerance=3, quantity="context_gain") == YES


def test_every_variant_of_a_list_must_do_it():
    values = {"baseline": [10.0], "dyt": [1.0], "sandwich": [2.0], "sandwich_qk": [9.0]}
    assert verdict(values, of=["dyt", "sandwich"], below=0.5) == YES
    assert verdict(values, of=["dyt", "sandwich", "sandwich_qk"], below=0.5) == NO


def test_a_part_of_a_list_is_enough_only_where_the_claim_says_so():
    values = {"baseline": [10.0], "dyt": [1.0]}
    assert verdict(values, of=["dyt", "sandwich"], below=0.5) == ABSENT
    found = judge(claim(of=["dyt", "sandwich"], below=0.5, needs=1), observations(values))
    assert (found.verdict, found.remark) == (YES, "not in this study: sandwich")


def test_with_one_seed_the_value_decides_and_has_no_interval():
    for dyt, expected in (([4.0], YES), ([6.0], NO)):
        found = judge(claim(below=0.5), observations({"baseline": [10.0], "dyt": dyt}))
        assert (found.verdict, found.interval, found.seeds) == (expected, "one seed, no interval", "0")


def test_one_seed_of_several_decides_nothing():
    """The seeds that are lost may have been lost for what the claim is about."""
    lost = ["diverged"] * 3
    for dyt in (4.0, 6.0):
        found = judge(claim(below=0.5), observations({"baseline": [10.0] * 4, "dyt": [dyt, *lost]}))
        assert (found.verdict, found.p, found.interval) == (UNSURE, 1.0, "one seed, no interval")
        assert found.remark.startswith("undecidable: 1 of 4 seeds has a value; dyt: seed 1 diverged")
    keys = {"quantity": "spike_position", "at_most": 0}
    for compare in ("value", "seeds"):
        found = judge(claim(**keys, compare=compare), observations({"dyt": [0.0, None, None]}, "spike_position"))
        assert (found.verdict, found.p) == (UNSURE, 1.0)
        assert found.remark == "undecidable: 1 of 3 seeds has a value; dyt: seeds 1, 2 without spike_position"
    values = {"baseline": [10.0, 10.1, 9.9], "dyt": [4.0, *lost[1:]], "sandwich": [9.0, 9.1, 8.9]}
    assert verdict(values, of=["dyt", "sandwich"], below=0.5) == NO, "the other variant fails by its interval"
    observed = observe(
        planted_runs({"baseline": [1.0] * 3}), planted_mechanism({"gpt2": {"vocabulary_spike_pct": 99.0}})
    )
    published = claim(quantity="vocabulary_spike_pct", compare="value", of="pretrained", above=98)
    assert judge(published, observed).verdict == YES, "a published model is all that there is"


def test_in_a_study_of_one_seed_the_value_decides_where_seeds_are_counted_too():
    keys = {"quantity": "spike_position", "compare": "seeds", "at_most": 0}
    for dyt, expected in ((0.0, YES), (3.0, NO)):
        found = judge(claim(**keys), observations({"dyt": [dyt]}, "spike_position"))
        assert (found.verdict, found.p, found.interval) == (expected, None, "one seed, no interval")


def test_seeds_of_two_sides_are_counted_on_the_smaller():
    """Two of two seeds leave open that half of all seeds do it: 2 x 0.5^2 = 0.5."""
    values = {"baseline": [0.0] * 6, "dyt": [3.0, 3.0, *["diverged"] * 4]}
    found = judge(
        claim(quantity="spike_position", compare="difference", above=0), observations(values, "spike_position")
    )
    assert (found.verdict, found.observed) == (UNSURE, "3.00, 2 of 2 seeds")
    assert found.p == pytest.approx(0.5)
    assert found.interval == "[15.8, 100] % of seeds", "0.025^(1/2) = 0.158"
    assert found.remark.startswith("undecidable with 2 seeds, about 6 needed if all agree")


def test_equal_seeds_show_the_interval_that_decides_whether_they_stay():
    """Five equal seeds are counted, at 95 %: 0.025^(1/5) = 0.478, which is below half."""
    values = {"baseline": [0.0] * 5, "dyt": [0.0] * 5}
    found = judge(
        claim(quantity="spike_position", compare="difference", within=1), observations(values, "spike_position")
    )
    assert (found.verdict, found.interval) == (UNSURE, "[47.8, 100] % of seeds")


def test_seeds_that_lack_the_quantity_are_named_on_each_side():
    values = {"baseline": [10.0, 10.1, 9.9, None, None], "dyt": [1.0, None, 1.1, 0.9, 1.2]}
    found = judge(claim(below=0.5, to="baseline"), observations(values))
    assert (found.verdict, found.remark) == (YES, "dyt: seed 1 without spike; baseline: seeds 3, 4 without spike")


def test_a_divisor_of_0_makes_a_claim_undecidable():
    table = planted_runs({"baseline": [0.5] * 4}, "sink_mass_max").with_columns(
        pl.Series("sink_mass_mean", [0.2, 0.21, 0.22, 0.0])
    )
    keys = {"quantity": "sink_mass_max", "relative_to": "sink_mass_mean", "compare": "value", "of": "baseline"}
    found = judge(claim(**keys, below=4), observe(table))
    assert (found.verdict, found.p) == (UNSURE, None)
    assert found.remark == "undecidable: sink_mass_mean is 0 in seed 3 of baseline"


def test_published_models_that_lack_the_quantity_are_named():
    table = planted_mechanism({"gpt2": {"gradient_sink_ratio": 20.0}, "other": {}})
    found = judge(
        claim(quantity="gradient_sink_ratio", compare="value", of="pretrained", above=9),
        observe(planted_runs({"baseline": [1.0]}), table),
    )
    assert (found.verdict, found.remark) == (YES, "pretrained: other without gradient_sink_ratio")


def test_models_are_judged_one_by_one_as_all_together_and_seeds_are_no_models():
    models = planted_mechanism({"gpt2": {"eigenvalue": 20.0, "second": 1.0}, "baseline/seed30": {"eigenvalue": 30.0}})
    observed = observe(planted_runs({"baseline": [1.0]}), models)
    keys = {"quantity": "eigenvalue", "compare": "value", "of": ["pretrained", "baseline"], "above": 9}
    for tier in ("exploratory", "check"):
        found = judge_all([claim(**keys, tier=tier)], observed)
        assert [(row.model, row.verdict) for row in found] == [("gpt2", YES), ("", YES)]


def test_the_weakest_is_the_one_that_is_furthest_from_the_claim():
    """Of published models, which have no p value, and of variants that all lie on the wrong side."""
    models = planted_mechanism({"near": {"eigenvalue": 4.77}, "far": {"eigenvalue": 1.52}, "far enough": {}})
    keys = {"quantity": "eigenvalue", "compare": "value", "of": "pretrained"}
    found = [
        judge(claim(**keys, at_least=bound), observe(planted_runs({"baseline": [1.0]}), models)) for bound in (2, 1)
    ]
    assert [row.short for row in found] == ["1.52: far, the weakest of 2"] * 2
    assert [row.verdict for row in found] == [NO, YES]
    values = {"baseline": [60.0, 61.0, 59.0], "dyt": [18.0, 30.0, 24.0], "sandwich": [16.0, 15.8, 16.3]}
    found = judge(
        claim(quantity="sink_ratio", compare="difference", of=["dyt", "sandwich"], at_least=-10),
        observations(values, "sink_ratio"),
    )
    assert found.verdict == NO and found.short.endswith("sandwich, the weakest of 2")


def test_a_ratio_whose_upper_limit_is_infinite_can_be_above_a_bound():
    """The reference's interval reaches 0, the lower limit is far above 1."""
    values = {"baseline": [2.0, 4.0, 9.0, 1.0], "dyt": [80.0, 82.0, 79.0, 81.0]}
    found = judge(claim(quantity="sink_ratio", above=1), observations(values, "sink_ratio"))
    assert found.interval.endswith("inf]") and found.verdict == YES and found.p < 1e-3


def test_the_interval_is_that_of_pairs_and_the_seeds_are_named():
    base, dyt = [100.0, 120.0, "diverged", 9.0, 11.0], [50.0, "diverged", 3.0, 5.0, 6.0]
    found = judge(claim(below=0.4), observations({"baseline": base, "dyt": dyt}))
    logs = [math.log(50 / 100), math.log(5 / 9), math.log(6 / 11)]
    low, high = (math.exp(end) for end in stats.ttest_1samp(logs, 0).confidence_interval(0.95))
    assert found.verdict == NO
    assert [float(end) for end in found.interval.strip("[]").split(", ")] == pytest.approx([low, high], rel=0.01)
    assert found.remark.endswith("dyt: seed 1 diverged; baseline: seed 2 diverged")
    assert found.method == "paired, correlation 1.00"


def test_several_variants_must_all_hold_and_fail_only_at_a_level_divided_by_their_number():
    """That each holds is tested at 5 %. Of many of which none fails, one is below 5 % in more than 5 % of studies."""
    values = {"baseline": [1.0, 1.02, 0.98, 1.0], "dyt": [1.02, 1.2, 1.11, 1.05], "sandwich": [0.5, 0.51, 0.49, 0.5]}
    one, both = (judge(claim(of=names, at_most=1), observations(values)) for names in ("dyt", ["dyt", "sandwich"]))
    assert 0.02 < one.p < 0.1 and both.p == pytest.approx(2 * one.p)
    one, both = (judge(claim(of=names, below=1.3), observations(values)) for names in ("dyt", ["dyt", "sandwich"]))
    assert (one.verdict, both.verdict) == (YES, YES) and both.p == pytest.approx(one.p), "the larger of the two decides"


def test_scaled_down_variants_match_through_the_row_that_they_stand_for():
    values = {"baseline": [10.0], "mine": [1.0], "heads32_dim8": [99.0]}
    observed = observations(values, stands_for={"mine": "heads32_dim8", "heads32_dim8": "heads32_dim16"})
    assert judge(claim(of="heads32_dim8", below=0.5), observed).verdict == YES
    assert judge(claim(of="heads32_dim16", below=0.5), observed).verdict == NO
    assert judge(claim(of="heads32_dim32", below=0.5), observed).verdict == ABSENT


def test_missing_runs_are_named_not_judged():
    found = judge(claim(below=0.5), observations({"baseline": [10.0, 11.0], "dyt": ["diverged", "failed"]}))
    assert (found.verdict, found.observed, found.interval) == (ABSENT, "", "")
    assert found.remark == "dyt: seed 0 diverged, seed 1 failed"
    apart = judge(claim(below=0.5), observations({"baseline": [10.0, "failed"], "dyt": ["diverged", 1.0]}))
    assert (apart.observed, apart.interval) == ("0.100", "one seed, no interval"), "runs without a seed in common"


def test_quantities_of_the_mechanism_and_quotients_of_them():
    models = {
        "baseline/seed0": {"int8_static_per_tensor": 30.0, "int8_full_precision": 20.0, "step_up_blocks": "2, 4"},
        "v_scale/seed0": {"int8_static_per_tensor": 21.0, "int8_full_precision": 20.0},
        "Qwen3-8B": {"vocabulary_spike_pct": 99.93},
        "Qwen2.5-7B": {"vocabulary_spike_pct": 98.4},
    }
    observed = observe(planted_runs({"baseline": [1.0], "v_scale": [1.0]}), planted_mechanism(models))
    keys = {"quantity": "int8_static_per_tensor", "relative_to": "int8_full_precision"}
    assert judge(claim(**keys, of="v_scale", below=0.71), observed).observed == "0.700"
    assert judge(claim(**keys, compare="value", of="baseline", above=1.4), observed).verdict == YES
    assert judge(claim(quantity="step_up_count", compare="value", of="baseline", at_least=2), observed).verdict == YES
    published = {"quantity": "vocabulary_spike_pct", "compare": "value", "of": "pretrained"}
    found = judge(claim(**published, above=98), observed)
    assert (found.verdict, found.observed) == (YES, "Qwen3-8B 99.9; Qwen2.5-7B 98.4")
    assert judge(claim(**published, above=99), observed).verdict == NO, "every published model must do it"
    rows = judge_all([claim(**published, above=99)], observed)
    assert [(row.model, row.verdict, row.counts) for row in rows] == [
        ("Qwen3-8B", YES, False),
        ("Qwen2.5-7B", NO, False),
        ("", NO, True),
    ]
    lost = judge(claim(quantity="onset_spike", compare="value", of="baseline", above=1), observed)
    assert (lost.verdict, lost.remark) == (BLANK, "no run has onset_spike: not measured, or never present")
    asked = {"quantity": "cosine_spike", "compare": "value", "above": 1}
    assert judge(claim(**asked, of="v_scale"), observed).verdict == BLANK
    missing = judge(claim(**asked, of="dyt"), observed)
    assert (missing.verdict, missing.remark) == (ABSENT, "not in this study: dyt"), "measuring would not judge it"
    trained = observe(planted_runs({"baseline": [1.0]}))
    assert judge(claim(**asked, of="pretrained"), trained).remark == "no published model is measured"


def test_a_difference_of_quantities_may_pass_zero():
    """A quotient of logit gaps would turn its sign where the other heads' gap is negative."""
    models = {
        f"baseline/seed{seed}": {"logit_gap_sink_heads": 3.0 + seed, "logit_gap_other_heads": other}
        for seed, other in enumerate((-1.0, 0.5))
    }
    observed = observe(planted_runs({"baseline": [1.0, 1.0]}), planted_mechanism(models))
    keys = {"quantity": "logit_gap_sink_heads", "minus": "logit_gap_other_heads", "compare": "value", "of": "baseline"}
    found = judge(claim(**keys, above=0), observed)
    assert (found.observed, found.verdict) == ("3.75", YES)
    assert found.quantity == "logit_gap_sink_heads - logit_gap_other_heads"
    del models["baseline/seed0"]["logit_gap_other_heads"]
    observed = observe(planted_runs({"baseline": [1.0, 1.0]}), planted_mechanism(models))
    assert judge(claim(**keys, above=0), observed).seeds == "1", "both must be there"


def test_a_difference_of_magnitudes_is_no_magnitude():
    models = {
        "baseline/seed0": {"distance": 4.0, "distance_without_sink": 1.0},
        "dyt/seed0": {"distance": 9.0, "distance_without_sink": 3.0},
    }
    observed = observe(planted_runs({"baseline": [1.0], "dyt": [1.0]}), planted_mechanism(models))
    keys = {
        "quantity": "distance",
        "minus": "distance_without_sink",
        "compare": "increasing",
        "of": ["baseline", "dyt"],
    }
    assert judge(claim(**keys), observed).observed == "+3.00", "a step, no factor"


def test_claims_about_the_mechanism_pair_by_seed():
    """Every seed of a compared variant has a row: values that differ between seeds and move together leave a narrow
    interval."""
    values = {"baseline": [10.0, 40.0, 20.0], "v_scale": [4.0, 17.0, 7.9]}
    models = {
        f"{variant}/seed{seed}": {"gradient_sink_ratio": value}
        for variant, members in values.items()
        for seed, value in enumerate(members)
    }
    observed = observe(planted_runs(values), planted_mechanism(models))
    found = judge(claim(quantity="gradient_sink_ratio", of="v_scale", below=0.5), observed)
    assert (found.verdict, found.seeds) == (YES, "0, 1, 2")


def test_sinks_cannot_stay_where_there_are_none():
    """Two small sink ratios are close to each other, which says nothing of the claim."""
    there = {
        "claim": "There are sinks",
        "compare": "value",
        "of": "baseline",
        "above": 25,
        "quantity": "sink_ratio",
    }
    stay = there | {"claim": "They stay", "compare": "difference", "of": "dyt", "within": 10, "presumes": "there"}
    del stay["above"]
    claims = parse({"claims.yaml": {"claims": {"arXiv 2603.05498": {"Table 5": {"stay": stay, "there": there}}}}})
    for base, expected in (([3.0], UNSURE), ([45.0], NO)):
        findings = judge_all(claims, observations({"baseline": base, "dyt": [2.0]}, "sink_ratio"))
        assert findings[0].verdict == expected
        assert ("presumes there, which is not reproduced" in findings[0].remark) == (expected == UNSURE)
    findings = judge_all(claims, observations({"baseline": [3.0], "dyt": ["diverged"]}, "sink_ratio"))
    assert findings[0].verdict == ABSENT
    few = there | {"claim": "There are few", "below": 40}
    both = {"few": few, "there": there, "stay": stay | {"presumes": ["there", "few"]}}
    claims = parse({"claims.yaml": {"claims": {"arXiv 2603.05498": {"Table 5": both}}}})
    finding = judge_all(claims, observations({"baseline": [45.0], "dyt": [44.0]}, "sink_ratio"))[2]
    assert (finding.verdict, finding.remark) == (UNSURE, "presumes few, which is not reproduced")


def test_a_sink_rate_is_no_attention_on_the_sink():
    """The rebuttal's 0.998 is the share of heads and sequences in the layer with most sinks, not a head's attention."""
    keys = {"claim": "A head is a sink", "quantity": "sink_mass_max", "compare": "value", "of": "v_scale", "above": 0.3}
    (stated,) = parse({"claims.yaml": {"claims": {"arXiv 2603.17771": {"Figure 7": {"planted": keys}}}}})
    assert judge(stated, observations({"v_scale": [0.7]}, "sink_mass_max")).paper == ""


def test_block_lists_become_numbers():
    row = {"step_up_blocks": "8, 10", "step_down_blocks": "54", "eigenvalue": -3.0, "second": 1.5}
    row |= {"spike_channels": "788, 1384, 4062"}
    expected = {"step_up_count": 2, "step_down_count": 1, "step_up_first": 8, "step_up_last": 10}
    expected |= {"step_down_first": 54, "step_up_feed_forward_pct": 100.0, "eigenvalue_ratio": 2.0}
    expected |= {"spike_channel_count": 3}
    assert derived(row) == expected
    nothing = derived(dict.fromkeys(row))
    assert (nothing["step_up_count"], nothing["step_up_first"], nothing["eigenvalue_ratio"]) == (0, None, None)


def test_regions():
    half_open = Region.between(above=1, at_most=2)
    assert [half_open.holds(value) for value in (1, 1.5, 2, 2.1)] == [False, True, True, False]
    assert half_open.holds_none(0, 1) and not half_open.holds_none(2, 3) and half_open.holds_none(2.5, 3)
    assert not half_open.holds_all(1.5, 2.5) and not half_open.holds_none(0, 3), "wider than the region: undecided"
    assert str(half_open) == "above 1 and at most 2"
    assert Region.between(above=1).holds(math.inf) and not half_open.holds(math.inf)
    assert (str(Region.between(within=10)), str(Region.between(below=0.5))) == ("within 10", "below 0.5")


def write_tables(folder, values, models):
    planted_runs(values).write_csv(folder / "runs.csv")
    planted_mechanism(models).write_csv(folder / "mechanism.csv")
    (folder / "claims.yaml").write_text(
        "claims:\n  arXiv 2603.05498:\n    Table 5:\n"
        "      small: {claim: A <small> spike, tier: primary, quantity: spike, compare: ratio, of: dyt, below: 0.5}\n"
        "      steps: {claim: A step, quantity: step_up_count, compare: value, of: baseline, at_least: 1}\n"
    )


def run_entry(folder, monkeypatch) -> int:
    files = [f"--{name}={folder / name}.csv" for name in ("runs", "mechanism")]
    arguments = [f"--claims={folder}/claims.yaml", *files, "--study=s", f"--output={folder}/out/claims"]
    monkeypatch.setattr(sys, "argv", ["claims", *arguments])
    return entry.main()


def test_the_command_writes_the_ledger_and_its_pages(tmp_path, monkeypatch, capsys):
    write_tables(tmp_path, {"baseline": [10.0], "dyt": [1.0]}, {"baseline/seed0": {"step_up_blocks": "2"}})
    assert run_entry(tmp_path, monkeypatch) == 0
    table = pl.read_csv(tmp_path / "out/claims.csv")
    assert tuple(table.columns) == Finding._fields
    assert table["verdict"].to_list() == [YES, YES]
    assert table["source"][0] == "arXiv 2603.05498 Table 5"
    assert capsys.readouterr().out.startswith("2 claims: 2 reproduced, 0 not reproduced,")
    web = (tmp_path / "out/claims.html").read_text()
    assert "A &lt;small&gt; spike" in web and "http" not in web, "escaped, and nothing to load"


def test_the_page_begins_with_counts_and_primary_claims_and_folds_the_exploratory(tmp_path, monkeypatch):
    write_tables(tmp_path, {"baseline": [10.0], "dyt": [8.0]}, {"baseline/seed0": {"step_up_blocks": "2"}})
    run_entry(tmp_path, monkeypatch)
    row = (
        "| A \\<small> spike (our bound) (2603.05498 Table 5) | spike: below 0.5 | 0.800 | 0.0401 | 7 % | not "
        "reproduced | – | – |"
    )
    page, web = ((tmp_path / f"out/claims.{kind}").read_text() for kind in ("md", "html"))
    assert "| primary | 0 | 1 | 0 | 0 | 0 | 1 |\n| exploratory | 1 | 0 | 0 | 0 | 0 | 1 |" in page
    assert row in page
    assert page.index("## Primary claims") < page.index("<details>") < page.index("A step")
    assert web.index('class="tally"') < web.index("<h2>Primary claims</h2>") < web.index("<details>")


def test_the_page_says_how_much_a_claim_lets_go_the_wrong_way():
    found = judge(
        claim(compare="highest", of="dyt", among=["baseline"], tolerance=0.05),
        observations({"baseline": [9.0], "dyt": [10.0]}),
    )
    assert cells(found)[1] == "spike: highest, by up to 0.05 the other way"


def test_checks_of_the_instrument_stand_apart_and_are_never_counted(tmp_path, monkeypatch, capsys):
    write_tables(tmp_path, {"baseline": [10.0], "dyt": [8.0]}, {"baseline/seed0": {"step_up_blocks": "2"}})
    text = (tmp_path / "claims.yaml").read_text()
    (tmp_path / "claims.yaml").write_text(text.replace("A step,", "A step, tier: check,"))
    run_entry(tmp_path, monkeypatch)
    assert capsys.readouterr().out.startswith("1 claims: 0 reproduced, 1 not reproduced,")
    page = (tmp_path / "out/claims.md").read_text()
    assert (
        "| all | 0 | 1 | 0 | 0 | 0 | 1 |" in page
        and "| A step (Table 5) |" in page.split("Checks of the instrument")[1]
    )
    assert pl.read_csv(tmp_path / "out/claims.csv")["p_holm_all"].null_count() == 2


@pytest.mark.parametrize(("values", "expected"), [([1.0, 1.0, 0.9], YES), ([0.1, 0.2, 2.0], NO)])
def test_a_check_must_hold_in_every_seed(values, expected):
    """Three seeds are not few for what follows from definitions, and a good mean does not excuse a seed outside."""
    found = judge(claim(tier="check", compare="value", at_most=1), observations({"dyt": values}))
    assert (found.verdict, found.p) == (expected, None)


def test_models_that_all_diverged_leave_the_other_claims(tmp_path, monkeypatch):
    write_tables(tmp_path, {"baseline": [10.0], "dyt": [1.0]}, {})
    (tmp_path / "mechanism.csv").write_text("model,measured\nbaseline/seed0,false\n")
    assert run_entry(tmp_path, monkeypatch) == 0
    assert pl.read_csv(tmp_path / "out/claims.csv")["verdict"].to_list() == [YES, BLANK]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mechanism.csv", "model,measured\nbaseline/0,true\n", "'baseline/0' is no run and no published model"),
        ("mechanism.csv", "model,blocks\nbaseline/seed0,6\n", "has no column 'measured'"),
        ("runs.csv", "variant\nbaseline\n", "has no column"),
        ("claims.yaml", "claims: {a: {b: {c: {d}}}}\n", "claim c"),
        ("claims.yaml", "claims: [\n", "not valid YAML"),
    ],
)
def test_a_bad_input_is_one_line(tmp_path, monkeypatch, capsys, name, content, message):
    write_tables(tmp_path, {"baseline": [10.0], "dyt": [1.0]}, {"baseline/seed0": {"step_up_blocks": "2"}})
    (tmp_path / name).write_text(content)
    assert run_entry(tmp_path, monkeypatch) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert name in error and message in error
    assert not (tmp_path / "out").exists()


def test_an_ability_of_a_published_model_is_the_mechanisms_and_of_a_variant_the_runs():
    """Every run has abilities in runs.csv; a published model is in mechanism.csv alone."""
    runs = planted_runs({"baseline": [40.0, 50.0]}, "induction_accuracy")
    models = {"baseline/seed0": {"induction_accuracy": 1.0}, "gpt2": {"induction_accuracy": 90.0}}
    seen = observe(runs, planted_mechanism(models))
    assert seen.values("baseline", "induction_accuracy") == {0: 40.0, 1: 50.0}
    assert seen.values("pretrained", "induction_accuracy") == {"gpt2": 90.0}
    assert observe(runs).absence("pretrained", "induction_accuracy") == "no published model is measured"
