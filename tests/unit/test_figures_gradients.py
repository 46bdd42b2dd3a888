"""Figures of gradients, layers and dynamics: what stands in the tables is what is drawn."""

import subprocess
import sys

import models
import numpy as np
import polars as pl
import pytest
import torch
from figure_checks import draw_models
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection, PolyCollection, QuadMesh

from spikesink.figures.drawing.finite import draw_finite
from spikesink.figures.drawing.style import style_of_variants
from spikesink.figures.mechanism import (
    dynamics,
    gradient_paths,
    gradient_sinks,
    layer_phenomena,
    reshaping,
    valve_strength,
)
from spikesink.measures.onsets import onsets
from spikesink.measures.questions import dynamics as dynamics_measure
from spikesink.measures.questions import gradients as gradients_measure
from spikesink.measures.questions import reshaping as reshaping_measure
from spikesink.measures.questions.layers import layers
from spikesink.measures.questions.valve_strength import valve_strength as valve_table

FAMILIES = (dynamics, gradient_paths, gradient_sinks, layer_phenomena, reshaping, valve_strength)
LENGTH = 20


def tables_of(**overrides) -> dict[str, pl.DataFrame]:
    """All tables that these figures read, of a tiny model and three made-up snapshots of it."""
    rows = models.tokens(3, LENGTH + 1)
    model = models.decoder(**overrides)
    gradients = gradients_measure.gradients(model, rows)
    points = reshaping_measure.reshaping(model, rows)
    snapshots = []
    for step, scale in ((5, 0.2), (50, 1.0), (100, 3.0)):
        with torch.no_grad():
            for block in model.blocks[::2]:
                block.body.q.weight.mul_(scale)
        snapshots += dynamics_measure.snapshot_summary(model, rows, step=step)
    lists = {
        "gradients": gradients,
        "gradient_sink_ratio": gradients_measure.gradient_sink_ratio(gradients),
        "reshaping": points,
        "reshaping_slopes": reshaping_measure.reshaping_slopes(points),
        "layers": layers(models.decoder(**overrides), rows[:, :-1]),
        "valve_strength": valve_table(model),
        "snapshot_summary": snapshots,
        "onsets": onsets(snapshots),
    }
    return {name: pl.DataFrame(table, infer_schema_length=None) for name, table in lists.items()}


@pytest.fixture(scope="module")
def pair() -> dict[str, dict[str, pl.DataFrame]]:
    v_scale = tables_of(value_valve={"kind": "v_scale"})
    theta = pl.Series([0.1 * (-1) ** row * row for row in range(len(v_scale["valve_strength"]))])
    v_scale["valve_strength"] = v_scale["valve_strength"].with_columns(theta=theta)
    return {"baseline": tables_of(), "V-scale": v_scale}


def inside(figure) -> None:
    """Every text lies within the page, and no two panels overlap."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    page = figure.bbox
    texts = [text for axis in figure.axes for text in (axis.title, axis.xaxis.label, axis.yaxis.label)]
    for text in texts + [text for legend in figure.legends for text in legend.get_texts()]:
        box = text.get_window_extent()
        if text.get_text():
            assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, text.get_text()
            assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, text.get_text()
    boxes = [axis.get_window_extent() for axis in figure.axes]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.rsplit(".", 1)[1])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_figure_draws_one_to_three_models_with_its_tables_alone(family, count, pair):
    chosen = dict(
        list({"V-scale": pair["V-scale"], **pair, "a third model with a long name": pair["baseline"]}.items())[:count]
    )
    only = {label: {question: tables[question] for question in family.QUESTIONS} for label, tables in chosen.items()}
    figure = draw_models(family, only)
    inside(figure)
    assert "2603.17771" in family.CAPTION


def panel(figure, word: str):
    """The panel whose y label or title holds a word."""
    return next(axis for axis in figure.axes if word in axis.get_ylabel() or word in axis.get_title())


def test_gradient_sinks_mark_token_0_and_spread_the_rest(pair):
    figure = draw_models(gradient_sinks, pair)
    for axis, tables in zip(figure.axes, pair.values(), strict=True):
        (marks,) = (child for child in axis.collections if isinstance(child, PathCollection))
        first = tables["gradients"].filter(pl.col("position") == 0).sort("layer")
        np.testing.assert_allclose(marks.get_offsets()[:, 1], np.log10(first["input"].to_numpy()))
        violins = [child for child in axis.collections if isinstance(child, PolyCollection)]
        assert len(violins) == 2
        for layer, violin in enumerate(violins):
            rest = tables["gradients"].filter((pl.col("layer") == layer) & (pl.col("position") > 0))
            heights = violin.get_paths()[0].vertices[:, 1]
            assert heights.min() == pytest.approx(np.log10(rest["input"].min()))
            assert heights.max() == pytest.approx(np.log10(rest["input"].max()))
        ratios = tables["gradient_sink_ratio"]["ratio"]
        low, high = (ratios.quantile(share, "linear") for share in (0.25, 0.75))
        assert f"R = {ratios.median():.1f} [{low:.1f}, {high:.1f}]" in axis.get_title()
        assert f"uniform: {tables['gradient_sink_ratio']['ratio_uniform'].median():.1f}" in axis.get_title()
        dashes = [line.get_ydata()[0] for line in axis.lines]
        np.testing.assert_allclose(dashes, np.log10(first["input_uniform"].to_numpy()))
    assert "nabla" in figure.axes[0].get_ylabel()


def test_gradient_sinks_survive_positions_without_gradient(pair):
    """Outside of a loss window norms are zero and have no logarithm."""
    zeros = pl.when(pl.col("position") > 9).then(0.0).otherwise("input").alias("input")
    tables = pair["baseline"] | {"gradients": pair["baseline"]["gradients"].with_columns(zeros)}
    figure = draw_models(gradient_sinks, {"baseline": tables})
    assert np.isfinite(figure.axes[0].dataLim.get_points()).all()


def test_a_ratio_that_no_layer_has_is_none_and_no_value_that_is_left_out(pair):
    """Of a model without gradient at its first positions, and of a study that was measured before the null existed."""
    tables = pair["baseline"]
    ratios = tables["gradient_sink_ratio"]
    without = {
        "none": ratios.with_columns(ratio=pl.lit(None, pl.Float64)),
        f"{ratios['ratio'].median():.1f}": ratios.drop("ratio_uniform"),
    }
    for found, table in without.items():
        data = gradient_sinks.data({"M": tables | {"gradient_sink_ratio": table}})
        figure = draw_finite(lambda shown: gradient_sinks.draw(shown, style_of_variants(["M"])), data)
        assert f"R = {found}" in figure.axes[0].get_title()
        assert figure.get_suptitle() == ""


def test_gradient_paths_are_means_over_layers(pair):
    figure = draw_models(gradient_paths, pair)
    assert [axis.get_title().split(",")[0] for axis in figure.axes] == ["Queries", "Keys", "Values"]
    for path, axis in zip(("query", "key", "value"), figure.axes, strict=True):
        assert axis.get_yscale() == "log"
        lines = [line for line in axis.lines if len(line.get_xdata()) > 1]
        if path == "value":
            for null, tables in zip(lines[1::2], pair.values(), strict=True):
                means = tables["gradients"].group_by("position").agg(pl.col("value_uniform").mean()).sort("position")
                np.testing.assert_allclose(null.get_ydata(), means["value_uniform"].to_numpy())
            lines = lines[::2]
        for line, tables in zip(lines, pair.values(), strict=True):
            means = tables["gradients"].group_by("position").agg(pl.col(path).mean()).sort("position")
            position = np.array(line.get_xdata())
            # The first query has no gradient; rounding is not drawn.
            assert list(position) == list(range(1 if path == "query" else 0, LENGTH))
            np.testing.assert_allclose(line.get_ydata(), means[path].to_numpy()[position])
    assert len([line for line in figure.axes[2].lines if len(line.get_xdata()) == 1]) == 2


def test_reshaping_draws_every_point_and_prints_the_slopes(pair):
    figure = draw_models(reshaping, pair)
    assert len(figure.axes) == 2 * 2 * 3
    rows = [axis.get_ylabel().split()[-1] for axis in figure.axes if axis.get_ylabel()]
    assert rows == ["Bloat", "Change", "Compress"]
    points = pair["baseline"]["reshaping"].filter(pl.col("branch") == "attention")
    compress = figure.axes[8]
    offsets = np.concatenate([child.get_offsets() for child in compress.collections])
    assert len(offsets) == len(points)
    expected = sorted(np.log10(points["compress"].to_numpy()))
    np.testing.assert_allclose(sorted(offsets[:, 1]), expected)
    by_group = {child.get_label(): len(child.get_offsets()) for child in compress.collections}
    assert by_group == dict(points.group_by("group").len().iter_rows())
    slopes = pair["baseline"]["reshaping_slopes"].filter(
        pl.col("block").is_null()
        & pl.col("group").is_null()
        & (pl.col("branch") == "attention")
        & (pl.col("quantity") == "compress")
    )
    text = f"slope {slopes['slope_within'][0]:.2f} within blocks,\n{slopes['slope'][0]:.2f} over all"
    assert compress.get_title() == text.replace("-", "−")
    # A line of slope -1 for every block, half of the block's points above it and half below.
    assert len(compress.lines) == points["block"].n_unique() == 2
    for line, block in zip(compress.lines, (1, 3), strict=True):
        (x, other), (y, below) = line.get_xdata(), line.get_ydata()
        own = points.filter(pl.col("block") == block)
        assert (below - y) / (other - x) == pytest.approx(-1)
        above = own.select((pl.col("compress").log10() + pl.col("input_norm").log10() > x + y + 1e-9).mean()).item()
        assert above == pytest.approx(0.5, abs=0.02)
    assert reshaping.signed(-0.001) == "0.00"


def test_layer_phenomena_hold_token_0_early_tokens_and_the_sink_rate(pair):
    figure = draw_models(layer_phenomena, pair)
    rate = panel(figure, "Sink rate")
    for line, tables in zip(rate.lines, pair.values(), strict=True):
        assert list(line.get_ydata()) == tables["layers"]["sink_rate"].to_list()
    for site, word in (("stream", "Residual"), ("feed_forward", "Feed-forward"), ("attention", "Attention")):
        drawn = [list(line.get_ydata()) for line in panel(figure, word).lines]
        expected = [
            tables["layers"][f"{site}_{end}"].to_list() for tables in pair.values() for end in ("token0", "early_mean")
        ]
        assert drawn == expected
    # A valve adds the values before it.
    assert len(panel(figure, "Values").lines) == 2 + 3
    assert len(panel(draw_models(layer_phenomena, {"baseline": pair["baseline"]}), "Values").lines) == 2


def test_valve_maps_are_theta_around_zero(pair):
    figure = draw_models(valve_strength, pair)
    maps = [child for axis in figure.axes for child in axis.collections if isinstance(child, QuadMesh)]
    maps = [mesh for mesh in maps if mesh.get_array().shape == (2, 4)]
    assert len(maps) == 1  # the baseline has no valve
    theta = pair["V-scale"]["valve_strength"].sort("layer", "head")["theta"].to_numpy().reshape(2, 4)
    np.testing.assert_array_equal(maps[0].get_array(), theta)
    assert maps[0].norm.vmin == -maps[0].norm.vmax == -np.abs(theta).max()
    assert figure.axes[0].get_ylabel() == "Layer"


def test_valve_maps_tell_keys_from_values_and_say_when_there_is_none(pair):
    keys = tables_of(key_valve={"kind": "v_scale"}, value_valve={"kind": "v_scale"})
    figure = draw_models(valve_strength, {"both": keys})
    assert [axis.get_xlabel() for axis in figure.axes[:2]] == ["Value head", "Key head"]
    empty = draw_models(valve_strength, {"baseline": pair["baseline"]})
    assert [text.get_text() for text in empty.texts] == ["No learned valve"]
    fixed = tables_of(value_valve={"kind": "v_scale_backward_only"})
    assert [text.get_text() for text in draw_models(valve_strength, {"fixed": fixed}).texts] == ["No learned valve"]


def test_the_valves_of_second_branches_have_a_map_of_their_own():
    """Two layers of two branches with two heads each, whose thetas are 0 to 7 in the order of the blocks."""
    rows = [
        {"path": "value", "block": block, "layer": (block - 1) // 2, "head": head, "theta": 2.0 * (block - 1) + head}
        for block in (1, 2, 3, 4)
        for head in (0, 1)
    ]
    figure = draw_models(valve_strength, {"M": {"valve_strength": pl.DataFrame(rows)}})
    first, second = (axis.collections[0].get_array().tolist() for axis in figure.axes[:2])
    assert first == [[0, 1], [4, 5]] and second == [[2, 3], [6, 7]]
    assert [axis.get_title() for axis in figure.axes[:2]] == ["M", "M,\nsecond branch"]


def test_dynamics_draw_a_course_per_layer_the_models_its_rest_and_its_onset(pair):
    """Planted onset: the model's attention has risen half way after step 5 and by step 50."""
    tables = pair["baseline"]
    planted = {"rest": 0.1, "final": 0.3, "half": 0.2, "after": 5, "by": 50}
    is_sink = (pl.col("quantity") == "sink_mass") & pl.col("block").is_null()
    changed = [
        pl.when(is_sink).then(pl.lit(value)).when(pl.col("block").is_null()).then(None).otherwise(name).alias(name)
        for name, value in planted.items()
    ]
    figure = draw_models(dynamics, {"baseline": tables | {"onsets": tables["onsets"].with_columns(changed)}})
    assert len(figure.axes) == 3 and all(axis.get_xscale() == "log" for axis in figure.axes)
    axis = figure.axes[0]
    courses = [list(line.get_ydata()) for line in axis.lines if list(line.get_xdata()) == [5, 50, 100]]
    summary = tables["snapshot_summary"]
    for layer, course in enumerate(courses[:2]):
        members = summary.filter(pl.col("layer") == layer)
        expected = members.group_by("step").agg(pl.col("sink_mass").mean()).sort("step")["sink_mass"]
        assert course == pytest.approx(expected.to_list())
    whole = summary.group_by("step").agg(pl.col("sink_mass").mean()).sort("step")["sink_mass"]
    assert courses[2] == pytest.approx(whole.to_list())
    bars = [line for line in axis.lines if list(line.get_xdata()) == [5, 50]]
    assert [list(bar.get_ydata()) for bar in bars] == [[0.2, 0.2]]
    rests = [[line.get_ydata()[0] for line in one.lines if line.get_linestyle() == "--"] for one in figure.axes]
    assert rests == [[0.1], [], []]


def test_importing_a_figure_needs_no_torch():
    """Figures are drawn from tables alone, where torch need not be installed."""
    names = ", ".join(family.__name__ for family in FAMILIES)
    program = f"import sys, {names}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
