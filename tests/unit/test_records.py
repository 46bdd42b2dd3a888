"""Snakemake's records are the same in .snakemake and beside the results; of two that differ, the newer counts."""

import base64
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.persistence import RECORD_FORMAT_VERSION

from spikesink.workflow.records import FORMATS, exchange_records
from spikesink.workflow.setup import keep_records

RESULTS = Path("results/tiny")
OUTPUT = "results/tiny/runs/baseline/seed0/manifest.json"
LONG = "results/tiny/" + "a" * 300


def name(output: str) -> Path:
    """As Snakemake names a record: base64, in parts of the longest name that a file may have."""
    text = base64.urlsafe_b64encode(output.encode()).decode()
    parts = [text[start : start + 254] for start in range(0, len(text), 254)]
    return Path(*[f"@{part}" for part in parts[:-1]], parts[-1])


def write(folder: Path, output: str, **record: object) -> None:
    path = folder / name(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"record_format_version": 6} | record))


def read(folder: Path, output: str) -> dict:
    record = json.loads((folder / name(output)).read_text())
    assert record.pop("record_format_version") == 6
    return record


@pytest.fixture
def live(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".snakemake/metadata"


@pytest.mark.parametrize("output", [OUTPUT, LONG])
def test_a_record_is_kept_beside_the_results_and_comes_back(live, output):
    write(live, output, endtime=2.0, rule="train")
    exchange_records(RESULTS)
    assert read(RESULTS / "records", output) == {"endtime": 2.0, "rule": "train"}
    (live / name(output)).unlink()
    exchange_records(RESULTS)
    assert read(live, output) == {"endtime": 2.0, "rule": "train"}


def test_a_disk_that_cannot_be_written_is_one_line(live, capsys):
    """A study in a folder of another user, or on a full disk, can still be looked at."""
    write(live, OUTPUT, endtime=2.0)
    RESULTS.mkdir(parents=True)
    (RESULTS / "records").write_text("in the way")
    keep_records(SimpleNamespace(config=SimpleNamespace(study="tiny")))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{RESULTS}/records") and line.endswith(
        "until then copies of these results may be made anew"
    )


def test_records_of_other_studies_are_left_alone(live):
    write(live, "results/tiny2/tables/runs.csv", endtime=1.0)
    write(live, "report.zip", endtime=1.0)
    (live / "no base64 at all").write_text("{}")
    exchange_records(RESULTS)
    assert not RESULTS.exists()


@pytest.mark.parametrize("newer", ["live", "kept"])
def test_the_record_of_the_later_job_counts(live, newer):
    write(live, OUTPUT, endtime=3.0 if newer == "live" else 1.0, params=["live"])
    write(RESULTS / "records", OUTPUT, endtime=2.0, params=["kept"])
    exchange_records(RESULTS)
    assert read(live, OUTPUT)["params"] == read(RESULTS / "records", OUTPUT)["params"] == [newer]


def test_a_damaged_record_is_replaced(live):
    """A copy that was cut off must not replace what is whole."""
    write(live, OUTPUT, endtime=1.0)
    kept = RESULTS / "records" / name(OUTPUT)
    kept.parent.mkdir(parents=True)
    kept.write_text('{"endtime": 9')
    exchange_records(RESULTS)
    assert read(RESULTS / "records", OUTPUT) == {"endtime": 1.0}


def test_a_copy_gets_the_times_at_which_its_files_were_made(live):
    """With those of the copying an input may seem older than what was made of it, and its change goes unnoticed."""
    write(RESULTS / "records", OUTPUT, endtime=1000.0)
    Path(OUTPUT).parent.mkdir(parents=True)
    Path(OUTPUT).touch()
    exchange_records(RESULTS)
    assert Path(OUTPUT).stat().st_mtime == 1000
    os.utime(OUTPUT, (5000, 5000))
    exchange_records(RESULTS)
    assert Path(OUTPUT).stat().st_mtime == 5000  # it was changed here, which must be seen
    elsewhere = RESULTS.with_name("copy")
    shutil.copytree(RESULTS, elsewhere, copy_function=shutil.copyfile)
    shutil.rmtree(RESULTS)
    shutil.copytree(elsewhere, RESULTS, copy_function=shutil.copyfile)
    exchange_records(RESULTS)
    assert Path(OUTPUT).stat().st_mtime == 1000


@pytest.mark.parametrize(
    "record, fault",
    [({"record_format_version": 7, "endtime": 1.0}, "has format 7"), ({"record_format_version": 6}, "states no time")],
)
def test_another_layout_is_one_line_and_nothing_is_copied(live, capsys, record, fault):
    """A later Snakemake may store its notes otherwise: copies that say the wrong thing would hide what must rerun."""
    write(live, OUTPUT, **record)
    exchange_records(RESULTS)
    assert not RESULTS.exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name(OUTPUT)} {fault}, unlike in Snakemake 9.27" in line


def test_the_installed_snakemake_has_the_known_format():
    """Its records must be those that this module was tested with."""
    assert RECORD_FORMAT_VERSION in FORMATS
