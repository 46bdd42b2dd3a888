"""Figures: the right data on the axes, nothing cut off, the same bytes when drawn again."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from fake_study import fake_study
from figure_checks import ablation_style, draw_ablation
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from spikesink.figures.ablations import abilities, ablation, lifecycle, sink_map, training
from spikesink.figures.drawing import style, sweeps
from spikesink.figures.drawing.files import save
from spikesink.figures.drawing.grid import columns_for
from spikesink.quantities import QUANTITIES
from spikesink.tables.collecting.parts import collect

FAMILIES = {"abilities": abilities, "ablation": ablation, "lifecycle": lifecycle, "sink_map": sink_map}
FAMILIES["training"] = training
NORM = {
    "norm": {
        "sandwich": {
            "perplexity": 18.0,
            "spike": 400.0,
            "sink": 0.25,
            "label": "A label that is much longer than others",
        },
        "dyt": {"perplexity": 22.0, "spike": 4.0, "sink": 0.75},
        "failed": {"status": "diverged"},
    }
}


def collected(root, ablations, name, **options):
    root.mkdir(parents=True)
    parts = root / "parts"
    parts.mkdir()
    for table_name, table in collect(*fake_study(root, ablations, **options)[name]).items():
        table.write_parquet(parts / f"{table_name}.parquet")
    return parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return collected(tmp_path_factory.mktemp("norm") / "study", NORM, "norm", seeds=(0, 1))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return collected(tmp_path_factory.mktemp("small") / "study", {"norm": {"dyt": {}}}, "norm", rows=10)


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory):
    return collected(tmp_path_factory.mktemp("one") / "study", NORM, "norm")


@pytest.mark.parametrize("family", FAMILIES)
def test_all_files_are_the_same_bytes_twice(family, small, tmp_path):
    module = FAMILIES[family]
    for name in ("first", "second"):
        save(draw_ablation(module, small, "norm"), module.data(small, "norm"), str(tmp_path / name))
    for kind in ("pdf", "png", "csv"):
        assert (tmp_path / f"first.{kind}").read_bytes() == (tmp_path / f"second.{kind}").read_bytes()


def test_a_figure_is_drawn_once_for_each_picture(small, tmp_path, monkeypatch):
    """A layout needs no drawing, which takes as long as a picture."""
    drawn = []
    monkeypatch.setattr(
        Figure, "draw", lambda figure, *rest, _draw=Figure.draw: (drawn.append(1), _draw(figure, *rest))
    )
    save(draw_ablation(training, small, "norm"), training.data(small, "norm"), str(tmp_path / "figure"))
    assert len(drawn) == 2


def test_the_ablation_panels_carry_every_run_and_the_baselines_mean(parts):
    figure = draw_ablation(ablation, parts, "norm")
    runs = pl.read_parquet(parts / "runs.parquet").filter(pl.col("status") == "finished")
    shown = ("perplexity", "sink_ratio", "sink_mass_mean", "spike_over_median", "spike_over_elsewhere", "spike")
    assert [axis.get_xlabel() for axis in figure.axes] == [QUANTITIES[name].label for name in shown]
    for axis, quantity in zip(figure.axes, shown, strict=True):
        drawn = sorted(x for marks in axis.collections for x in marks.get_offsets()[:, 0] if not np.ma.is_masked(x))
        assert set(np.round(runs[quantity], 6)) <= set(np.round(drawn, 6))
    reference = figure.axes[0].lines[0].get_xdata()
    assert reference[0] == pytest.approx(20.0)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == "baseline" and labels[3] == "failed\ndiverged: 2 of 2 seeds"
    assert [axis.get_xscale() for axis in figure.axes] == ["linear"] * 3 + ["log"] * 3
    legend = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    assert "mean of 2 seeds" in legend and "of perplexities and spikes: geometric mean" in legend
    diamonds = next(marks for marks in points(figure.axes[2]) if marks.get_facecolors().size == 0)
    assert diamonds.get_offsets()[0, 0] <= 1, "the largest head's attention is a share, as its axis"


def test_the_legend_says_what_the_long_bar_of_seeds_without_a_sink_is(parts, tmp_path):
    runs = pl.read_parquet(parts / "runs.parquet")
    for sinks, is_long in ((0.0, True), (100.0, True), (1.0, False)):
        planted = pl.when(pl.col("variant") == "dyt").then(sinks).otherwise("sink_ratio").alias("sink_ratio")
        runs.with_columns(planted).write_parquet(tmp_path / "runs.parquet")
        figure = draw_ablation(ablation, tmp_path, "norm")
        said = " ".join(text.get_text() for text in figure.legends[0].get_texts())
        assert ("half of the seeds at 0 or 100 %:\nGaffke's interval" in said) == is_long
        assert (84 in lengths(figure.axes[1])) == is_long, "Clopper and Pearson's of two seeds on a bound"


def points(axis) -> list[PathCollection]:
    return [marks for marks in axis.collections if isinstance(marks, PathCollection)]


def test_an_interval_longer_than_the_values_span_is_cut_with_an_arrowhead(parts, tmp_path):
    """Two seeds without induction have an interval of 0 to 84 %, which would hide what the other seeds differ in."""
    runs = pl.read_parquet(parts / "runs.parquet")
    planted = pl.when(pl.col("variant") == "dyt").then(0.0).otherwise(pl.col("seed") * 0.2).alias("induction_accuracy")
    runs.with_columns(planted).write_parquet(tmp_path / "runs.parquet")
    axis = draw_ablation(abilities, tmp_path, "norm").axes[1]
    assert axis.get_xlabel() == QUANTITIES["induction_accuracy"].label
    assert axis.get_xlim() == pytest.approx((-0.4, 10.4)) and 84 in lengths(axis)
    cuts = [(*line.get_xydata()[0], line.get_marker()) for line in axis.lines if line.get_marker() in ("<", ">")]
    assert (1, 2, ">") in cuts and not any(marker == "<" for *_, marker in cuts)


def lengths(axis) -> set[int]:
    """Of the intervals in a panel, in whole units."""
    found = (lines.get_segments() for lines in axis.collections if hasattr(lines, "get_segments"))
    return {round(abs(end[0] - start[0])) for segments in found for start, end in segments}


def test_what_was_not_measured_has_no_panel(parts, tmp_path):
    """A study that was published before a quantity existed."""
    pl.read_parquet(parts / "runs.parquet").drop("spike_over_elsewhere").write_parquet(tmp_path / "runs.parquet")
    figure = draw_ablation(ablation, tmp_path, "norm")
    assert len(figure.axes) == 5 and QUANTITIES["spike_over_elsewhere"].label not in {
        axis.get_xlabel() for axis in figure.axes
    }


def test_the_abilities_are_those_of_the_runs_and_chance_is_on_the_axis(parts):
    """An ability that no run was asked for has no panel; where none was measured, the figure says so."""
    figure = draw_ablation(abilities, parts, "norm")
    runs = pl.read_parquet(parts / "runs.parquet").filter(pl.col("status") == "finished")
    panels = ("context_gain", "induction_accuracy", "retrieval_choice", "perplexity_4x")
    assert [axis.get_xlabel() for axis in figure.axes] == [QUANTITIES[name].label for name in panels]
    for axis, quantity in zip(figure.axes, panels, strict=True):
        drawn = [x for marks in axis.collections for x in marks.get_offsets()[:, 0] if not np.ma.is_masked(x)]
        assert set(np.round(runs[quantity], 6)) <= set(np.round(drawn, 6))
    assert figure.axes[2].lines[-1].get_xdata() == [25, 25]
    bare = abilities.data(parts, "norm").with_columns(quantity=None, value=None).unique("variant", maintain_order=True)
    assert "not measured" in abilities.draw(bare, ablation_style(parts, "norm")).texts[0].get_text()


def test_the_mean_of_spikes_is_the_tables_geometric_mean(tmp_path):
    spikes = {"norm": {"dyt": {"seed0": {"spike": 20.0}, "seed1": {"spike": 2000.0}}}}
    figure = draw_ablation(ablation, collected(tmp_path / "study", spikes, "norm", seeds=(0, 1)), "norm")
    means = {float(x) for marks in figure.axes[5].collections for x, _ in marks.get_offsets()}
    assert any(mean == pytest.approx(200.0) for mean in means)
    assert not any(mean == pytest.approx(1010.0) for mean in means), "the arithmetic mean"


HEADS = {
    "baseline": {"heads": 4, "head_dim": 32},
    "head_dim": {
        "heads8_dim16": {"heads": 8, "head_dim": 16, "perplexity": 21.0},
        "heads4_dim8": {"heads": 4, "head_dim": 8, "perplexity": 25.0},
        "heads2_dim32": {"heads": 2, "head_dim": 32, "perplexity": 23.0},
    },
}


def test_head_dimensions_are_an_axis_with_a_line_per_sweep(tmp_path):
    figure = draw_ablation(ablation, collected(tmp_path / "study", HEADS, "head_dim"), "head_dim")
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["8", "16", "32"]
    lines = [list(zip(line.get_xdata(), np.round(line.get_ydata(), 6), strict=True)) for line in axis.lines]
    assert [(16, 21.0), (32, 20.0)] in lines and [(8, 25.0), (32, 20.0)] in lines


@pytest.mark.parametrize(("dims", "is_sweep"), [((16, 8, 8), False), ((16, 16, 8), False), ((16, 8, 4), True)])
def test_variants_of_one_shape_keep_their_names(dims, is_sweep):
    """They differ in something else as well, and one line through them would join what is not comparable."""
    shapes = {"variant": ["baseline", "a", "b"], "heads": [4] * 3, "head_dim": dims}
    assert sweeps.changes_heads_only(pl.DataFrame(shapes)) == is_sweep
    more_heads = pl.DataFrame(shapes | {"heads": [4, 4, 8]})
    assert sweeps.changes_heads_only(more_heads) == (dims != (16, 16, 8))


def test_a_shape_belongs_to_the_sweep_of_what_it_keeps():
    shapes = {(8, 16): sweeps.WIDTH, (4, 8): sweeps.HEADS, (2, 32): sweeps.HEAD_DIM, (3, 8): sweeps.OTHER}
    assert {shape: sweeps.sweep_of(*shape, (4, 32)) for shape in shapes} == shapes


def test_the_lifecycle_carries_the_three_channels_of_stream_and_output(one_seed):
    figure = draw_ablation(lifecycle, one_seed, "norm")
    stream, output = (axis for axis in figure.axes if axis.get_subplotspec().is_first_col())
    states = pl.read_parquet(one_seed / "states.parquet").filter(pl.col("variant") == "baseline")
    for line, name in zip(stream.lines, ("top1", "top2", "top3", "median"), strict=True):
        assert list(line.get_ydata()) == pytest.approx(states[name].to_list())
        assert list(line.get_xdata()) == list(range(5))
    assert list(output.lines[0].get_xdata()) == [1, 2, 3, 4], "the embedding has no block output"
    assert stream.get_yscale() == "log"


def test_the_sink_map_is_layers_by_heads_with_a_dot_per_sink(one_seed):
    figure = draw_ablation(sink_map, one_seed, "norm")
    heads = pl.read_parquet(one_seed / "heads.parquet")
    baseline = heads.filter(pl.col("variant") == "baseline")
    baseline = baseline.sort("layer", pl.col("sink_mass"), descending=[False, True])
    axis = figure.axes[0]
    mesh, above, elsewhere = axis.collections
    assert mesh.get_array().ravel().tolist() == pytest.approx(baseline["sink_mass"].to_list())
    assert len(above.get_offsets()) == 4 and len(elsewhere.get_offsets()) == 0
    assert mesh.get_clim() == (0, pytest.approx(heads["sink_mass"].max())), "one scale for all variants"


def test_heads_of_a_layer_are_sorted_before_seeds_are_averaged(parts, tmp_path):
    """Which head has the sink differs by seed: averaged by its number, two whole sinks would be four halves."""
    heads = pl.read_parquet(parts / "heads.parquet").filter(pl.col("variant") == "baseline")
    swapped = (pl.col("head") == 0) == (pl.col("seed") == 0)  # head 0 in the first seed, another in the second
    only = heads.filter((pl.col("layer") == 0) & (pl.col("head") < 2))
    only.with_columns(sink_mass=pl.when(swapped).then(0.9).otherwise(0.1)).write_parquet(tmp_path / "heads.parquet")
    pl.read_parquet(parts / "runs.parquet").write_parquet(tmp_path / "runs.parquet")
    found = sink_map.data(tmp_path, "norm").filter(pl.col("variant") == "baseline")
    assert found.select("rank", "seeds", "sink_mass").rows() == [(0, 2, 0.9), (1, 2, 0.1)]


def test_a_sink_at_position_0_in_some_seeds_is_no_sink_elsewhere(parts, tmp_path):
    """The key with most attention is position 0 in both seeds: on average 0.295 there, and 0.31 on the largest key."""
    heads = pl.read_parquet(parts / "heads.parquet").filter(pl.col("variant") == "baseline")
    only = heads.filter((pl.col("layer") == 0) & (pl.col("head") == 0)).sort("seed")
    planted = {"sink_mass": [0.58, 0.01], "largest_key_mass": [0.6, 0.02]}
    pl.read_parquet(parts / "runs.parquet").write_parquet(tmp_path / "runs.parquet")
    for position, dots in ((0, 0), (5, 1)):
        only.with_columns(
            *(pl.Series(name, values) for name, values in planted.items()), sink_position=position
        ).write_parquet(tmp_path / "heads.parquet")
        assert len(sink_map.data(tmp_path, "norm").filter(sink_map.ELSEWHERE)) == dots


def test_the_difference_to_the_baseline_is_paired_by_seed(parts):
    curves = training.with_smoothed(pl.read_parquet(parts / "curves.parquet"))
    paired = training.against_baseline(curves)
    assert "failed" not in paired["variant"].to_list()
    assert paired.filter(pl.col("variant") == "baseline")["difference"].abs().max() == 0
    one = paired.filter((pl.col("variant") == "dyt") & (pl.col("seed") == 1)).sort("step")["difference"]
    loss = {
        name: curves.filter((pl.col("variant") == name) & (pl.col("seed") == 1)).sort("step")["loss_smooth"]
        for name in ("dyt", "baseline")
    }
    assert one.to_list() == pytest.approx((loss["dyt"] - loss["baseline"]).to_list())


@pytest.mark.parametrize(("early", "note"), [(-3.0, "off the scale early: to −3"), (-0.3, "")])
def test_a_difference_that_leaves_the_scale_early_is_in_a_note(early, note, parts):
    """The first tenth is transient; where lines leave the scale, a reader should know how far."""
    data = training.data(parts, "norm")
    mine = (pl.col("variant") == "dyt") & (pl.col("quantity") == "difference")
    late = pl.when(pl.col("tokens") > 6000).then(-0.5).otherwise(early)
    data = data.with_columns(value=pl.when(mine).then(late).otherwise("value"))
    *others, difference = training.draw(data, ablation_style(parts, "norm")).axes
    assert difference.get_title() == note
    assert not any(axis.get_title() for axis in others)


def test_a_run_that_did_not_finish_is_drawn_apart_from_the_means(parts):
    figure = draw_ablation(training, parts, "norm")
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == 2
    assert all(
        line.get_color() == style.style_of_variants(["baseline", "sandwich", "dyt", "failed"])["failed"].colour
        for line in crosses
    )


def test_looks_are_fixed_by_order_and_never_repeat():
    names = ["baseline", *(f"variant{index}" for index in range(11))]
    looks = style.style_of_variants(names)
    assert looks["baseline"].colour == style.BASELINE_COLOUR
    assert len(set(looks.values())) == len(names)
    assert style.style_of_variants(names[:4]) == {name: looks[name] for name in names[:4]}


@pytest.mark.parametrize(("panels", "columns"), [(2, 2), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4), (9, 3)])
def test_grids_leave_few_holes(panels, columns):
    assert columns_for(panels) == columns


def test_the_wrong_folder_is_one_line_and_status_1(parts, tmp_path):
    command = [
        sys.executable,
        "-m",
        "spikesink.figures.ablations",
        "sink_map",
        "--parts",
        str(parts),
        "--ablation",
        "ffn",
    ]
    result = subprocess.run([*command, "--output", str(tmp_path / "figure")], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "not ffn" in result.stderr


def test_families_that_need_no_seaborn_import_no_pandas():
    code = "import sys; from spikesink.figures.ablations import lifecycle, sink_map, training;"
    code += "sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
