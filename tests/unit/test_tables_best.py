"""Bold values: the lowest perplexities that can be compared, and nothing else."""

import json
import math

import polars as pl
import pytest
from fake_study import fake_study
from written_tables import TWO_SEEDS, written_tables

from spikesink.tables.collecting.parts import collect
from spikesink.tables.render.best import best_paper_perplexity, best_perplexity, lowest
from spikesink.tables.render.layout import columns, notes
from spikesink.tables.render.numbers import decimals
from spikesink.tables.statistics.comparison import compare


def compared(tmp_path, variants, seeds=(0,)) -> pl.DataFrame:
    return compare(collect(*fake_study(tmp_path, {"norm": variants}, seeds)["norm"])["runs"])


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([20.0, 10.0, 12.0], {1}),
        ([20.0, 10.0, 10.004], {1, 2}),  # both are written 10.00
        ([None, math.nan, math.inf, 3.0, 4.0], {3}),
        ([-math.inf, 3.0, 4.0], {1}),
        ([20.0, 20.0], set()),
        ([20.0, None], set()),
        ([], set()),
    ],
)
def test_ties_are_what_is_written_alike_and_a_value_needs_another_to_be_best(values, places):
    assert lowest(values, decimals(2)) == places


def test_sinks_and_spikes_have_no_best_value(tmp_path):
    variants = compared(tmp_path, {"sandwich": {"perplexity": 9.0, "spike": 5.0, "sink": 0.0}, "dyt": {}})
    bold = {(column.group, column.heading): column.best for column in columns(variants) if column.best}
    assert bold == {("this study", "perplexity"): {1}, ("paper", "perplexity"): {1}}


def test_a_mean_without_its_diverged_seed_is_not_best(tmp_path):
    """dyt's 8 is the mean of the runs that survived."""
    variants = compared(tmp_path, TWO_SEEDS["norm"], seeds=(0, 1))
    assert variants["perplexity"].to_list() == pytest.approx([20, 12, 8])
    assert best_perplexity(variants) == {1}


def test_a_mean_without_its_infinite_seed_is_not_best_and_the_seed_is_named(tmp_path):
    runs = collect(*fake_study(tmp_path, {"norm": TWO_SEEDS["norm"]}, (0, 1))["norm"])["runs"]
    lost = (pl.col("variant") == "sandwich_qk") & (pl.col("seed") == 1)
    infinite = runs.with_columns(perplexity=pl.when(lost).then(math.inf).otherwise("perplexity"))
    variants = compare(infinite)
    assert best_perplexity(compare(runs)) == {1} and best_perplexity(variants) == set()
    assert "sandwich qk seed 1: perplexity is infinite" in next(
        line for line in notes(variants, infinite) if "Left" in line
    )


def test_perplexities_of_unequal_contexts_have_no_best(tmp_path):
    variants = compared(tmp_path, {"dyt": {"perplexity": 9.0}})
    assert best_perplexity(variants) == best_paper_perplexity(variants) == {1}
    for unequal in (pl.Series("sequence_length", [8, 16]), pl.Series("bos", ["sequence", "none"])):
        table = variants.with_columns(unequal)
        assert best_perplexity(table) == best_paper_perplexity(table) == set()


def test_a_table_of_unequal_bos_says_that_perplexities_do_not_compare(tmp_path):
    folders, name, names = fake_study(tmp_path, {"norm": {"dyt": {"perplexity": 9.0}}})["norm"]
    for other, noted in (("sequence", False), ("none", True)):
        for folder in folders:
            run = json.loads((folder / "run.json").read_text())
            run["tokenizer"] = {"vocabulary": 8, "bos": "sequence" if run["variant"] == "baseline" else other}
            (folder / "run.json").write_text(json.dumps(run))
        runs = collect(folders, name, names)["runs"]
        assert runs["bos"].to_list() == ["sequence", other]
        variants = compare(runs)
        assert any("only where the BOS is the same" in line for line in notes(variants, runs)) == noted
        assert best_perplexity(variants) == (set() if noted else {1})


def test_rows_of_two_papers_are_not_compared(tmp_path):
    variants = compared(tmp_path, {"dyt": {}, "mine": {"stands_for": "v_scale"}})
    assert variants["paper_source"].str.contains("2603.17771").sum() == 1
    assert best_paper_perplexity(variants) == set()


def test_markdown_marks_the_best_and_says_what_bold_is(tmp_path, monkeypatch):
    text = written_tables(tmp_path, monkeypatch, {"norm": {"sandwich": {"perplexity": 9.0}}}, "norm")["md"].read_text()
    assert "| sandwich | **9.00** |" in text and "| **9.8** |" in text
    assert text.count("**") == 4
    assert "- Bold: the lowest perplexity of its column" in text


def test_without_a_best_value_no_note_speaks_of_bold(tmp_path, monkeypatch):
    files = written_tables(tmp_path, monkeypatch, {"norm": {"mine": {}}}, "norm")
    assert all("Bold" not in files[kind].read_text() for kind in ("md", "tex"))
