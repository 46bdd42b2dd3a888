"""Figures of what normalisation, sinks and spikes entail: what the tables hold is on the axes, whatever the variant."""

import models
import numpy as np
import polars as pl
import pytest
import torch
from figure_checks import draw_models
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spikesink.figures.drawing.bins import middle_of_bin
from spikesink.figures.drawing.canvas import PAGE
from spikesink.figures.mechanism import (
    attention_distance,
    context_use,
    interventions,
    normalisation,
    quantisation,
    sink_geometry,
    streaming,
)
from spikesink.measures.questions.attention_distance import attention_distance as measure_distance
from spikesink.measures.questions.induction import induction, repeated_random_tokens
from spikesink.measures.questions.interventions import Scoring
from spikesink.measures.questions.interventions import interventions as measure_interventions
from spikesink.measures.questions.normalisation import normalisation as measure_normalisation
from spikesink.measures.questions.perplexity import perplexity
from spikesink.measures.questions.quantisation import activation_ranges
from spikesink.measures.questions.quantisation import quantisation as measure_quantisation
from spikesink.measures.questions.retrieval import retrieval
from spikesink.measures.questions.sink_geometry import key_query_embedding
from spikesink.measures.questions.sink_geometry import sink_geometry as measure_geometry
from spikesink.measures.questions.streaming import streaming as measure_streaming

FAMILIES = (attention_distance, context_use, interventions, normalisation, quantisation, sink_geometry, streaming)
HEADS = 8


def tables(**overrides) -> dict[str, pl.DataFrame]:
    """All tables of a small model whose sequences begin with the same token."""
    model = models.decoder(**overrides)
    rows = models.tokens(6, 21)
    rows[:, 0] = 7
    edited, heads = measure_interventions(model, rows, scoring=Scoring(6), calibration_sequences=2, controls=2)
    found = {
        "attention_distance": measure_distance(model, rows[:, :-1], batch_size=6),
        "interventions": edited,
        "intervention_heads": heads,
        "normalisation": measure_normalisation(model, rows[:, :-1], batch_size=6),
        "quantisation": measure_quantisation(model, rows, batch_size=6, calibration_sequences=2),
        "activation_ranges": activation_ranges(model, rows[:, :-1], batch_size=6),
        "sink_geometry": measure_geometry(model, rows[:, :-1], batch_size=6),
        "key_query_embedding": key_query_embedding(model, rows[:, :-1], batch_size=6, points=6),
        "streaming": measure_streaming(model, rows, batch_size=6, caches=(6, 8), starts=(0, 1, 4)),
    }
    return abilities(model, rows) | {
        question: pl.DataFrame(table, infer_schema_length=None) for question, table in found.items()
    }


def abilities(model, rows) -> dict[str, pl.DataFrame]:
    """What the model does with its context; beyond it, made-up losses that rise by 1 nat in every context."""
    positional = model.settings.gate.kind == "positional"
    beyond = [(4 * part, 4 * part + 4, 1 if part < 4 else 2 if part < 8 else 4, 4, 4.0 + part) for part in range(16)]
    found = {
        "perplexity": perplexity(model, rows, 6),
        "induction": induction(model, repeated_random_tokens(torch.arange(1, 31), 6, 20, 7), starts=True, batch_size=6),
        "retrieval": retrieval(model, rows[:, :-1], torch.arange(1, 31), batch_size=6),
        "beyond_context": [
            dict(zip(("first", "last", "contexts", "tokens", "nll_nats"), row, strict=True))
            for row in ([] if positional else beyond)
        ],
    }
    return {question: pl.DataFrame(table) for question, table in found.items()}


@pytest.fixture(scope="module")
def two() -> dict[str, dict[str, pl.DataFrame]]:
    return {"baseline": tables(), "V-scale": tables(value_valve={"kind": "v_scale"})}


def offsets(marks) -> np.ndarray:
    return np.ma.filled(marks.get_offsets(), np.nan)


def check(figure: Figure) -> None:
    """It draws, no wider than a page; every panel says what its axes are, none has its labels on another's."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    assert figure.get_tightbbox(renderer).width <= PAGE * 1.02
    boxes = [axis.get_tightbbox(renderer) for axis in figure.axes]
    for index, box in enumerate(boxes):
        for other in boxes[:index]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            down = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert across <= 1 or down <= 1, "panels overlap"
    assert figure.legends and all(text.get_text() for text in figure.legends[0].get_texts())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda module: module.__name__.rpartition(".")[2])
@pytest.mark.parametrize("count", [1, 2])
def test_every_family_draws_one_model_and_two(family, count, two):
    chosen = {name: {question: two[name][question] for question in family.QUESTIONS} for name in list(two)[:count]}
    check(draw_models(family, chosen))
    assert 2 <= family.CAPTION.count(". ") + 1 <= 8 and "arXiv" in family.CAPTION


@pytest.mark.parametrize("family", FAMILIES, ids=lambda module: module.__name__.rpartition(".")[2])
@pytest.mark.parametrize(
    "overrides",
    [
        {"feed_forward": {"kind": "attention", "width": 20}, "norm": {"kind": "sandwich_qk"}},
        {"gate": {"kind": "positional", "per": "head"}, "norm": {"kind": "dyt"}},
        {"layers": 1, "attention": {"heads": 1, "head_dim": 4}, "feed_forward": {"kind": "linear", "width": 20}},
    ],
    ids=["attention_only", "positional", "one_head"],
)
def test_variants_that_lack_what_is_drawn_still_have_a_figure(family, overrides):
    """No down projection, no bound, no streaming, a single head: an empty place, not an error."""
    check(draw_models(family, {"baseline": tables(**overrides)}))


def test_the_normalisation_has_a_line_per_start_and_group(two):
    figure = draw_models(normalisation, two)
    assert len(figure.axes) == 6
    table = two["V-scale"]["normalisation"]
    for axis, (column, _) in zip(figure.axes[1::2], normalisation.ROWS, strict=True):
        for line, (start, group) in zip(axis.lines, normalisation.LINES, strict=True):
            members = table.filter((pl.col("start") == start) & (pl.col("group") == group)).sort("block")
            assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
            assert list(line.get_ydata()) == members[column].to_list()
    assert figure.axes[-1].get_xlabel() == "Block"


def test_the_distances_have_two_marks_per_head_inside_the_panel(two):
    figure = draw_models(attention_distance, two)
    for axis, model in zip(figure.axes, two.values(), strict=True):
        heads = model["attention_distance"]
        _, every, rest = axis.collections
        assert offsets(every)[:, 1].tolist() == heads["distance"].to_list()
        assert offsets(rest).tolist() == [
            list(one) for one in heads.select("sink_mass", "distance_without_sink").rows()
        ]
        assert axis.lines[0].get_ydata()[0] == 20 / 4, "uniform attention"
        low, high = axis.get_xlim()
        assert all(low <= mass <= high for one in two.values() for mass in one["attention_distance"]["sink_mass"])


def test_uniform_attention_is_inside_the_panel_where_all_heads_look_closer(two):
    """Otherwise the legend names a line that nobody sees."""
    heads = two["baseline"]["attention_distance"].with_columns(pl.col("distance", "distance_without_sink") / 10)
    figure = draw_models(attention_distance, {"baseline": {"attention_distance": heads}})
    assert figure.axes[0].get_ylim()[1] > 20 / 4


def test_the_geometry_has_every_point_and_every_head_inside_the_panel(two):
    figure = draw_models(sink_geometry, two)
    for column, model in enumerate(two.values()):
        above, middle, below = figure.axes[column::2]
        for axis, kind in ((above, "sink"), (middle, "other")):
            members = model["key_query_embedding"].filter(pl.col("head_kind") == kind)
            assert sum(len(marks.get_offsets()) for marks in axis.collections) == len(members) == 1 + 2 * 6
            assert f"head {members['head'][0]}" in axis.get_title()
        drawn = np.concatenate([offsets(marks) for marks in below.collections])
        heads = model["sink_geometry"]
        assert len(drawn) == len(heads) == 2 * HEADS
        assert set(drawn[:, 1]) == set(heads["logit_gap"])
        assert below.get_xlim()[0] == 0 and below.get_xlim()[1] >= drawn[:, 0].max()
        assert below.get_ylim()[0] <= drawn[:, 1].min() and below.get_ylim()[1] >= drawn[:, 1].max()


def test_the_rows_of_the_geometry_are_named_by_what_is_drawn_also_without_a_sink_head(two):
    """No head of these models has a sink."""
    for model in two.values():
        assert (model["sink_geometry"]["sink_mass"] < model["sink_geometry"]["epsilon"]).all()
    most, _, least, *_ = draw_models(sink_geometry, two).axes
    assert most.get_ylabel() == "Most attention\non position 0"
    assert least.get_ylabel() == "Least attention\non position 0"


def test_the_quantisation_has_a_mark_per_model_and_setting_and_its_ranges(two):
    figure = draw_models(quantisation, two)
    costs, ranges = figure.axes
    assert costs.get_xlabel() == "Perplexity over that in full precision"
    assert [label.get_text() for label in costs.get_yticklabels()] == list(quantisation.SETTINGS.values())
    for marks, model in zip(costs.collections[1::2], two.values(), strict=True):
        values = dict(model["quantisation"].select("setting", "perplexity").iter_rows())
        expected = [values[setting] / values["full_precision"] for setting in quantisation.SETTINGS]
        assert offsets(marks)[:, 0].tolist() == pytest.approx(expected)
    down = two["V-scale"]["activation_ranges"].filter(pl.col("matrix") == "down")
    assert list(ranges.lines[2].get_xdata()) == [2, 4] and list(ranges.lines[2].get_ydata()) == down["absmax"].to_list()
    assert list(ranges.lines[3].get_ydata()) == down["token_absmax"].to_list()


def test_streaming_has_the_perplexity_by_position_and_by_cache(two):
    figure = draw_models(streaming, two)
    above, below = figure.axes[0], figure.axes[2]
    table = two["baseline"]["streaming"]
    full, *evicted = above.lines[:4]
    whole = table.filter(pl.col("cache") == 20)
    assert list(full.get_xdata()) == [pair + 0.5 for pair in range(0, 20, 2)], "bins of two positions"
    assert list(full.get_ydata()) == pytest.approx(perplexities_of_pairs(whole))
    for line, start in zip(evicted, (0, 1, 4), strict=True):
        rows = table.filter((pl.col("cache") == 6) & (pl.col("start") == start))
        assert list(line.get_ydata()) == pytest.approx(perplexities_of_pairs(rows))
        assert above.get_ylim()[0] <= min(line.get_ydata()) and above.get_ylim()[1] >= max(line.get_ydata())
    for line, start in zip(below.lines, (0, 1, 4), strict=True):
        assert list(line.get_xdata()) == [6, 8]
        for cache, y in zip((6, 8), line.get_ydata(), strict=True):
            late = table.filter((pl.col("cache") == cache) & (pl.col("start") == start) & (pl.col("position") >= 8))
            assert y == pytest.approx(np.exp(late["nll_nats"].sum() / late["tokens"].sum()))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["no eviction", "window", "first 1 + window", "first 4 + window"]


def test_no_line_of_streaming_runs_along_the_edge(two):
    """Every row has one scale, with room around the lines of all models: one far below the others shares it."""
    far = two["V-scale"]["streaming"].with_columns(nll_nats=0.9 * pl.col("nll_nats"))
    figure = draw_models(streaming, {"baseline": two["baseline"], "V-scale": {"streaming": far}})
    for row in (figure.axes[:2], figure.axes[2:]):
        low, high = row[0].get_ylim()
        evicted = np.concatenate(
            [line.get_ydata() for axis in row for line in axis.lines if line.get_color() != "0.7"][-3:]
        )
        assert {axis.get_ylim() for axis in row} == {(low, high)}
        assert evicted.min() > low + 0.05 * (high - low)


def perplexities_of_pairs(rows: pl.DataFrame) -> list[float]:
    """The perplexity over positions 0 and 1, over 2 and 3, ..."""
    rows = rows.sort("position")
    nll, tokens = (rows[name].to_numpy().reshape(-1, 2).sum(1) for name in ("nll_nats", "tokens"))
    return np.exp(nll / tokens).tolist()


def test_a_bin_is_at_the_mean_of_its_positions():
    for length, middles in ((256, [7.5, 23.5, 39.5]), (16, [0, 1, 2]), (3, [0, 1, 2]), (17, [0.5, 2.5, 4.5])):
        table = pl.DataFrame({"position": range(length)})
        placed = table.with_columns(x=middle_of_bin(pl.col("position"), pl.col("position").max() + 1))
        means = placed.group_by("x", maintain_order=True).agg(pl.col("position").mean())
        assert means["x"].to_list()[:3] == middles
        assert means["x"].to_list() == means["position"].to_list(), "the last bin, which may be shorter, too"
        assert len(means) <= 16


def test_a_line_of_streaming_shows_the_one_below_it(two):
    """Lines of several first tokens may be the same."""
    figure = draw_models(streaming, two)
    above, below = figure.axes[0], figure.axes[2]

    def look(line):
        return line.get_color(), line.get_linewidth(), line.get_linestyle()

    window, first, further = legend = [look(line) for line in figure.legends[0].get_lines()[1:]]
    for lines in (above.lines[1:4], below.lines):
        assert [look(line) for line in lines] == legend
    assert window[1] > first[1] and (window[2], first[2], further[2]) == ("-", "-", "--")


def test_streaming_survives_a_perplexity_too_large_for_a_number(two):
    """A window without the sink may cost more than 700 nats a token: a gap, not an error at the end of a study."""
    table = two["baseline"]["streaming"]
    broken = pl.when((pl.col("start") == 0) & (pl.col("cache") < 20)).then(9000.0).otherwise("nll_nats")
    figure = draw_models(streaming, {"baseline": {"streaming": table.with_columns(nll_nats=broken)}})
    check(figure)
    assert np.isfinite(figure.axes[0].get_ylim()).all()


def test_interventions_have_a_mark_each_and_one_for_every_head_and_control_key(two):
    figure = draw_models(interventions, two)
    for axis, (column, label) in zip(figure.axes, interventions.PANELS, strict=True):
        assert axis.get_xlabel() == label
        drawn = np.concatenate([offsets(marks) for marks in axis.collections if len(offsets(marks))])
        table = two["baseline"]["interventions"].filter(pl.col("start") == "bos")
        heads = two["baseline"]["intervention_heads"].filter((pl.col("start") == "bos") & pl.col("after_block"))
        expected = 0
        for index, name in enumerate(interventions.NAMES):
            values = table.filter(pl.col("intervention") == name)[column].to_list()
            means = [sum(values) / len(values)]
            if len(values) > 1:
                means += values
            if column == "sink_mass" and name != "mask_other":
                means += heads.filter(pl.col("intervention") == name)["sink_mass"].to_list()
            expected += len(means)
            marks = [x for x, y in drawn if round(y) == index]
            for value in means:
                assert min(abs(x - value) for x in marks) < 1e-9
        assert len(drawn) == 2 * expected
    assert [1 in [line.get_xdata()[0] for line in axis.lines] for axis in figure.axes] == [False, False, True, False]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said[2:] == ["one head or one key of a control", "model left alone", "uniform attention"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(interventions.NAMES.values())


def test_the_use_of_the_context_is_what_was_measured(two):
    """Retrieval is the mean of its seeds with their deviation; text beyond the context is placed in contexts."""
    text, copies, needles, beyond = draw_models(context_use, two).axes
    measured = two["V-scale"]
    assert list(beyond.lines[1].get_xdata()) == [(part + 0.5) / 4 for part in range(16)]
    assert list(beyond.lines[1].get_ydata()) == pytest.approx([np.exp(1 + part / 4) for part in range(16)])
    chosen = measured["retrieval"].filter(pl.col("distance") == 8)
    shares = 100 * chosen["chosen"] / chosen["sequences"]
    points = dict(zip(*needles.lines[1].get_data(), strict=True))
    assert list(points) == [4, 8, 12, 16] and points[8] == pytest.approx(shares.mean())
    loss = measured["perplexity"]["nll_nats"] / measured["perplexity"]["tokens"]
    assert list(text.lines[1].get_xdata()) == [pair + 0.5 for pair in range(0, 20, 2)]
    assert text.lines[1].get_ydata()[0] == pytest.approx((loss[0] + loss[1]) / 2)
    second = measured["induction"].filter(pl.col("copy") == 2)
    assert list(copies.lines[3].get_ydata()) == pytest.approx((second["nll_nats"] / second["tokens"]).to_list())
