"""Figures for print: the widths of a column and a page, fonts in the PDF, and beside each the values drawn."""

from importlib import import_module

import models
import numpy as np
import planted_spikes
import polars as pl
import pytest
import test_figures_consequences as consequences
import test_figures_gradients as gradients
import test_figures_spike as spike
from fake_study import fake_study
from figure_checks import (
    ablation_style,
    check_drawn_from_its_csv,
    check_layout,
    draw_ablation,
    draw_models,
)
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from spikesink.figures import compared, overview
from spikesink.figures.ablations import abilities, ablation, lifecycle, sink_map, training
from spikesink.figures.catalogue import ABLATION_FIGURES, MECHANISM_FIGURES
from spikesink.figures.drawing import canvas, ends, style
from spikesink.figures.drawing.metrics import PANELS
from spikesink.study.errors import InputError
from spikesink.tables.collecting.parts import collect
from spikesink.tables.inputs import read_table
from spikesink.tables.statistics.intervals import mean_of
from spikesink.tables.statistics.statistics import statistics

FAMILIES = {"abilities": abilities, "ablation": ablation, "lifecycle": lifecycle, "sink_map": sink_map}
FAMILIES["training"] = training
WIDTHS = {"column": canvas.COLUMN, "page": canvas.PAGE}
SEEDS = {f"seed{seed}": {"perplexity": 20.0 + seed, "spike": 50.0 * 3**seed} for seed in range(5)}
NORM = {
    "sandwich": SEEDS | {"label": "a sandwich with a long label"},
    "dyt": {"perplexity": 24.0, "spike": 4.0, "sink": 0.75},
    "failed": {"status": "diverged"},
}
STUDIES = {
    "norm": ({"norm": NORM}, range(5)),
    "two_seeds": ({"norm": NORM}, range(2)),
    "many": ({"norm": {f"variant_{index}": {"perplexity": 18.0 + index} for index in range(13)}}, range(2)),
    "heads": (
        {
            "baseline": {"heads": 4, "head_dim": 32},
            "norm": {
                f"heads{heads}_dim{dim}": {
                    "heads": heads,
                    "head_dim": dim,
                    "perplexity": 20 + 8 / dim + heads / 50,
                    "spike": 9.0 * dim,
                }
                for heads, dim in ((8, 16), (16, 8), (4, 4), (4, 8), (1, 32), (2, 32), (8, 32), (2, 8))
            },
        },
        range(3),
    ),
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The folder with the parts of a planted ablation, "norm" of one of STUDIES."""
    made = {}

    def make(name):
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            ablations, seeds = STUDIES[name]
            for table, rows in collect(*fake_study(root / "study", ablations, seeds=seeds)["norm"]).items():
                rows.write_parquet(root / f"{table}.parquet")
            made[name] = root
        return made[name]

    return make


@pytest.fixture(scope="module")
def measured():
    """By figure a plain model and one with a planted spike or a valve, with the tables that the figure reads."""
    tables = {
        "none": spike.tables(models.decoder()) | gradients.tables_of() | consequences.tables(),
        "a valve or a spike, with a long label": spike.tables(planted_spikes.amplified([0, 9], down=-49.0))
        | gradients.tables_of(value_valve={"kind": "v_scale"})
        | consequences.tables(value_valve={"kind": "v_scale"}),
    }
    return {
        name: {
            label: {
                question: own[question] for question in import_module(f"spikesink.figures.mechanism.{name}").QUESTIONS
            }
            for label, own in tables.items()
        }
        for name in MECHANISM_FIGURES
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", MECHANISM_FIGURES)
def test_every_figure_of_the_mechanism_is_fit_for_print(name, width, measured):
    module = import_module(f"spikesink.figures.mechanism.{name}")
    figure, data = draw_models(module, measured[name], width), module.data(measured[name])
    check_layout(figure, WIDTHS[width])
    assert data.columns[0] == "model" and set(data["model"]) <= set(measured[name])
    assert not any(isinstance(kind, pl.List | pl.Struct) for kind in data.dtypes)
    assert data.equals(module.data(measured[name])), "the same rows in the same order"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_fit_for_print(family, study, width, parts):
    module, where = FAMILIES[family], (parts(study), "norm")
    check_layout(draw_ablation(module, *where, width), WIDTHS[width])
    data = module.data(*where)
    assert {"variant", "label"} <= set(data.columns) and len(data)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_overview_is_fit_for_print(width, parts):
    data, looks = overview_of(parts("norm"))
    assert overview.draw(data, looks, width).get_figwidth() == WIDTHS[width]
    failed = data.filter(pl.col("variant") == "failed").row(0, named=True)
    assert failed["spike_over_median"] is None and failed["left_out"].startswith("seed 0: diverged")


def overview_of(folder):
    data = overview.data(read_table(folder / "runs.parquet", overview.NEEDED, ""))
    return data, style.style_of_study(dict(data.select("variant", "ablation").iter_rows()))


def test_every_family_is_a_picture_of_its_csv(parts, tmp_path):
    """Whoever has only the file can redraw the figure, and no number in the picture is missing from the file."""
    assert set(FAMILIES) == set(ABLATION_FIGURES), "another figure: test it here too"
    for study in ("norm", "heads"):
        for family, module in FAMILIES.items():
            folder, looks = tmp_path / study / family, ablation_style(parts(study), "norm")
            data = module.data(parts(study), "norm")
            assert data.schema == module.COLUMNS
            draw = lambda table: module.draw(table, looks)  # noqa: B023, E731
            check_drawn_from_its_csv(draw, data, module.COLUMNS, folder, again=study == "heads")


def test_the_overview_is_a_picture_of_its_csv(parts, tmp_path):
    data, looks = overview_of(parts("norm"))
    assert data.schema == overview.COLUMNS
    check_drawn_from_its_csv(lambda table: overview.draw(table, looks), data, overview.COLUMNS, tmp_path)


@pytest.mark.parametrize("name", MECHANISM_FIGURES)
def test_every_figure_of_the_mechanism_is_a_picture_of_its_csv(name, measured, tmp_path):
    """Also where a model diverged, which the picture names."""
    folders = {"lost": tmp_path / "lost", **written(measured[name], tmp_path)}
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost/manifest.json").write_text('{"status": "diverged"}')
    data, looks = compared.data_of(name, folders), style.style_of_variants(folders)
    assert data.schema == compared.columns_of(name)
    picture = check_drawn_from_its_csv(lambda table: compared.draw(name, table, looks), data, data.schema, tmp_path)
    assert picture.get_suptitle() == "lost diverged"


def test_a_question_that_was_not_asked_is_one_line_that_names_its_file(measured, tmp_path):
    folders = written(measured["streaming"], tmp_path)
    with pytest.raises(InputError, match=r"none/measures/layers\.parquet.*measure this model again") as missing:
        compared.data_of("layer_phenomena", folders)
    assert "\n" not in str(missing.value)


def written(models: dict, folder) -> dict:
    """The tables of models as files; the folders by label."""
    for label, tables in models.items():
        (folder / label / "measures").mkdir(parents=True)
        for question, table in tables.items():
            table.write_parquet(folder / label / f"measures/{question}.parquet")
    return {label: folder / label for label in models}


def test_the_ablations_data_are_every_seed_and_the_tables_means_and_intervals(parts):
    runs = pl.read_parquet(parts("norm") / "runs.parquet")
    data = ablation.data(parts("norm"), "norm")
    for row in statistics(runs, ("perplexity", "sink_ratio", "spike")).drop_nulls("centre").iter_rows(named=True):
        ours = data.filter((pl.col("variant") == row["variant"]) & (pl.col("quantity") == row["quantity"]))
        mean = ours.filter(pl.col("mark") == "mean").row(0, named=True)
        assert [mean[name] for name in ("value", "low", "high")] == [row[name] for name in ("centre", "low", "high")]
        seeds = ours.filter(pl.col("mark") == "seed")
        expected = runs.filter(pl.col("variant") == row["variant"])
        assert seeds["value"].to_list() == expected[row["quantity"]].to_list()
        assert seeds["seed"].to_list() == expected["seed"].to_list()


def test_the_ablations_marks_are_its_data(parts):
    for study, varied in (("norm", "spike"), ("heads", "sink_mass_mean")):
        data = ablation.data(parts(study), "norm").filter(pl.col("mark") == "mean")
        figure = draw_ablation(ablation, parts(study), "norm")
        along = 0 if study == "norm" else 1
        for axis, panel in zip(figure.axes, PANELS, strict=True):
            lines = [
                segment
                for lines in axis.collections
                if hasattr(lines, "get_segments")
                for segment in lines.get_segments()
            ]
            drawn = {tuple(np.round(segment[:, along], 9)) for segment in lines}
            shown = data.filter(pl.col("quantity") == panel.quantity).drop_nulls("low")
            assert drawn == {tuple(np.round(ends, 9)) for ends in shown.select("low", "high").rows()}
            assert len(shown) or panel.quantity != varied, "else nothing was compared"


def test_bands_are_the_interval_of_the_mean_or_the_range_of_two_seeds(parts):
    for study in ("norm", "two_seeds"):
        curves = training.with_smoothed(pl.read_parquet(parts(study) / "curves.parquet"))
        states = pl.read_parquet(parts(study) / "states.parquet")
        here = pl.col("variant") == "sandwich"
        losses = curves.filter(here & (pl.col("tokens") == 16000))["loss_smooth"].to_list()
        paired = training.against_baseline(curves).filter(here & (pl.col("tokens") == 16000))["difference"].to_list()
        tops = states.filter(here & (pl.col("state") == 2))["top1"].to_list()
        drawn = training.data(parts(study), "norm").filter(
            here & (pl.col("tokens") == 16000) & (pl.col("mark") == "mean")
        )
        rows = {row["quantity"]: row for row in drawn.to_dicts()}
        spikes = lifecycle.data(parts(study), "norm").filter(
            here & (pl.col("state") == 2) & (pl.col("quantity") == "top1")
        )
        for values, row, log in (
            (losses, rows["loss"], False),
            (paired, rows["difference"], False),
            (tops, spikes.row(0, named=True), True),
        ):
            found = mean_of(values, log=log).estimate()
            ends = (found.low, found.high) if study == "norm" else (min(values), max(values))
            assert (row["value"], row["low"], row["high"]) == pytest.approx((found.value, *ends))
    names = [text.get_text() for text in draw_ablation(training, parts("two_seeds"), "norm").legends[0].get_texts()]
    assert "band: range of two seeds" in names


def test_a_variant_has_one_colour_in_all_figures(parts):
    """Its ablation's rows, sweeps and curves, and the figures of the mechanism by its place there."""
    looks = style.style_of_variants(["baseline", "sandwich", "dyt", "failed"])
    found = style.style_of_models({"a": 0, "b": 1, "c": 3})
    assert found == {"a": looks["baseline"], "b": looks["sandwich"], "c": looks["failed"]}
    variants = list(dict.fromkeys(ablation.data(parts("heads"), "norm")["variant"]))
    sweep = style.style_of_variants(variants)
    axis = draw_ablation(ablation, parts("heads"), "norm").axes[0]
    data = ablation.data(parts("heads"), "norm").filter(
        (pl.col("quantity") == "perplexity") & (pl.col("mark") == "mean")
    )
    marks = {
        (float(x), float(y)): marks.get_facecolor()[0]
        for marks in axis.collections
        if isinstance(marks, PathCollection) and len(marks.get_facecolor())
        for x, y in marks.get_offsets()
    }
    for variant, dim, value in data.select("variant", "head_dim", "value").iter_rows():
        assert to_hex(marks[dim, value]) == sweep[variant].colour.lower()


def test_models_of_one_colour_are_told_apart_and_published_ones_have_their_own():
    looks = style.style_of_models({"base": 0, "one": 1, "other": 1, "seventh": 7, "hub": None, "another": None})
    assert len({look.colour for look in looks.values()}) == len(looks)
    assert looks["one"] == style.look(1) and looks["other"].dashes and looks["other"].marker != looks["one"].marker
    assert not {looks["hub"].colour, looks["another"].colour} & {style.BASELINE_COLOUR, *style.COLOURS}


@pytest.mark.parametrize("name", ("gradient_paths", "layer_phenomena", "quantisation", "interventions"))
def test_figures_that_share_panels_draw_models_in_the_looks_given(name, measured):
    looks = style.style_of_models(dict(zip(measured[name], (0, 3), strict=True)))
    module = import_module(f"spikesink.figures.mechanism.{name}")
    figure = draw_models(module, measured[name], "auto", looks)
    colours = {to_hex(line.get_color()).lower() for axis in figure.axes for line in axis.lines}
    assert looks["a valve or a spike, with a long label"].colour.lower() in colours
    assert style.COLOURS[0].lower() not in colours


def test_a_figures_data_name_the_run_that_each_value_is_of(measured, tmp_path):
    folders = written(measured["gradient_paths"], tmp_path)
    (tmp_path / "none/run.json").write_text('{"variant": "baseline", "seed": 3, "ablation": "baseline"}')
    (tmp_path / "none/manifest.json").write_text('{"status": "finished"}')
    data = compared.data_of("gradient_paths", folders)
    assert data.columns[:4] == ["model", "variant", "seed", "status"]
    assert data.select("model", "variant", "seed", "status").unique(maintain_order=True).rows() == [
        ("none", "baseline", 3, "finished"),
        ("a valve or a spike, with a long label", None, None, None),
    ]
    norms = measured["gradient_paths"]["none"]["gradients"].filter(pl.col("position") == 5)["value"]
    drawn = data.filter((pl.col("model") == "none") & (pl.col("path") == "value") & (pl.col("position") == 5))
    assert drawn["gradient_norm"].to_list() == pytest.approx([norms.mean()])


def test_a_figure_of_one_seed_says_so(measured, tmp_path):
    """A reader must not take one run for the mean of five; a published model has no seed."""
    folders = written(measured["gradient_paths"], tmp_path)
    for folder, variant in zip(folders.values(), ("baseline", "v_scale"), strict=True):
        (folder / "run.json").write_text(f'{{"variant": "{variant}", "seed": 3, "ablation": "baseline"}}')
    data = compared.data_of("gradient_paths", folders)
    looks = style.style_of_variants(folders)
    assert compared.draw("gradient_paths", data, looks).get_suptitle() == "one run of each variant, seed 3"


def test_names_at_the_ends_of_lines_move_apart_or_give_way_to_a_legend():
    assert ends.spread(np.array([0.0, 1.0, 10.0]), np.array([4.0, 4.0, 4.0])).tolist() == [-1.5, 2.5, 10.0]
    figure = canvas.new_figure(canvas.COLUMN, 2.0)
    axis = figure.subplots()
    axis.set(xlim=(0, 1), ylim=(0, 1))
    assert not ends.label_ends(axis, {f"line {index}": (0.5, "black") for index in range(5)})
    assert not axis.texts
    assert ends.label_ends(axis, {"low": (0.1, "black"), "high": (0.9, "black")})
    assert [text.get_text() for text in axis.texts] == ["low", "high"]
    check_layout(figure, canvas.COLUMN)
