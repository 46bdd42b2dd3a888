"""The list of all runs, the long table and the closing summary."""

import os
import subprocess
import sys

import polars as pl
import pytest
from fake_study import fake_study
from fresh_python import loaded_by

from spikesink.study.errors import InputError
from spikesink.tables import runs as entry
from spikesink.tables.all_runs import all_runs, long_table
from spikesink.tables.collecting.parts import collect
from spikesink.tables.render.summary import summary
from spikesink.tables.render.variants_page import write_variants

ABLATIONS = {"norm": {"sandwich": {}, "dyt": {"spike": 40.0}}, "ffn": {"gelu": {"perplexity": 30.0}}}


@pytest.fixture
def parts(tmp_path):
    return [collect(*study)["runs"] for study in fake_study(tmp_path, ABLATIONS, seeds=(0, 1)).values()]


def test_runs_stand_in_the_order_of_the_parts_with_the_baseline_once(parts):
    runs = all_runs(parts)
    order = [(variant, seed) for variant in ("baseline", "sandwich", "dyt", "gelu") for seed in (0, 1)]
    assert list(runs.select("variant", "seed").iter_rows()) == order


def test_the_csv_begins_with_the_promised_columns(parts, tmp_path, monkeypatch):
    for name, part in zip("ab", parts, strict=True):
        (tmp_path / name).mkdir()
        part.write_parquet(tmp_path / name / "runs.parquet")
    folders = [str(tmp_path / name) for name in "ab"]
    arguments = ["--parts", *folders, "--output", str(tmp_path / "tables")]
    monkeypatch.setattr(sys, "argv", ["runs", *arguments])
    assert entry.main() == 0
    header = (tmp_path / "tables/runs.csv").read_text().splitlines()[0]
    assert header.startswith(
        "ablation,variant,seed,perplexity,sink_ratio,sink_ratio_gu,spike,spike_position,parameters,tokens,status,"
    )
    assert pl.read_parquet(tmp_path / "tables/long.parquet")["unit"].null_count() == 0


def test_the_long_table_has_a_unit_for_every_value_and_no_nulls(parts):
    long = long_table(all_runs(parts))
    assert long.columns == ["study", "scale", "ablation", "variant", "seed", "quantity", "value", "unit"]
    dyt = long.filter((pl.col("variant") == "dyt") & (pl.col("quantity") == "spike"))
    assert dyt["value"].to_list() == [40.0, 40.0]
    assert not long["value"].has_nulls()


@pytest.mark.parametrize(
    ("column", "other", "subject"),
    [
        ("study", pl.lit("other"), "the study, other and fake"),
        ("scale", pl.lit("large"), "the scale, large and tiny"),
        ("perplexity", pl.col("perplexity") + 1, "baseline with seed 0"),
    ],
)
def test_parts_that_differ_are_refused(parts, column, other, subject):
    stale = parts[0].with_columns(other.alias(column))
    with pytest.raises(InputError, match=f"differ about {subject}"):
        all_runs([stale, parts[1]])


def test_a_part_without_a_seed_of_the_baseline_is_refused(parts):
    with pytest.raises(InputError, match="differ about the seeds of the baseline"):
        all_runs([parts[0].filter(pl.col("seed") == 0), parts[1]])


def test_the_summary_is_aligned_and_names_failures(tmp_path):
    (tmp_path / "s").mkdir()
    ablations = {"norm": {"a_long_name": {"spike": 12345.0}, "dyt": {"status": "diverged"}}}
    path = tmp_path / "runs.csv"
    all_runs([collect(*fake_study(tmp_path / "s", ablations)["norm"])["runs"]]).write_csv(path)
    lines = summary(path).splitlines()
    assert lines[0].split("  ")[0] == "ablation"
    assert len({line.rindex("12,300") + 6 for line in lines if "12,300" in line} | {len(lines[0])}) == 1
    assert lines[3].endswith("diverged")
    assert "20.00" in lines[1] and "50.0" in lines[1]


def test_all_variants_stand_in_one_table_with_intervals_beside_the_papers(parts, tmp_path):
    write_variants(all_runs(parts), tmp_path / "variants")
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in (tmp_path / "variants.md").read_text().splitlines()
        if line.startswith("|")
    ]
    table = {row[1]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}
    assert list(table) == ["baseline", "sandwich", "dyt", "gelu"]
    assert [row[0] for row in rows[2:]] == ["baseline", "norm", "", "ffn"]
    assert table["gelu"]["perplexity"].startswith("30.00")
    assert table["sandwich"]["paper: spike"] == "520"
    page = (tmp_path / "variants.html").read_text()
    assert "All variants of study" in page
    for ability in ("induction accuracy (%)", "retrieval among four values (%)", "perplexity at 2× to 4×"):
        assert ability in page, "what a variant can still do stands beside what it lost"


def test_a_missing_file_is_one_line_and_status_1(tmp_path):
    command = [sys.executable, "-m", "spikesink.tables.runs", "--parts", str(tmp_path / "none"), "--output", "none"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


SUMS = """
from spikesink.tables.topics.consequences import streaming
import polars
loss = polars.Series(range(7168)).hash(1).cast(float) / 2**60
table = polars.DataFrame({"nll_nats": loss}).with_columns(cache=8, tokens=100, start=polars.Series(range(7168)) % 3)
print(len({str(streaming(table)) for _ in range(100)}))
"""


def test_a_sum_has_the_same_digits_every_time():
    """Threads would add up in whatever order they end, and a table that is made again would be another file."""
    environment = {name: value for name, value in os.environ.items() if name != "POLARS_MAX_THREADS"}
    result = subprocess.run([sys.executable, "-c", SUMS], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout == "1\n"


def test_the_tables_import_neither_pandas_nor_torch():
    tables = "spikesink.tables.collect, spikesink.tables.runs, spikesink.tables.ablation"
    assert loaded_by(tables, ("pandas", "torch", "matplotlib")) == []
