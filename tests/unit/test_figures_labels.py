"""Labels in figures: text as it stands, a dollar sign included."""

import polars as pl
import pytest
import test_figures_gradients as gradients
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from spikesink.figures import compared
from spikesink.figures.drawing.canvas import COLUMN, legend, new_figure, wrapped
from spikesink.figures.drawing.literal import literal, literal_texts
from spikesink.figures.drawing.style import style_of_variants

LABELS = ["loss in $$", "costs $5 or $10", "a\\$b$", "50 % of a_b^2"]


@pytest.mark.parametrize("label", LABELS)
def test_a_dollar_sign_is_drawn_as_one(label):
    figure = Figure()
    assert drawn(figure.text(0, 0, literal(label))) == label
    figure.text(0, 0.5, literal(label) + r", $\theta$")
    figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("text", "lines"),
    [("SmolLM2-135M-Instruct", "SmolLM2-135M-\nInstruct"), ("the feed-forward branch", "the\nfeed-forward\nbranch")],
)
def test_a_name_that_is_too_long_breaks_at_a_hyphen_and_no_other_word_breaks(text, lines):
    assert wrapped(text, 20 if text.startswith("S") else 12) == lines


def test_a_legend_too_wide_for_two_columns_ends_with_one():
    """None of its labels is long enough to break."""
    names = ["baseline", "DynamicTanh, warmup 2000", "V-scale", "Muon, momentum 0.95, mup"]
    figure = new_figure(COLUMN, 2)
    legend(figure, [Line2D([], [], label=name) for name in names])
    (made,) = figure.legends
    assert [text.get_text() for text in made.get_texts()] == names
    assert made.get_window_extent().width <= figure.bbox.width


def drawn(text: Text) -> str:
    """What matplotlib draws of a text that is no mathematics."""
    content, is_mathematics = text._preprocess_math(text.get_text())
    return "" if is_mathematics else content


@pytest.mark.parametrize("name", ["gradient_paths", "valve_strength", "gradient_sinks"])
def test_a_figure_of_models_shows_their_labels_as_they_stand(name):
    """Also in titles that hold mathematics of their own."""
    module = compared.module_of(name)
    tables = {label: gradients.tables_of(value_valve={"kind": "v_scale"}) for label in LABELS[:2]}
    own = {label: {question: found[question] for question in module.QUESTIONS} for label, found in tables.items()}
    facts = pl.DataFrame([{"model": label, "variant": "x", "seed": 0, "status": "finished"} for label in own])
    data = module.data(own).join(facts, on="model", how="left").select(*compared.columns_of(name))
    figure = compared.draw(name, data, style_of_variants(list(own)))
    figure.draw_without_rendering()
    texts = " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")
    assert all(literal(label) in texts for label in own)
    assert set(data["model"]) == set(own), "the file beside the picture has the labels themselves"


def test_a_text_is_changed_in_no_other_way():
    data = pl.DataFrame({"label": ["a", "$x", None], "value": [1.0, 2.0, 3.0]})
    assert literal_texts(data)["label"].to_list() == ["a", r"\$x", None]
