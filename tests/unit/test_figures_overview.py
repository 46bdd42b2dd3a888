"""The overview: marks where the study's numbers are, intervals only over seeds, failures named, labels apart."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from figure_checks import check_fonts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spikesink.figures import overview
from spikesink.figures.drawing import labels
from spikesink.figures.drawing.canvas import WIDTHS
from spikesink.figures.drawing.files import save
from spikesink.figures.drawing.style import BASELINE_COLOUR, Style, style_of_study
from spikesink.tables.inputs import read_table
from spikesink.tables.statistics.intervals import mean_of

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results/published/nano/tables/runs.csv"
MANY = ROOT / "results/published/nano_full/tables/runs.csv"

Pairs = dict[str, list[tuple[float, float] | str]]
# Sink ratio in percent and relative spike by seed; a text is the status of a run without numbers.
SEEDS: Pairs = {
    "a/baseline": [(50.0, 100.0), (60.0, 400.0), (70.0, 200.0)],
    "norm/sandwich": [(0.0, 10.0), (10.0, 12.0), (20.0, 11.0)],
    "norm/dyt": [(40.0, 3.0), "diverged", (30.0, 4.0)],
    "ffn/gelu": [(90.0, 900.0), (95.0, 800.0), (92.0, 700.0)],
    "ffn/linear": ["diverged", "failed", "diverged"],
}


def planted(values: Pairs) -> pl.DataFrame:
    rows = []
    for name, members in values.items():
        ablation, variant = name.split("/")
        facts = {"ablation": "baseline" if variant == "baseline" else ablation, "variant": variant}
        for seed, member in enumerate(members):
            sink, spike = (None, None) if isinstance(member, str) else member
            status = member if isinstance(member, str) else "finished"
            numbers = {"sink_ratio": sink, "sink_mass_mean": sink and sink / 200, "spike_over_median": spike}
            rows.append(facts | {"label": f"the {variant}", "seed": seed, "status": status} | numbers)
    return pl.DataFrame(rows, schema=overview.NEEDED)


def one_seed(values: Pairs = SEEDS) -> pl.DataFrame:
    return planted({name: members[:1] for name, members in values.items()})


def draw(runs: pl.DataFrame, width: str = "auto") -> Figure:
    return overview.draw(overview.data(runs), style_of_runs(runs), width)


def style_of_runs(runs: pl.DataFrame) -> Style:
    return style_of_study(dict(runs.select("variant", "ablation").iter_rows()))


def drawn_marks(figure, axis=None) -> dict[str, tuple[float, float]]:
    lines = (line for line in (axis or figure.axes[0]).lines if not line.get_label().startswith("_"))
    return {line.get_label(): (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines}


def segments(figure) -> list[tuple]:
    collections = [each for each in figure.axes[0].collections if hasattr(each, "get_segments")]
    found = [segment for lines in collections for segment in lines.get_segments()]
    return [tuple(map(tuple, np.round(segment, 6).tolist())) for segment in found]


def test_marks_are_at_the_mean_sink_ratio_and_the_geometric_mean_spike():
    marks = drawn_marks(draw(planted(SEEDS)))
    assert marks == {
        "baseline": pytest.approx((60.0, 200.0)),
        "sandwich": pytest.approx((10.0, (10 * 11 * 12) ** (1 / 3))),
        "dyt": pytest.approx((35.0, math.sqrt(12))),
        "gelu": pytest.approx((277 / 3, (9 * 8 * 7) ** (1 / 3) * 100)),
    }


def test_intervals_are_those_of_the_seeds():
    drawn = segments(draw(planted(SEEDS)))
    sinks, spikes = mean_of([50.0, 60.0, 70.0]).estimate(), mean_of([100.0, 400.0, 200.0], log=True).estimate()
    across = ((sinks.low, spikes.value), (sinks.high, spikes.value))
    along = ((sinks.value, spikes.low), (sinks.value, spikes.high))
    for expected in (across, along):
        assert any(np.allclose(segment, expected) for segment in drawn)
    assert len(drawn) == 2 * 4


def test_the_second_panel_has_the_mean_attention_and_is_left_out_where_it_was_not_measured():
    first, second = draw(planted(SEEDS)).axes
    assert "Sink ratio" in first.get_xlabel() and second.get_xlabel() == "Mean attention on position 0"
    marks = {line.get_label(): line.get_xdata()[0] for line in second.lines if not line.get_label().startswith("_")}
    assert marks["gelu"] == pytest.approx(277 / 600)
    assert len(draw(planted(SEEDS).with_columns(sink_mass_mean=None)).axes) == 1


def test_the_figure_says_how_many_seeds_a_mark_is_the_mean_of():
    """In the legend beside an interval, or above: a single run has no look of its own."""
    several, one = draw(planted(SEEDS)), draw(one_seed())
    assert "means of 3 seeds" in " ".join(text.get_text() for text in several.legends[0].get_texts())
    assert "Every mark is one run of one seed" in one.axes[0].get_title(loc="left")
    assert "one run" not in several.axes[0].get_title(loc="left")
    ablations = ["baseline", "norm", "FFN"]
    assert [text.get_text() for text in one.legends[0].get_texts()] == ablations


@pytest.mark.parametrize(("largest", "end"), [(22.0, 27.5), (1.0, 10.0), (90.0, 100.0)])
def test_the_axis_of_sinks_ends_not_far_behind_the_largest(largest, end):
    axis = draw(one_seed({"a/baseline": [(0.5, 3.0)], "norm/dyt": [(largest, 4.0)]})).axes[0]
    assert axis.get_xlim() == pytest.approx((-0.04 * end, 1.04 * end))


def test_the_legend_says_what_the_long_interval_of_seeds_without_a_sink_is():
    def said(sinks):
        runs = planted(SEEDS | {"bos/none": [(sink, 20.0) for sink in sinks]})
        return " ".join(text.get_text() for text in draw(runs).legends[0].get_texts())

    assert "half of the seeds at 0 or 100 %:\nGaffke's interval" in said((0.0, 0.0, 5.0))
    assert "Gaffke" not in said((0.0, 2.0, 5.0)) and "Gaffke" not in said((0.0,))


def test_the_legend_of_many_ablations_has_two_columns_in_a_column():
    runs = read_table(MANY, overview.NEEDED, "")
    made = draw(runs, "column").legends[0]
    assert made._ncols == 2 and "Gaffke's" in made.get_texts()[-1].get_text()


def test_intervals_of_many_variants_are_faint():
    """Else they cover the marks."""
    for runs, alpha in ((planted(SEEDS), 0.6), (read_table(MANY, overview.NEEDED, ""), 0.3)):
        assert {lines.get_alpha() for axis in draw(runs).axes for lines in axis.collections} == {alpha}


def test_many_arrows_would_tangle_so_lines_cross_at_the_baseline():
    many = {f"norm/v{place}": [(10.0 * place, 2.0 + place)] for place in range(8)}
    figure = draw(planted({"a/baseline": [(50.0, 3.0)]} | many))
    assert not any(getattr(text, "arrow_patch", None) for text in figure.axes[0].texts)
    ends = [(list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines]
    assert ([50.0, 50.0], [0, 1]) in ends and ([0, 1], [3.0, 3.0]) in ends


def test_of_many_variants_those_far_from_each_other_are_named_and_the_figure_says_so():
    """Eighty names would cover each other, and names of one corner say nothing of the others."""
    corner = {f"norm/v{number}": [(1.0 + number / 100, 10.0)] for number in range(overview.MOST_NAMES)}
    near = {"ffn/near": [(60.0, 100.0)], "ffn/below": [(50.0, 40.0)]}
    figure = draw(planted({"a/baseline": [(50.0, 100.0)]} | corner | near))
    names = {text.get_text() for text in figure.axes[0].texts}
    assert {"the baseline", "the near", "the below", "the v0", f"the v{overview.MOST_NAMES - 1}"} <= names
    assert len([name for name in names if name.startswith("the ")]) == overview.NAMED + 1
    note = f"Named: the baseline and {overview.NAMED} variants that lie far from it and from one another"
    assert note in " ".join(figure.axes[0].get_title(loc="left").split())


def test_one_seed_has_no_interval():
    figure = draw(one_seed())
    assert segments(figure) == []
    assert drawn_marks(figure)["baseline"] == (50.0, 100.0)


def test_a_wide_interval_is_cut_and_leaves_the_marks_apart():
    wide = planted({"a/baseline": [(50.0, 1.0), (60.0, 1000.0)], "norm/dyt": [(40.0, 3.0), (30.0, 4.0)]})
    low, high = draw(wide).axes[0].get_ylim()
    assert low > 0.5 and high < 1000, "over two seeds the t interval spans 38 decades"


def test_what_did_not_finish_is_named_and_not_drawn():
    figure = draw(planted(SEEDS))
    note = " ".join(figure.axes[0].get_title(loc="left").split())
    assert "the linear (seed 0: diverged, seed 1: failed, seed 2: diverged)" in note
    assert "the dyt (seed 1: diverged)" in note
    assert "gelu" not in note and "baseline" not in note
    written = {text.get_text() for text in figure.axes[0].texts}
    assert "the gelu" in written and "the linear" not in written
    assert draw(planted({"a/baseline": SEEDS["a/baseline"]})).axes[0].get_title(loc="left") == ""


def test_a_study_in_which_nothing_finished_still_has_its_note():
    figure = draw(planted({"a/baseline": ["diverged"]}))
    assert "the baseline (seed 0: diverged)" in figure.axes[0].get_title(loc="left")
    assert drawn_marks(figure) == {}


def test_an_arrow_leads_from_the_baseline_to_every_other_variant():
    def arrows(runs):
        texts = draw(runs).axes[0].texts
        return [(text.xy, text.xyann) for text in texts if getattr(text, "arrow_patch", None)]

    marks = drawn_marks(draw(planted(SEEDS)))
    expected = [(marks[name], marks["baseline"]) for name in ("sandwich", "dyt", "gelu")]
    assert arrows(planted(SEEDS)) == [(pytest.approx(end), pytest.approx(start)) for end, start in expected]
    assert arrows(one_seed({name: SEEDS[name] for name in ("norm/sandwich", "norm/dyt")})) == [], "no baseline"


def test_colour_and_shape_name_the_ablation():
    """One colour for unrelated variants would let them seem related."""
    looks = style_of_runs(planted(SEEDS))
    assert looks["sandwich"] == looks["dyt"] != looks["gelu"] == looks["linear"]
    assert looks["baseline"].colour == BASELINE_COLOUR
    many = style_of_study({"baseline": "baseline"} | {f"v{place}": f"a{place}" for place in range(30)})
    assert len(set(many.values())) == 31


def test_spikes_are_on_a_logarithmic_axis():
    near = one_seed({"a/baseline": [(50.0, 5.0)], "norm/dyt": [(40.0, 3.0)]})
    for runs in (planted(SEEDS), near):
        figure = draw(runs)
        assert {axis.get_yscale() for axis in figure.axes} == {"log"}
        figure.draw_without_rendering()
        low, high = figure.axes[0].get_ylim()
        assert sum(low <= tick <= high for tick in figure.axes[0].get_yticks()) >= 2, "a reader needs numbers"


@pytest.mark.parametrize("width", ("column", "page"))
@pytest.mark.parametrize("study", (PUBLISHED, MANY))
def test_labels_of_a_published_study_touch_neither_each_other_nor_a_mark_nor_the_edge(study, width):
    runs = read_table(study, overview.NEEDED, "")
    figure = draw(runs, width)
    figure.set_layout_engine(None)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axis in figure.axes:
        room = axis.get_window_extent()
        boxes = {text.get_text(): text.get_window_extent() for text in axis.texts if text.get_text()}
        names = set(runs["label"])
        assert set(boxes) == names if study == PUBLISHED else len(boxes.keys() & names) == overview.NAMED + 1
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes.values(), 2))
        marks = axis.transData.transform(list(drawn_marks(figure, axis).values()))
        for name, box in boxes.items():
            assert not any(box.contains(*mark) for mark in marks), name
            assert room.x0 < box.x0 and box.x1 < room.x1 and room.y0 < box.y0 and box.y1 < room.y1, name
    assert figure.get_tightbbox().width <= WIDTHS[width] * 1.02


def test_a_label_hides_no_mark_that_has_no_name():
    """Of a published study with more variants than are named, one seed of each."""
    runs = read_table(MANY, overview.NEEDED, "")
    figure = draw(runs.filter(pl.col("seed") == runs["seed"].min()))
    FigureCanvasAgg(figure).draw()
    for axis in figure.axes:
        marks = [line for line in axis.lines if not line.get_label().startswith("_")]
        centres = axis.transData.transform([(line.get_xdata()[0], line.get_ydata()[0]) for line in marks])
        names = [text for text in axis.texts if text.get_text()]
        assert len(centres) > len(names) == overview.NAMED + 1
        for text in names:
            assert not any(text.get_window_extent().contains(*centre) for centre in centres), text.get_text()


def test_a_line_passes_through_a_box_or_beside_it():
    box = np.array([[0.0, 0.0, 2.0, 1.0]])
    through = [[-1, -1, 3, 2], [1, -5, 1, 5], [0.5, 0.5, 0.6, 0.6]]
    beside = [[-1, 2, 3, 2], [3, -5, 3, 5], [-2, -2, -1, -1], [-1, 0.5, -0.1, 0.5]]
    assert labels.passes(box, np.array(through + beside, float)).tolist() == [[True] * 3 + [False] * 4]


def test_the_command_writes_both_files_and_refuses_another_table(tmp_path):
    command = [
        sys.executable,
        "-m",
        "spikesink.figures",
        "--output",
        str(tmp_path / "out/overview"),
        "--runs",
    ]
    table = tmp_path / "runs.csv"
    one_seed().write_csv(table)
    assert subprocess.run([*command, str(table)]).returncode == 0
    assert {path.suffix for path in (tmp_path / "out").glob("overview.*")} == {".pdf", ".png", ".csv"}
    one_seed().drop("variant").write_csv(table)
    result = subprocess.run([*command, str(table)], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "has no column 'variant'" in result.stderr


def test_the_same_runs_give_the_same_bytes_and_fonts_are_embedded(tmp_path):
    for name in ("first", "second"):
        save(draw(planted(SEEDS)), overview.data(planted(SEEDS)), str(tmp_path / name))
    for kind in ("pdf", "png", "csv"):
        assert (tmp_path / f"first.{kind}").read_bytes() == (tmp_path / f"second.{kind}").read_bytes()
    check_fonts((tmp_path / "first.pdf").read_bytes())
