"""A study that was published before a column existed: what it lacks reads as not measured, and all else stays."""

import shutil
import sys
from pathlib import Path

import polars as pl
import pytest

from spikesink.claims import __main__ as claims
from spikesink.figures import __main__ as overview
from spikesink.figures import compared
from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.figures.drawing import style
from spikesink.quantities import names_of
from spikesink.study.errors import InputError
from spikesink.tables import ablation, runs
from spikesink.tables.collecting.mechanism import asked, mechanism_table, numbers_of
from spikesink.tables.inputs import read_measures
from spikesink.tables.parts import read_part
from spikesink.tables.render.summary import summary

ROOT = Path(__file__).parents[2]
NANO = ROOT / "results/published/nano"
LACKS = ("sink_mass_mean", "sink_mass_max", "spike_over_median", "perplexity_loss_window")


def run(monkeypatch, command, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    return command.main() or 0


@pytest.fixture(scope="module")
def part(tmp_path_factory) -> Path:
    """The parts of a published ablation without some columns of runs.parquet."""
    folder = shutil.copytree(NANO / "tables/parts/norm", tmp_path_factory.mktemp("parts") / "norm")
    path = folder / "runs.parquet"
    pl.read_parquet(path).drop(LACKS).write_parquet(path)
    return folder


def test_a_column_that_was_not_measured_is_a_dash_in_every_table(part, tmp_path, monkeypatch):
    """Else a quantity that is added to the project would make every published study unreadable."""
    assert run(monkeypatch, runs, "--parts", part, "--output", tmp_path) == 0
    assert run(monkeypatch, ablation, "--parts", part, "--ablation", "norm", "--output", tmp_path / "norm") == 0
    found = pl.read_csv(tmp_path / "runs.csv", infer_schema_length=None)
    assert all(found[name].null_count() == len(found) for name in LACKS) and found["spike"].null_count() == 0
    whole = read_part(NANO / "tables/parts/norm", "runs")
    assert found["perplexity"].sort().to_list() == whole["perplexity"].sort().to_list()
    row = next(line for line in (tmp_path / "norm.md").read_text().splitlines() if line.startswith("| DynamicTanh"))
    assert "–" in row and "0" in row
    assert "largest head" in summary(tmp_path / "runs.csv")


def test_claims_about_it_are_not_run_and_others_are_judged(part, tmp_path, monkeypatch):
    run(monkeypatch, runs, "--parts", part, "--output", tmp_path)
    text = "claims: {a: {b: {%s}}}"
    entry = "%s: {claim: c, quantity: %s, compare: value, of: baseline, above: 0}"
    (tmp_path / "claims.yaml").write_text(text % ", ".join(entry % (name, name) for name in (LACKS[0], "spike")))
    (tmp_path / "mechanism.csv").write_text("model,measured\nbaseline/seed0,true\n")
    arguments = ["--claims", tmp_path / "claims.yaml", "--runs", tmp_path / "runs.csv"]
    arguments += ["--mechanism", tmp_path / "mechanism.csv", "--study", "nano", "--output", tmp_path / "claims"]
    assert run(monkeypatch, claims, *arguments) == 0
    rows = {row["claim"]: row for row in pl.read_csv(tmp_path / "claims.csv").iter_rows(named=True)}
    assert (rows[LACKS[0]]["verdict"], rows["spike"]["verdict"]) == ("not measured", "reproduced")
    assert rows[LACKS[0]]["remark"] == "no run has sink_mass_mean: not measured, or never present"


def test_the_overview_names_the_variants_without_a_value(part, tmp_path, monkeypatch):
    run(monkeypatch, runs, "--parts", part, "--output", tmp_path)
    table = tmp_path / "older.csv"
    whole = pl.read_csv(tmp_path / "runs.csv", infer_schema_length=None)
    whole.drop("sink_ratio", "spike_over_median").write_csv(table)
    assert run(monkeypatch, overview, "--runs", table, "--output", tmp_path / "overview") == 0
    assert (tmp_path / "overview.png").exists()


MODEL = NANO / "runs/v_scale/seed30"
QUESTIONS = sorted(path.stem for path in (MODEL / "measures").glob("*.parquet"))


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_without_a_column_leaves_only_its_own_numbers_out(question, tmp_path):
    """In the table of the mechanism and in figures: every column of every answer is taken away in turn."""
    folder = shutil.copytree(MODEL, tmp_path / "model")
    path = folder / f"measures/{question}.parquet"
    tables, table = read_measures(folder, asked([folder])), pl.read_parquet(path)
    whole = found = numbers_of(tables)
    reads = {name: set(figure.reads) for name, figure in MECHANISM_FIGURES.items()}
    shown = [name for name, read in reads.items() if question in read <= {*QUESTIONS}]
    for name in table.columns:
        found = numbers_of(tables | {question: table.drop(name)} if question in tables else tables)
        assert all(value in (None, whole[key]) for key, value in found.items()), name
        table.drop(name).write_parquet(path)
        for figure in shown:
            data, looks = compared.data_of(figure, {"m": folder}), style.style_of_variants(["m"])
            assert data.columns == list(compared.columns_of(figure))
            if data["status"].to_list() == [compared.NOT_MEASURED]:
                assert compared.draw(figure, data, looks).get_suptitle() == "m not measured"
    (row,) = mechanism_table({"m/seed0": folder}).to_dicts()
    empty = dict.fromkeys(names_of("mechanism"))
    assert row == {"model": "m/seed0", "measured": True} | empty | found, "of the file as of the table"


def test_a_file_without_the_columns_that_name_its_rows_is_no_such_table(tmp_path):
    pl.DataFrame({"variant": ["a"], "spike": [1.0]}).write_parquet(tmp_path / "runs.parquet")
    with pytest.raises(InputError, match=r"runs\.parquet: has no column 'ablation': collect the ablation again"):
        read_part(tmp_path, "runs")
