"""Simulated seeds: intervals cover the truth as often as they say, and verdicts are as often right as they must be."""

import math

import numpy as np
import pytest

from spikesink.claims.decision import REPRODUCED, UNDECIDABLE, decide
from spikesink.claims.region import Region
from spikesink.claims.terms import Term
from spikesink.tables.statistics.change import change_of
from spikesink.tables.statistics.intervals import mean_of
from spikesink.tables.statistics.power import seeds_needed

SEEDS = 5
STUDIES = 600
ERROR = 3 * math.sqrt(0.95 * 0.05 / STUDIES)
"""Three standard errors of a simulated share of 95 %."""
PERCENT = (0.0, 100.0)


def covered(found, truth: float) -> bool:
    low, high = found.at(0.95)
    return low <= truth <= high


@pytest.mark.parametrize("sinkless", [0.0, 0.4, 0.6, 0.8, 0.95])
def test_the_mean_sink_ratio_is_covered_though_many_seeds_have_no_sink(sinkless):
    """Student's interval alone covers 85 % of studies at 60 % of sinkless seeds, and 66 % at 80 %."""
    draw = np.random.default_rng(1)
    there = draw.random((STUDIES, SEEDS)) >= sinkless
    values = np.where(there, np.round(draw.normal(40, 12, (STUDIES, SEEDS)).clip(5, 75)), 0.0)
    truth = (1 - sinkless) * 40
    share = np.mean([covered(mean_of(list(sample), bounds=PERCENT), truth) for sample in values])
    assert share >= 0.95 - ERROR, share


@pytest.mark.parametrize("sinkless", [0.4, 0.8])
def test_the_change_of_sink_ratios_is_covered_though_many_seeds_have_no_sink(sinkless):
    draw = np.random.default_rng(2)
    base = draw.normal(40, 12, (STUDIES, SEEDS)).clip(1, 79)
    there = np.round(draw.normal(40, 12, (STUDIES, SEEDS)).clip(5, 75) / 5) * 5
    ours = np.where(draw.random((STUDIES, SEEDS)) >= sinkless, there, 0.0)
    found = [
        covered(change_of(dict(enumerate(one)), dict(enumerate(other)), bounds=PERCENT), -40 * sinkless)
        for one, other in zip(ours, base, strict=True)
    ]
    assert np.mean(found) >= 0.95 - ERROR


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9])
def test_choosing_between_pairs_and_welch_keeps_the_coverage(correlation):
    """Pairing by the sign of the correlation alone would cover 93.5 % of independent runs."""
    draw = np.random.default_rng(3)
    base, rest = draw.standard_normal((2, STUDIES, SEEDS))
    ours = correlation * base + math.sqrt(1 - correlation**2) * rest
    found = [
        covered(change_of(dict(enumerate(one)), dict(enumerate(other))), 0.0)
        for one, other in zip(ours, base, strict=True)
    ]
    assert np.mean(found) >= 0.95 - ERROR - 0.005, "choosing costs up to half a point"


def verdicts(shift: float, region: Region, keeps: bool, seeds: int = SEEDS) -> list[str]:
    """Verdicts of studies in which the true mean is ``shift`` and the standard deviation 1."""
    draws = np.random.default_rng(4).normal(shift, 1.0, (STUDIES, seeds))
    return [
        decide([Term("dyt", mean_of(list(values)), region, tuple(range(seeds)), keeps=keeps)]).verdict
        for values in draws
    ]


def test_what_lies_on_the_border_is_called_reproduced_in_at_most_five_per_cent():
    """Equivalence is two one-sided tests at 5 %; a direction has 2.5 % on its side."""
    within, above = Region.between(within=1.0), Region.between(above=0.0)
    for shift, region, keeps, most in ((1.0, within, True, 0.05), (0.0, above, False, 0.025)):
        share = verdicts(shift, region, keeps).count(REPRODUCED) / STUDIES
        assert share <= most + 3 * math.sqrt(most * (1 - most) / STUDIES)


def test_two_values_that_hardly_differ_are_equivalent_only_where_the_seeds_can_tell():
    wide, narrow = Region.between(within=3.0), Region.between(within=0.5)
    assert verdicts(0.0, wide, True).count(REPRODUCED) > 0.9 * STUDIES
    assert verdicts(0.0, narrow, True).count(UNDECIDABLE) > 0.8 * STUDIES


@pytest.mark.parametrize(("margins", "keeps"), [((1.0, math.inf), False), ((1.0, 1.0), True)])
def test_as_many_seeds_as_are_said_to_be_needed_decide_four_studies_of_five(margins, keeps):
    sample = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    known = mean_of(list(sample / sample.std(ddof=1)))  # a standard deviation of 1
    count = seeds_needed(known, margins)
    region = Region.between(within=1.0) if keeps else Region.between(above=-1.0)
    assert 5 < count < 20
    for seeds, low, high in ((count, 0.77, 0.92), (count - 2, 0.0, 0.8)):
        assert low < verdicts(0.0, region, keeps, seeds).count(REPRODUCED) / STUDIES < high


def test_as_many_seeds_are_needed_however_many_each_side_has():
    """The variances are 2 and 2.5 both times."""
    few = change_of({10: 1.0, 11: 3.0}, dict(enumerate([-2.0, -1.0, 0.0, 1.0, 2.0])))
    scale = math.sqrt(2 / 2.5)
    many = change_of(
        {10 + place: 2 + scale * value for place, value in enumerate([0.0, 2.0, -2.0, 1.0, -1.0])},
        dict(enumerate([-2.0, -1.0, 0.0, 1.0, 2.0])),
    )
    assert few.value == pytest.approx(many.value)
    assert seeds_needed(few, (2.0, math.inf)) == seeds_needed(many, (2.0, math.inf))


def test_an_effect_on_the_border_needs_more_seeds_than_any_study_has():
    assert seeds_needed(mean_of([1.0, 2.0, 4.0]), (0.0, math.inf)) is None
    assert seeds_needed(mean_of([1.0, 2.0, 4.0]), (1e-4, math.inf)) is None
