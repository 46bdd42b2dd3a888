"""Each group answers the questions it declares from the settings it declares, and every figure draws the answers."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from functools import cache
from importlib import import_module
from pathlib import Path

import models
import numpy as np
import polars
import pytest
import torch
from safetensors.torch import save_file

from spikesink.data.batches import TokenStream
from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.figures.compared import data_of, draw
from spikesink.figures.drawing.style import style_of_variants
from spikesink.measures import groups
from spikesink.measures.groups import GROUPS
from spikesink.measures.subject import Subject
from spikesink.measures.table import write_table
from spikesink.quantities import names_of
from spikesink.study.settings import Measures
from spikesink.tables.collecting.mechanism import mechanism_table
from spikesink.tables.collecting.questions import mechanism_questions

DIFFERENT = (
    "baseline",
    "gelu",
    "linear",
    "attention_only",
    "positional_head",
    "softpick",
    "sigmoid",
    "relu",
    "post",
    "gemma3",
    "partial_rotary",
    "windows",
    "grouped_query",
    "v_scale",
    "dyt",
)
SETTINGS = Measures(
    sink_tokens=9,
    sequences=3,
    perplexity_tokens=100,
    ability_sequences=4,
    batch_size=2,
    chunk=8,
    loss_chunk=5,
    spike_magnitude=0.0,
    spike_over_median=2.0,  # low enough that random models have spikes
    gradient_sequences=2,
    consequence_tokens=100,
    calibration_sequences=2,
)


class Recorded:
    """Settings that note which of them are read."""

    def __init__(self) -> None:
        self.read = set()

    def __getattr__(self, key: str) -> object:
        self.read.add(key)
        return getattr(SETTINGS, key)


@pytest.fixture(scope="module")
def subject_of(tmp_path_factory):
    """A small random model of a variant, two snapshots of it, and text in which every token stands."""
    folder = tmp_path_factory.mktemp("subjects")
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {".": 5, "\n": 7}}}))
    text = np.random.default_rng(0).integers(1, models.VOCABULARY, 3000)

    def make(variant: str, bos: str = "sequence") -> Subject:
        model = models.decoder(**models.VARIANTS[variant]).eval()
        snapshots = folder / variant
        snapshots.mkdir(exist_ok=True)
        for step in (1, 10):
            save_file(
                {name: tensor * (1 + step / 20) for name, tensor in model.state_dict().items()},
                snapshots / f"step{step:08d}.safetensors",
            )
        stream = TokenStream(text, bos, 0 if bos == "sequence" else None, models.VOCABULARY)
        return Subject(model, models.POSITIONS, None, stream, folder / "tokenizer.json", snapshots, np.zeros(1))

    return make


def answers(group: str, subject: Subject, settings: object) -> list[tuple[str, list[dict]]]:
    return [answer for module in GROUPS[group].modules for answer in import_module(module).answers(subject, settings)]


@pytest.fixture(scope="module")
def measured(subject_of, tmp_path_factory):
    """Folder with the tables of a variant, written as a measuring job writes them, and what each group read."""
    root = tmp_path_factory.mktemp("measured")

    @cache
    def measure(variant: str) -> tuple[Path, dict[str, tuple[list[str], set[str]]]]:
        found = {}
        for group in GROUPS:
            settings = Recorded()
            answered = answers(group, subject_of(variant), settings)
            for question, rows in answered:
                write_table(root / variant / "measures" / f"{question}.parquet", rows)
            found[group] = [question for question, _ in answered], settings.read
        return root / variant, found

    return measure


@pytest.mark.parametrize("group", ["forward", "spikes", "geometry"])
def test_questions_that_need_no_gradient_keep_no_graph(subject_of, group):
    """A running total that holds its graph grows with the text: by 36 MB for 1,024 token ids of SmolLM2."""

    def kept(tensor):
        raise AssertionError("a tensor is kept for a gradient")

    with torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor):
        assert answers(group, subject_of("baseline"), SETTINGS)


@pytest.mark.parametrize("variant", DIFFERENT)
def test_a_group_answers_what_it_declares_from_what_it_declares(measured, variant):
    """Otherwise a job would fail on a missing output, or a change of a setting that it reads would not rerun it."""
    _, found = measured(variant)
    for group, (questions, reads, _) in GROUPS.items():
        answered, read = found[group]
        assert tuple(answered) == questions, group
        assert read <= set(reads), group


def test_a_module_declares_the_settings_that_it_reads_and_no_others(subject_of):
    """A setting that is declared in vain would rerun jobs whose results it cannot change."""
    for module in (import_module(name) for group in GROUPS.values() for name in group.modules):
        settings = Recorded()
        assert tuple(question for question, _ in module.answers(subject_of("baseline"), settings)) == module.QUESTIONS
        assert settings.read == set(module.READS) <= asdict(SETTINGS).keys(), module.__name__


def test_planning_imports_no_torch():
    """The Snakefile reads the groups at every start, on machines without torch too."""
    code = "import sys; from spikesink.measures.groups import GROUPS; print(len(GROUPS), 'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["6", "False"]


def test_a_question_of_an_unknown_group_is_refused(monkeypatch):
    """No rule would ask it, and nobody would notice."""
    monkeypatch.setattr(groups, "constant", lambda module, name: "qualty" if name == "GROUP" else ())
    with pytest.raises(ValueError, match="GROUP = 'qualty' is not one of forward, spikes"):
        groups.groups()


def test_every_question_is_asked_once():
    questions = [question for group in GROUPS.values() for question in group.questions]
    assert len(set(questions)) == len(questions)


def test_text_without_a_bos_can_be_measured(subject_of):
    """The rows of such a stream are pieces of it: a group that took token 0 for a BOS would fail."""
    for group, (questions, _, _) in GROUPS.items():
        assert tuple(question for question, _ in answers(group, subject_of("baseline", "none"), SETTINGS)) == questions


WITHOUT_ANSWER = ("valve_strength", "backcopy", "backcopy_heads", "course")
"""Questions about models with valves, of the Bigram-Backcopy task, and of runs with snapshots."""


def test_sinks_are_measured_on_the_same_length_whatever_the_context(subject_of):
    """Sink ratios of models of different contexts could not be compared, were they measured on different lengths."""
    settings = replace(SETTINGS, sink_tokens=2 * models.POSITIONS)
    subject = subject_of("baseline")
    assert subject.tokens(3, settings.sink_tokens).shape == (3, 2 * models.POSITIONS)
    for group in ("forward", "gradients"):
        for question, rows in answers(group, subject, settings):
            assert rows or question in WITHOUT_ANSWER


def test_a_positional_gate_is_measured_where_it_has_a_table(subject_of):
    """It knows the positions that it was trained on and no others."""
    subject = subject_of("positional_head")
    assert subject.rows(2, 2 * models.POSITIONS).shape == (2, models.POSITIONS + 1)
    assert subject.rows(2, 10).shape == (2, 11)
    for group in ("forward", "gradients", "consequences"):
        answers(group, subject, replace(SETTINGS, sink_tokens=2 * models.POSITIONS))


@pytest.mark.parametrize("name", MECHANISM_FIGURES)
def test_a_figure_reads_questions_that_are_asked(name):
    """The workflow could not plan a figure of a question that no group answers; the report shows the caption."""
    figure = import_module(f"spikesink.figures.mechanism.{name}")
    declared = {question for group in GROUPS.values() for question in group.questions}
    assert figure.QUESTIONS
    assert set(figure.QUESTIONS) <= declared
    assert figure.CAPTION.endswith(".")


@pytest.mark.parametrize("variant", DIFFERENT)
def test_every_figure_draws_every_variant(measured, variant):
    """A table that a variant leaves empty, or a column that holds nulls, would stop the study at its last step."""
    folder, _ = measured(variant)
    for name in MECHANISM_FIGURES:
        picture = draw(name, data_of(name, {variant: folder}), style_of_variants([variant]))
        if variant == "v_scale":  # what could go wrong only where text and ticks find their places
            picture.draw_without_rendering()


@pytest.mark.parametrize("name", MECHANISM_FIGURES)
def test_a_run_that_diverged_is_named_and_hides_no_other(measured, tmp_path, name):
    """It is a result like any other, with empty tables: a figure that read one would stop all that stand in it."""
    folder, _ = measured("baseline")
    (tmp_path / "manifest.json").write_text('{"status": "diverged"}')
    for question in import_module(f"spikesink.figures.mechanism.{name}").QUESTIONS:
        write_table(tmp_path / "measures" / f"{question}.parquet", [])
    for models_drawn in ({"wd = 0": tmp_path, "baseline": folder}, {"wd = 0": tmp_path}):
        data = data_of(name, models_drawn)
        assert draw(name, data, style_of_variants(models_drawn)).get_suptitle() == "wd = 0 diverged"
        (lost,) = data.filter(polars.col("model") == "wd = 0").to_dicts()
        assert {key for key, value in lost.items() if value is not None} == {"model", "status"}, "no value"
    finished = data_of(name, {"baseline": folder})
    assert draw(name, finished, style_of_variants(["baseline"])).get_suptitle() == ""


def test_a_label_may_hold_an_equals_sign(measured, tmp_path):
    """Labels are free text, such as c = 4, and reach the command as LABEL=FOLDER."""
    folder, _ = measured("baseline")
    command = [
        sys.executable,
        "-m",
        "spikesink.figures.mechanism",
        "attention_distance",
        "--models",
        f"c = 4={folder}",
    ]
    subprocess.run([*command, "--output", str(tmp_path / "figure")], check=True, timeout=60)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("variant", DIFFERENT)
def test_the_table_of_the_mechanism_has_a_row_for_every_variant(measured, tmp_path, variant):
    """Its numbers are the measures' own; what a variant leaves empty is absent, and a diverged run has no numbers."""
    folder, _ = measured(variant)
    for question in mechanism_questions():
        write_table(tmp_path / "measures" / f"{question}.parquet", [])
    row, diverged = mechanism_table({variant: folder, "lost": tmp_path}).to_dicts()
    assert list(row) == ["model", "measured", *names_of("mechanism")]
    assert (row["model"], row["measured"], diverged["model"], diverged["measured"]) == (variant, True, "lost", False)
    assert {value for name, value in diverged.items() if name not in ("model", "measured")} == {None}

    def table(question: str) -> polars.DataFrame:
        return polars.read_parquet(folder / "measures" / f"{question}.parquet")

    quantised = dict(table("quantisation").select("setting", "perplexity").iter_rows())
    assert row["int8_full_precision"] == quantised["full_precision"]
    assert row["int8_down_projection_static"] == quantised.get("down_projection_static")
    assert row["gradient_sink_ratio"] == pytest.approx(table("gradient_sink_ratio")["ratio"].median())
    assert row["vocabulary_spike_pct"] == pytest.approx(100 * table("vocabulary_probe")["is_spike"].mean())
    assert (row["eigenvalue"] is None) == table("amplifier_alignment").is_empty()
    assert (row["streaming_window"] is None) == (variant == "positional_head")
