"""Figures of extreme values: infinite ones, many decades, intervals below 0, all values on each other."""

import math
from importlib import import_module

import numpy as np
import polars as pl
import pytest
import test_figures_consequences as consequences
from fake_study import fake_study
from figure_checks import ablation_style, check_layout

from spikesink.figures.ablations import abilities, ablation, training
from spikesink.figures.drawing import canvas
from spikesink.figures.drawing.channels import ROWS
from spikesink.figures.drawing.finite import draw_finite
from spikesink.figures.drawing.fit import fit_labels
from spikesink.figures.drawing.metrics import limits_of_share
from spikesink.figures.drawing.scales import LogTicks, log_scale, plain, round_ticks
from spikesink.figures.drawing.seeds import with_band
from spikesink.figures.drawing.style import style_of_variants
from spikesink.figures.mechanism import spike_lifecycle
from spikesink.tables.collecting.parts import collect


@pytest.fixture
def parts(tmp_path):
    """The parts of an ablation with four seeds of which perplexities differ by factors."""
    spread = {f"seed{seed}": {"perplexity": 20.0 * 4**seed} for seed in range(4)}
    study = fake_study(tmp_path / "study", {"norm": {"dyt": spread, "sandwich": {}}}, seeds=range(4))
    for name, table in collect(*study["norm"]).items():
        table.write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def with_gradient_norms(parts, values):
    """The parts with these gradient norms of variant dyt at the second step, one for each seed."""
    curves = pl.read_parquet(parts / "curves.parquet")
    step = sorted(set(curves["step"]))[1]
    for seed, value in enumerate(values):
        here = (pl.col("variant") == "dyt") & (pl.col("seed") == seed) & (pl.col("step") == step)
        curves = curves.with_columns(gradient_norm=pl.when(here).then(value).otherwise("gradient_norm"))
    curves.write_parquet(parts / "curves.parquet")


def drawn_training(parts):
    data, looks = training.data(parts, "norm"), ablation_style(parts, "norm")
    return data, draw_finite(lambda shown: training.draw(shown, looks), data)


@pytest.mark.parametrize("values", [(80.0, 7.0, 1.0, 1.0), (1e30, 1.0, 1.0, 1.0), (1e-9, 1.0, 1.0, 1.0)])
def test_one_gradient_norm_far_from_the_others_leaves_its_panel_readable(parts, values):
    """Limits of the linear scale that reach below 0 would empty a logarithmic panel and put its ticks on each other."""
    with_gradient_norms(parts, values)
    data, figure = drawn_training(parts)
    axis = figure.axes[1]
    low, high = axis.get_ylim()
    means = data.filter((pl.col("quantity") == "gradient_norm") & (pl.col("mark") == "mean"))["value"]
    assert axis.get_yscale() == "log" and 0 < low < means.min() and high > means.max()
    assert 2 < sum(low <= tick <= high for tick in axis.get_yticks()) < 7
    check_layout(figure, canvas.PAGE)
    band = data.filter((pl.col("quantity") == "gradient_norm") & (pl.col("mark") == "mean"))
    assert band["low"].min() > 0, "a norm is positive"


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_gradient_norms_that_are_not_finite_are_left_out_and_counted(parts, value):
    with_gradient_norms(parts, (value, value, 1.0, 1.0))
    data, figure = drawn_training(parts)
    assert "2 values are not finite and left out" in figure.get_suptitle()
    axis = figure.axes[1]
    assert np.isfinite(axis.get_ylim()).all()
    means = data.filter((pl.col("quantity") == "gradient_norm") & (pl.col("mark") == "mean"))
    assert means["value"].is_finite().all() and set(means.filter(pl.col("variant") == "dyt")["seeds"]) >= {4}
    assert not figure.axes[0].get_title(), "the loss is whole"
    check_layout(figure, canvas.PAGE)


def test_a_perplexity_has_a_geometric_mean_and_an_interval_above_0_and_says_so(parts):
    """20, 80, 320 and 1280 have the mean 425 and the t interval [-509, 1359], which no perplexity can be."""
    for family, quantity in ((ablation, "perplexity"), (abilities, "perplexity_4x")):
        data = family.data(parts, "norm")
        row = data.filter(
            (pl.col("quantity") == quantity) & (pl.col("mark") == "mean") & (pl.col("variant") == "dyt")
        ).row(0, named=True)
        seeds = data.filter(
            (pl.col("quantity") == quantity) & (pl.col("mark") == "seed") & (pl.col("variant") == "dyt")
        )["value"]
        assert row["value"] == pytest.approx(math.exp(seeds.log().mean()))
        assert 0 < row["low"] < row["value"] < row["high"] or family is abilities
        figure = family.draw(data, ablation_style(parts, "norm"))
        assert any("perplexities" in text.get_text() for text in figure.legends[0].get_texts())


def test_no_interval_leaves_what_is_possible():
    """Four losses near 0: their t interval would begin below it."""
    losses = pl.DataFrame({"step": [1] * 4, "loss": [0.001, 0.002, 0.001, 0.02]})
    free, bounded = (with_band(losses, ("step",), "loss", bounds=bounds) for bounds in (None, (0.0, math.inf)))
    assert free["low"][0] < 0 == bounded["low"][0]
    assert bounded["high"][0] == free["high"][0]


@pytest.mark.parametrize(
    ("low", "high"), [(16.3, 24.7), (10.6, 47.9), (0.17, 79.0), (1e-12, 1e30), (0.9, 1.1), (2.0, 15.0), (1e-300, 1e300)]
)
def test_a_logarithmic_axis_has_three_to_six_numbers(low, high):
    """Of 15, 20, ... 45 the last touch each other; one number alone says nothing of a scale."""
    assert 3 <= len(LogTicks().tick_values(low, high)) <= 6
    figure = canvas.new_figure(2.0, 2.0)
    axis = figure.subplots()
    axis.set_xlim(low, high)
    log_scale(axis.xaxis)
    check_layout(figure)


def test_values_that_lie_close_together_have_a_part_of_a_shares_range():
    assert limits_of_share((0.0, 100.0), [0.0, 40.0]) == (-4.0, 104.0)
    assert limits_of_share((0.0, 100.0), [24.0, 25.0]) == pytest.approx((19.1, 29.9))
    assert limits_of_share((0.0, 100.0), [0.2, 0.4]) == pytest.approx((-0.4, 10.4))
    assert limits_of_share((0.0, 1.0), [1.0]) == pytest.approx((0.896, 1.004))
    assert limits_of_share((0.0, 1.0), []) == pytest.approx((-0.04, 1.04))


def test_the_name_of_an_axis_is_no_longer_than_the_axis():
    """Else it touches the name of the next panel, or leaves the figure."""
    figure = canvas.new_figure(3.0, 3.4)
    for axis in figure.subplots(2, 2).flatten():
        axis.set(xlabel="A long name of an axis (and what it means)", ylabel=r"$\log_{10}$ of a quantity with a name")
    fit_labels(figure)
    check_layout(figure)
    for axis in figure.axes:
        box = axis.get_window_extent()
        assert "\n" in axis.get_xlabel() and axis.xaxis.label.get_window_extent().width <= box.width + 1
        assert axis.yaxis.label.get_window_extent().height <= box.height + 1


def test_a_name_breaks_before_its_unit():
    figure = canvas.new_figure(3.0, 1.7)
    axis = figure.subplots()
    axis.set_ylabel("Outlier ratio (position 0 / later)")
    fit_labels(figure)
    assert axis.get_ylabel() == "Outlier ratio\n(position 0 / later)"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001, "0.001"), (100000, "100000"), (1e6, "$10^{6}$"), (3e-7, r"$3\times10^{-7}$"), (2.5, "2.5")],
)
def test_numbers_of_many_zeros_are_powers_of_ten(value, text):
    assert plain(value) == text


@pytest.mark.parametrize(
    ("high", "whole", "step"), [(2.9, False, 1), (0.04, False, 0.01), (63, True, 20), (7, True, 2)]
)
def test_ticks_stand_at_round_numbers(high, whole, step):
    """Matplotlib's own locator of whole numbers counts in steps of 0.8 and of 15."""
    axis = canvas.new_figure(3.0, 1.7).subplots()
    axis.set_xlim(0, high)
    round_ticks(axis.xaxis, 5, whole)
    assert np.diff(axis.get_xticks()) == pytest.approx(step)


@pytest.mark.parametrize("name", ("interventions", "context_use", "quantisation", "streaming"))
def test_an_infinite_value_of_a_measure_leaves_the_rest_of_the_figure(name):
    """A perplexity may be too large for a number."""
    module = import_module(f"spikesink.figures.mechanism.{name}")
    tables = consequences.tables()
    data = module.data({"a model": {question: tables[question] for question in module.QUESTIONS}})
    column = next(column for column in ("perplexity", "value", "cost", "nll") if column in data.columns)
    last = pl.int_range(pl.len()) == pl.len() - 1
    data = data.with_columns(pl.when(last).then(math.inf).otherwise(column).alias(column))
    figure = draw_finite(lambda shown: module.draw(shown, style_of_variants(["a model"])), data)
    assert figure.get_suptitle().endswith("1 value is not finite and left out")
    assert all(np.isfinite([*axis.get_xlim(), *axis.get_ylim()]).all() for axis in figure.axes)


@pytest.mark.parametrize("blocks", [2, 18])
def test_panels_keep_their_height_below_a_title_of_many_lines(blocks):
    """A model without a BOS may have 18 step-up blocks, which its title names."""
    roles = ["step_up"] * blocks + ["plateau"] * (20 - blocks)
    names = [name for _, channels in ROWS for name in channels]
    points = [("M", block + 1, name, 10.0 ** (block % 5), role) for name in names for block, role in enumerate(roles)]
    data = pl.DataFrame(points, schema=spike_lifecycle.COLUMNS, orient="row")
    figure = spike_lifecycle.draw(data, style_of_variants(["M"]))
    fit_labels(figure)
    above, below = figure.axes[:2]
    assert above.get_title().count("\n") == (1 if blocks == 2 else 4)
    assert above.get_window_extent().height > 0.8 * 100, "of 1.15 inches that a row has"
    assert not above.yaxis.label.get_window_extent().overlaps(below.yaxis.label.get_window_extent())
