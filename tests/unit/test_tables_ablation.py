"""Ablation tables: values over seeds, the paper's rows beside ours, and files that other programs can read."""

import math

import polars as pl
import pytest
from fake_study import fake_study
from written_tables import TWO_SEEDS, written_tables

from spikesink.study.errors import InputError
from spikesink.tables.collecting.parts import collect
from spikesink.tables.paper.rows import beside, spike_rows, v_scale_rows
from spikesink.tables.render.layout import trained_note
from spikesink.tables.render.numbers import decimals, significant, written
from spikesink.tables.statistics.comparison import compare


@pytest.fixture
def study_root(tmp_path):
    (tmp_path / "study").mkdir()
    return tmp_path


def test_two_seeds_give_mean_and_standard_deviation(tmp_path):
    variants = compare(collect(*fake_study(tmp_path, TWO_SEEDS, seeds=(0, 1))["norm"])["runs"])
    row = variants.row(1, named=True)
    assert row["perplexity"] == pytest.approx(12.0)
    assert row["perplexity_sd"] == pytest.approx(math.sqrt(8))
    assert (row["spike"], row["seeds"], row["seeds_finished"]) == (200.0, 2, 2)


def test_a_diverged_seed_is_named_and_in_no_mean(tmp_path):
    variants = compare(collect(*fake_study(tmp_path, TWO_SEEDS, seeds=(0, 1))["norm"])["runs"])
    row = variants.row(2, named=True)
    assert row["perplexity"] == pytest.approx(8.0)
    assert row["perplexity_sd"] is None
    assert row["status"] == "diverged: 1 of 2 seeds"


def test_one_seed_has_no_standard_deviation_and_says_so(study_root, monkeypatch):
    files = written_tables(study_root, monkeypatch, {"norm": {"dyt": {}}}, "norm")
    assert pl.read_parquet(files["parquet"])["perplexity_sd"].null_count() == 2
    for kind in ("md", "tex"):
        text = files[kind].read_text()
        assert "1 seed, no interval" in text
        assert "±" not in text and "pm" not in text


def test_the_papers_row_is_found_by_stands_for_before_the_name():
    rows = beside([("baseline", None), ("dyt", None), ("heads4_dim8", "heads32_dim32"), ("my_own", None)])
    assert [row["paper_row"] for row in rows] == ["baseline", "dyt", "heads32_dim32", None]
    assert [row["paper_perplexity"] for row in rows] == [10.1, 10.0, 10.5, None]
    assert rows[2]["paper_spike"] == 829.0
    assert rows[1]["paper_sink_ratio"] == 61.0


def test_v_scale_stands_beside_the_other_paper_with_its_own_baseline():
    rows = beside([("baseline", None), ("v_scale", None), ("v_scale_backward_only", None)])
    assert rows[0]["paper_perplexity"] == pytest.approx(math.exp(2.9168))
    assert rows[1]["paper_sink_ratio"] == pytest.approx(50.18)
    assert all("2603.17771" in row["paper_source"] and row["paper_spike"] is None for row in rows)


def test_every_row_stands_beside_the_baseline_of_its_own_paper(study_root, monkeypatch):
    """V-scale's 50.2 % are of a model of 0.3B parameters whose baseline has 61.7 %, not of 7B with 46.0 %."""
    rows = {row["paper_row"]: row for row in beside([("baseline", None), ("sandwich", None), ("v_scale", None)])}
    own = {name: round(row["paper_baseline_sink_ratio"], 1) for name, row in rows.items()}
    assert own == {"baseline": 46.0, "sandwich": 46.0, "v_scale": 61.7}
    assert rows["v_scale"]["paper_baseline_perplexity"] == pytest.approx(18.48, abs=0.01)
    text = written_tables(study_root, monkeypatch, {"norm": {"sandwich": {}, "v_scale": {}}}, "norm")["md"].read_text()
    row = next(line for line in text.splitlines() if line.startswith("| V-scale |"))
    assert row.endswith("| v_scale | 18.30 (of 18.48) | 50.2 (of 61.7) | – |")
    assert "- (of ...): the baseline of that row's own paper" in text


def test_rows_of_one_paper_stand_beside_its_baseline_alone(study_root, monkeypatch):
    text = written_tables(study_root, monkeypatch, {"v": {"v_scale": {}}}, "v")["md"].read_text()
    assert "61.7" in text and "(of" not in text, "the first row is that paper's baseline"


def test_a_stands_for_without_a_row_is_an_error_that_names_it():
    with pytest.raises(InputError, match="'mine' has stands_for 'heads3_dim3'"):
        beside([("baseline", None), ("mine", "heads3_dim3")])


def test_the_papers_numbers_are_complete():
    assert len(spike_rows()) == 41
    assert spike_rows()["baseline"]["paper_source"] == "arXiv 2603.05498 Table 3"
    assert set(v_scale_rows()) == {"baseline", "v_scale", "v_scale_backward_only"}


def test_markdown_has_heading_units_notes_and_the_papers_values(study_root, monkeypatch):
    text = written_tables(study_root, monkeypatch, TWO_SEEDS, "norm", seeds=(0, 1))["md"].read_text()
    lines = text.splitlines()
    assert lines[0] == "# Ablation norm of study fake"
    assert "sink ratio (%)" in lines[2] and "paper: spike" in lines[2]
    assert lines[4].startswith("| baseline |") and lines[4].endswith("| baseline | 10.1 | 46.0 | 3,818 |")
    assert "| dyt (diverged: 1 of 2 seeds) | 8.00 |" in text
    # The geometric mean of 10 and 14 is 11.83, times exp(± t(0.975, 1) ln(1.4) / 2); of 100 and 300 it is 173.
    assert "| **11.83 [1.40, 100.33]** |" in text
    assert "| 173 [0.161, 186,000] |" in text
    assert "Scale: tiny; 2 seeds" in text
    assert "- Left out of means: dyt seed 1: diverged." in lines


def test_the_trained_positions_are_those_of_a_seed_that_finished():
    shares = {"sink_ratio": 1.0, "sink_ratio_trained": 2.0, "sink_mass_mean": 0.1, "sink_mass_mean_trained": 0.1}
    variants = pl.DataFrame([{"variant": "late"} | shares])
    seeds = {"variant": ["late"] * 2, "label": ["late loss"] * 2}
    runs = pl.DataFrame(seeds | {"trained_first": [None, 16], "trained_last": [None, 64]})
    (note,) = trained_note(variants, runs)
    assert "(late loss 16 to 63)" in note


def test_changes_against_the_baseline_have_their_own_table(study_root, monkeypatch):
    text = written_tables(study_root, monkeypatch, TWO_SEEDS, "norm", seeds=(0, 1))["md"].read_text()
    table = text.split("## Change against the baseline\n\n")[1].splitlines()
    assert table[0].startswith(
        "| variant | pairs | perplexity (ratio): change | perplexity (ratio): r | perplexity (ratio): d "
    )
    # 10 and 14 against 20 and 20: 11.83 / 20 times exp(± t(0.975, 1) ln(1.4) / 2), t(1) = ln(0.59) / (ln(1.4) / 2).
    assert table[2].startswith("| sandwich qk | 2 | 0.592 [0.070, 5.016] | – | -3.1 | 0.197 |")
    assert table[3].startswith("| dyt | 1 | 0.400 | – | – | – |"), "one pair has no interval and no test"
    assert "| sink ratio (points): change |" in table[0] and "| sink mass mean: change |" in table[0], "0.1 is no point"


def test_csv_and_parquet_hold_the_same_rows_baseline_first(study_root, monkeypatch):
    files = written_tables(study_root, monkeypatch, {"norm": {"sandwich_qk": {}, "dyt": {}}}, "norm")
    table = pl.read_parquet(files["parquet"])
    assert pl.read_csv(files["csv"]).columns == table.columns
    assert table["variant"].to_list() == ["baseline", "sandwich_qk", "dyt"]
    for name in ("low", "high", "change", "change_low", "change_high", "effect_size", "p", "p_holm"):
        assert f"spike_{name}" in table.columns
    paper = ["paper_row", "paper_source", "paper_perplexity", "paper_sink_ratio", "paper_spike"]
    assert table.columns[-8:-3] == paper


def test_numbers_are_rounded_for_reading():
    small = [significant(3)(value) for value in (0.0000240, -0.00009996, 0.000123)]
    assert small == ["2.40e-5", "-1.00e-4", "0.000123"]
    assert [significant(3)(value) for value in (38470, 92.04, 999.6, 0.01234, 0)] == [
        "38,500",
        "92.0",
        "1,000",
        "0.0123",
        "0",
    ]
    assert written(None, decimals(2)) == "–"
