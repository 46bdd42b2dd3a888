"""64 runs that log at the same moment lose nothing, and nothing of them is stored twice."""

from pathlib import Path

from mirrored_runs import Job, run_together
from tracked_study import faults_of, stored_runs

from spikesink.tracking import default_uri
from spikesink.tracking.__main__ import main

RUNS = 64


def train_together_then_sync(uri: str, folder: Path) -> None:
    """Every metric of every run is in the store once."""
    study = str(folder / "tiny")
    jobs = [
        Job(uri=uri, results=study, variant=f"run{number}", rows=50, row_seconds=0.05, scale=1.0 + number)
        for number in range(RUNS)
    ]
    outcomes = run_together(jobs, folder / "processes")
    assert [outcome.code for outcome in outcomes] == [0] * RUNS
    # How many runs are complete before the sync depends on the machine; one alone would not have been many at once.
    assert sum(run.info.status == "FINISHED" for run in stored_runs(uri)) > 1
    assert max(len(outcome.errors) for outcome in outcomes) <= 1
    assert main(["sync", "--study", "tiny", "--results", study, "--uri", uri]) == 0
    assert len(stored_runs(uri)) == RUNS
    assert faults_of(uri, Path(study)) == {}


def test_many_runs_share_one_new_sqlite_store(tmp_path):
    """The first runs of a study start at the same second, before the store exists, and wait for each other."""
    train_together_then_sync(default_uri(tmp_path), tmp_path)
