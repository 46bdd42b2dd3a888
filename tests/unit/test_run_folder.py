"""The names inside a run's folder, and how its JSON files are read."""

import json

import pytest

from spikesink.runs.folder import RunFolder, run_folders, snapshot, snapshots
from spikesink.study.errors import InputError


def test_paths_may_hold_wildcards():
    """Snakemake's rules take the names from here."""
    folder = RunFolder("results/x/runs/{variant}/seed{seed}")
    assert str(folder.manifest) == "results/x/runs/{variant}/seed{seed}/manifest.json"
    assert str(folder.measure("{question}")) == "results/x/runs/{variant}/seed{seed}/measures/{question}.parquet"


def test_a_run_says_whether_it_has_diverged(tmp_path):
    folder = RunFolder(tmp_path)
    for status in ("finished", "diverged"):
        folder.manifest.write_text(json.dumps({"status": status}))
        assert folder.status() == status
        assert folder.has_diverged() == (status == "diverged")


@pytest.mark.parametrize(
    "content, fault",
    [(None, "cannot be read (No such file"), ("{", "not valid JSON"), ("[]", "no JSON object"), ("{}", "no status")],
)
def test_a_manifest_that_says_nothing_is_no_finished_run(tmp_path, content, fault):
    """A run without a manifest has not ended; taking it for a finished one would measure half a training."""
    folder = RunFolder(tmp_path)
    if content is not None:
        folder.manifest.write_text(content)
    with pytest.raises(InputError) as error:
        folder.has_diverged()
    message = str(error.value)
    assert message.startswith(f"{folder.manifest}: ") and message.endswith(": train this run again")
    assert fault in message and "\n" not in message


def test_snapshots_come_in_the_order_of_steps(tmp_path):
    for step in (1000, 2, 30):
        snapshot(tmp_path, step).touch()
    assert list(snapshots(tmp_path)) == [2, 30, 1000]
    assert snapshot(tmp_path, 2).name == "step00000002.safetensors"
    assert snapshots(tmp_path / "none") == {}


def test_only_runs_that_have_ended_are_listed(tmp_path):
    for name in ("b/seed0", "a/seed1", "a/seed0"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("b/seed0", "a/seed1"):
        (tmp_path / "runs" / name / "manifest.json").touch()
    assert [folder.path for folder in run_folders(tmp_path)] == [tmp_path / "runs/a/seed1", tmp_path / "runs/b/seed0"]
