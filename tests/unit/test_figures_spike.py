"""Figures of the spike's life, the vocabulary and the amplifier: every value of the tables is drawn, nothing is cut."""

import itertools

import models
import numpy as np
import planted_spikes
import polars as pl
import pytest
from figure_checks import draw_models
from matplotlib.backends.backend_agg import FigureCanvasAgg
from probed_vocabulary import vocabulary_probe as measure_vocabulary

from spikesink.figures.drawing.canvas import PAGE, wrapped
from spikesink.figures.mechanism import (
    amplifier_norms,
    amplifier_spectrum,
    silu_identity,
    spike_lifecycle,
    vocabulary_probe,
)
from spikesink.measures.probes.spikes import SpikeRule, ordinary_medians
from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.alignment import silu_identity as measure_silu
from spikesink.measures.questions.amplifier import amplifier_norms as measure_norms
from spikesink.measures.questions.amplifier import amplifier_spectrum as measure_spectrum
from spikesink.measures.questions.lifecycle import lifecycle, spike_channels

FAMILIES = (spike_lifecycle, vocabulary_probe, silu_identity, amplifier_norms, amplifier_spectrum)
RULE = {"rule": SpikeRule(ratio=100)}


def tables(model: models.Decoder) -> dict[str, pl.DataFrame]:
    rows = models.tokens(4, 10) % 20 + 1
    rows[:, 0] = 0
    measured = {
        "activations": activations(model, rows, batch_size=4),
        "lifecycle": lifecycle(model, rows, **RULE),
        "spike_channels": spike_channels(model, rows, **RULE),
        "vocabulary_probe": measure_vocabulary(model, ordinary_medians(model, rows, batch_size=4, **RULE), **RULE),
        "silu_identity": measure_silu(model, rows, **RULE),
        "amplifier_norms": measure_norms(model),
        "amplifier_spectrum": measure_spectrum(model, rows, **RULE),
    }
    return {name: pl.DataFrame(table, infer_schema_length=None) for name, table in measured.items()}


@pytest.fixture(scope="module")
def spiking():
    return tables(planted_spikes.amplified([0, 9], down=-49.0))


@pytest.fixture(scope="module")
def three(spiking):
    """A model with a spike, one without, one without SwiGLU."""
    return {
        "spiking": spiking,
        "a label too long for one line of a panel": tables(models.decoder()),
        "GELU": tables(models.decoder(**models.VARIANTS["gelu"])),
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_reads_only_the_tables_that_it_names(family, three):
    only = {name: {question: tables[question] for question in family.QUESTIONS} for name, tables in three.items()}
    figure = draw_models(family, only)
    assert family.CAPTION.endswith(".") and "2603.05498" in family.CAPTION
    titles = " ".join(axis.get_title() for axis in figure.axes).split()
    assert {"spiking", "GELU", "panel"} <= set(titles)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_text_is_cut_and_no_tick_labels_touch(family, three, spiking):
    for shown in (three, {"spiking": spiking}):
        figure = draw_models(family, shown)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        assert figure.get_tightbbox(renderer).width <= PAGE * 1.02
        for axis in figure.axes:
            low, high = sorted(axis.get_xlim())
            boxes = [
                label.get_window_extent(renderer)
                for tick, label in zip(axis.get_xticks(), axis.get_xticklabels(), strict=False)
                if label.get_text() and label.get_visible() and low <= tick <= high
            ]
            assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_the_lifecycle_draws_three_channels_and_shades_the_steps(spiking):
    figure = draw_models(spike_lifecycle, {"spiking": spiking})
    stream, output = figure.axes
    states = spiking["activations"]
    for axis, prefix, first in ((stream, "top", 0), (output, "output_top", 1)):
        for rank, line in enumerate(axis.lines, start=1):
            assert list(line.get_xdata()) == list(range(first, 7))
            assert list(line.get_ydata()) == pytest.approx(states[f"{prefix}{rank}"].drop_nulls().to_list())
        # One shade for each of the blocks 2 to 6: step-up, three of the plateau, step-down.
        assert sorted(round(patch.get_x() + 0.5) for patch in axis.patches) == [2, 3, 4, 5, 6]
    colours = {round(patch.get_x() + 0.5): patch.get_facecolor()[:3] for patch in stream.patches}
    assert len({colours[2], colours[3], colours[6]}) == 3 and colours[3] == colours[4] == colours[5]
    assert stream.get_title().replace("\N{NO-BREAK SPACE}", " ") == "spiking\nup 2; down 6"
    assert output.get_xlabel() == "Block" and stream.get_yscale() == "log"


def test_the_legend_has_only_the_steps_that_are_drawn(spiking):
    def said(**roles):
        lifecycle = spiking["lifecycle"].with_columns(pl.col("role").replace(roles))
        figure = draw_models(spike_lifecycle, {"spiking": spiking | {"lifecycle": lifecycle}})
        title = figure.axes[0].get_title().replace("\N{NO-BREAK SPACE}", " ")
        return [text.get_text() for text in figure.legends[0].get_texts()][3:], title

    assert said()[0] == ["step-up", "plateau", "step-down"]
    assert said(step_down="plateau") == (["step-up", "plateau"], "spiking\nup 2; down none")


def test_the_direction_of_a_step_stays_in_the_line_of_its_first_block():
    roles = pl.DataFrame({"block": [2, 6, 10, 16], "role": "step_up"})
    assert wrapped(spike_lifecycle.steps(roles), 24).split("\n")[1] == "down\N{NO-BREAK SPACE}none"


def test_a_model_without_spikes_has_no_regions(three):
    figure = draw_models(spike_lifecycle, three)
    without = [axis for axis in figure.axes if "no massive activation" in axis.get_title()]
    assert len(without) == 2 and not any(axis.patches for axis in without)


def test_the_probe_draws_every_id_and_the_share(spiking):
    (axis,) = draw_models(vocabulary_probe, {"spiking": spiking}).axes
    spikes, others, threshold = axis.lines
    excess = spiking["vocabulary_probe"]["excess"].sort(descending=True).to_list()
    assert len(spikes.get_ydata()) == 2
    assert [*spikes.get_ydata(), *others.get_ydata()] == pytest.approx(excess)
    assert list(threshold.get_ydata()) == [1, 1]
    assert "6.45 % of ids spike,\n2 of 31" in axis.get_title(), "'all but 29' would be said of a vocabulary that spikes"
    probe = pl.DataFrame({"is_spike": [True] * 29 + [False] * 2})
    assert vocabulary_probe.share(probe) == "93.55 % of ids spike,\nall but 2 of 31"


def test_the_silu_panels_are_blocks_and_the_points_tokens(spiking):
    figure = draw_models(silu_identity, {"spiking": spiking})
    up, down, bar = figure.axes
    assert [axis.get_title() for axis in (up, down)] == ["spiking\nblock 2 (step-up)", "spiking\nblock 6 (step-down)"]
    for axis, block in ((up, 2), (down, 6)):
        table = spiking["silu_identity"].filter(pl.col("block") == block)
        for marks, group in zip(axis.collections, ("other", "spike", "leading"), strict=True):
            expected = table.filter(pl.col("group") == group).sort("output_maximum")
            assert np.asarray(marks.get_offsets()) == pytest.approx(expected.select("cosine", "norm_ratio").to_numpy())
            assert list(marks.get_array()) == pytest.approx(expected["output_maximum"].to_list())
    # Four times token 0 at the start and four times token 9 later, where SiLU is the identity.
    assert np.asarray(up.collections[1].get_offsets()) == pytest.approx(np.ones((8, 2)))
    assert up.get_ylabel() == "Ratio of norms" and bar.get_ylabel() == "Largest |block output|"


def test_the_blocks_of_one_model_stand_side_by_side(spiking):
    """One below the other, nine blocks would be higher than a page."""
    for family, tables in ((silu_identity, "silu_identity"), (amplifier_spectrum, "amplifier_spectrum")):
        blocks = [spiking[tables].with_columns(block=pl.col("block") + 6 * copy) for copy in range(3)]
        figure = draw_models(family, {"spiking": {tables: pl.concat(blocks)}})
        panels = [axis for axis in figure.axes if axis.get_title()]
        assert len(panels) == 6 and panels[0].get_subplotspec().get_geometry()[:2] == (2, 3)
        assert [axis.get_title().split()[2] for axis in panels] == ["2", "6", "8", "12", "14", "18"]


def test_rims_of_many_spike_tokens_do_not_cover_the_others(spiking):
    def size(copies):
        table = pl.concat([spiking["silu_identity"]] * copies)
        return draw_models(silu_identity, {"spiking": {"silu_identity": table}}).axes[0].collections[1].get_sizes()

    assert size(1) == 16 and size(20) == 4


def test_norms_are_drawn_for_all_channels_and_blocks_with_the_spikes_ringed(spiking):
    axis, bar = draw_models(amplifier_norms, {"spiking": spiking}).axes
    points, rings = (np.asarray(marks.get_offsets()) for marks in axis.collections)
    norms = spiking["amplifier_norms"].sort("norm")
    assert points == pytest.approx(norms.select("channel", "norm").to_numpy())
    expected = norms.filter((pl.col("channel") == planted_spikes.CHANNEL) & pl.col("block").is_in([2, 6]))
    assert rings == pytest.approx(expected.select("channel", "norm").to_numpy())
    assert [round(tick) for tick in bar.get_yticks()] == [2, 4, 6]


def test_spectra_have_a_row_per_channel_and_a_dot_at_the_leading_eigenvalue(spiking):
    up, down = draw_models(amplifier_spectrum, {"spiking": spiking}).axes
    assert up.get_title() == "spiking\nblock 2 (step-up)" and down.get_title() == "spiking\nblock 6 (step-down)"
    for axis, leading in ((up, 50), (down, -49)):
        assert [label.get_text() for label in axis.get_yticklabels()] == ["7", "8"]
        ticks, dot = axis.lines[:2]
        assert len(ticks.get_xdata()) == planted_spikes.D_MODEL
        assert np.atleast_1d(dot.get_xdata())[0] == pytest.approx(leading, rel=1e-5)


def test_a_model_without_swiglu_says_so(three):
    for family in (silu_identity, amplifier_norms, amplifier_spectrum):
        texts = [text.get_text() for axis in draw_models(family, three).axes for text in axis.texts]
        assert texts == ["no SwiGLU block"]
