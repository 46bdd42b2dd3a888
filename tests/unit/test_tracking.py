"""The MLflow mirror never disturbs training, and the sync step makes every store complete exactly once."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_project import study_in
from tracked_study import (
    STEPS,
    content,
    faults_of,
    mirror_for,
    new_store,
    steps_of,
    stored_runs,
    values,
    write_run,
    write_study,
)

from spikesink.runs.sums import file_sum
from spikesink.tracking import default_uri
from spikesink.tracking.__main__ import main
from spikesink.tracking.sync import sync
from spikesink.workflow.setup import LIVE, say_when_tracked, tell_tracking


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of results whose store does not know the study."""
    new_store(tmp_path / "results")
    return tmp_path / "results"


def test_importing_the_package_does_not_import_mlflow():
    """The training process would otherwise start seconds later, and not at all without mlflow."""
    code = (
        "import sys, spikesink.tracking; sys.exit('mlflow' in sys.modules or 'spikesink.tracking.sync' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sync_stores_everything_and_a_second_sync_changes_nothing(root):
    """A store that is incomplete, or grows with every workflow run, misleads whoever reads it."""
    uri, study = default_uri(root), write_study(root / "tiny")
    (study / "figures/norm/.sums").mkdir()
    (study / "figures/norm/.sums/spikes.png").write_text(f"{file_sum(study / 'figures/norm/spikes.png')}  spikes.png\n")
    line = sync("tiny", study, uri)
    assert "2 variants and 2 runs (5 new" in line
    first = content(uri, root / "mlartifacts")
    by_name = {run.info.run_name: run for run in stored_runs(uri)}
    assert sorted(by_name) == ["dyt", "dyt/seed1", "rms", "rms/seed1", "study"]
    run = by_name["rms/seed1"]
    assert run.info.status == "FINISHED" and run.info.end_time - run.info.start_time == 60_000
    history = first["runs"][run.info.run_id][3]
    for name in ("loss", "tokens", "learning_rate", "gradient_norm"):
        assert [(step, value) for step, value, _ in history[name]] == [(step, values(step)[name]) for step in STEPS]
    summary = {"perplexity": 12.5, "sink_ratio": 25.0, "spike_position": 0.0, "parameters": 7_000_000_001.0}
    assert summary.items() <= run.data.metrics.items() and "spike" not in run.data.metrics
    tags = {"variant": "rms", "seed": "1", "ablation": "norm", "status": "finished", "git.commit": "c0ffee"}
    assert (tags | {"versions.torch": "2.13.0", "spikesink.digest": "digest-rms"}).items() <= run.data.tags.items()
    params = {"model.layers": "2", "model.gate.kind": "none", "training.optimiser.lr": "0.004"}
    assert params.items() <= run.data.params.items() and len(run.data.params["model.note"]) == 250
    names = {path.relative_to(root / "mlartifacts").as_posix().split("/artifacts/")[1] for path in first["files"]}
    assert names == {"run.json", "manifest.json", "tables/runs.csv", "figures/norm/spikes.png"}

    assert "0 new, 0 superseded, 0 values" in sync("tiny", study, uri)
    assert content(uri, root / "mlartifacts") == first


def test_results_can_be_moved(root, tmp_path):
    """People copy results from a cluster; nothing may be written to where they used to be."""
    sync("tiny", write_study(root / "tiny"), default_uri(root))
    moved = tmp_path / "elsewhere"
    shutil.move(root, moved)
    before = content(default_uri(moved), moved / "mlartifacts")
    (moved / "tiny" / "tables" / "new.csv").write_text("a\n1\n")
    sync("tiny", moved / "tiny", default_uri(moved))
    after = content(default_uri(moved), moved / "mlartifacts")
    assert not root.exists() and len(after["files"]) == len(before["files"]) + 1 and after["runs"] == before["runs"]


def test_an_interrupted_mirror_is_resumed_and_completed_once(root):
    """Steps between checkpoint and interruption are trained twice, and the sync adds the rest: none may repeat."""
    uri, study = default_uri(root), write_study(root / "tiny", ("rms",))
    folder = root / "checkpoint"
    for steps, status in ((STEPS[:5], "KILLED"), (STEPS[3:7], "FINISHED")):
        live = mirror_for(uri, "rms", folder)
        for step in steps:
            live.log(step, values(step))
        live.close(status)
    (run,) = stored_runs(uri)
    assert run.info.status == "FINISHED" and steps_of(uri, run.info.run_id) == list(STEPS[:7])
    sync("tiny", study, uri)
    runs = {run.info.run_name: run for run in stored_runs(uri)}
    assert sorted(runs) == ["rms", "rms/seed1", "study"] and runs["rms/seed1"].info.run_id == run.info.run_id
    for name in ("loss", "tokens"):
        assert steps_of(uri, run.info.run_id, name) == list(STEPS)
    assert runs["rms/seed1"].data.metrics["perplexity"] == 12.5


def test_a_stale_run_id_is_replaced(root, capsys):
    """The store may have been deleted, or be another one, since the checkpoint was written."""
    folder = root / "checkpoint"
    folder.mkdir()
    for stale in ("0" * 32, "not an id", ""):
        (folder / "mlflow_run_id").write_text(stale)
        live = mirror_for(default_uri(root), "rms", folder)
        live.log(20, values(20))
        live.close()
        assert steps_of(default_uri(root), (folder / "mlflow_run_id").read_text().strip()) == [20]
    assert capsys.readouterr().err == ""


def test_a_run_that_changed_supersedes_the_stored_one(root):
    """An edited config, or a retrained run with other metrics, must not be mixed with the curve of the old run."""
    uri, study = default_uri(root), write_study(root / "tiny", ("rms",))

    def current() -> dict[str, str]:
        runs = [run for run in stored_runs(uri) if run.data.tags["spikesink.kind"] == "run"]
        return {run.info.run_id: run.data.tags.get("spikesink.superseded", "current") for run in runs}

    sync("tiny", study, uri)
    (first,) = current()
    write_run(study, "rms", "digest-edited")
    sync("tiny", study, uri)
    assert current()[first] == "true" and sorted(current().values()) == ["current", "true"]
    write_run(study, "rms", "digest-edited", scale=2.0)
    sync("tiny", study, uri)
    assert sorted(current().values()) == ["current", "true", "true"]
    write_run(study, "rms", "digest-rms")
    sync("tiny", study, uri)
    assert current()[first] == "current" and sorted(current().values()) == ["current", "true", "true"]


def test_training_works_without_mlflow(tmp_path, monkeypatch, capsys):
    """A bare GPU machine may not have it."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    live = mirror_for(default_uri(tmp_path), "rms", tmp_path)
    for step in STEPS:
        live.log(step, values(step))
    live.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert "mlflow cannot be imported" in line
    assert main(["sync", "--study", "tiny", "--results", str(tmp_path / "tiny")]) == 1


def test_a_damaged_record_is_named(root, capsys):
    """Half a row would otherwise be stored as a wrong value or a missing run."""
    study = write_study(root / "tiny", ("rms",))
    with (study / "runs" / "rms" / "seed1" / "metrics.csv").open("a") as file:
        file.write("220,1,not a number,1,1\n")
    assert main(["sync", "--study", "tiny", "--results", str(study)]) == 1
    assert "runs/rms/seed1/metrics.csv: has a damaged row" in capsys.readouterr().err


def test_a_stored_run_that_repeats_steps_is_superseded(root):
    """Two processes of one run, after a node was lost and came back, would leave a curve that no reader expects."""
    uri, study = default_uri(root), write_study(root / "tiny", ("rms",))
    for folder in ("first", "second"):
        live = mirror_for(uri, "rms", root / folder)
        for step in STEPS:
            live.log(step, values(step))
        live.close()
    one, other = stored_runs(uri)
    from mlflow import MlflowClient

    for run in (one, other):
        MlflowClient(tracking_uri=uri).log_metric(run.info.run_id, "loss", values(20)["loss"], step=20)
    assert "2 superseded" in sync("tiny", study, uri)
    assert faults_of(uri, study) == {}


def test_requests_whose_answers_were_lost_can_be_sent_again(root, monkeypatch, capsys):
    """A server that writes and then dies would otherwise leave a second run, or each value twice."""
    from mlflow import MlflowClient

    for name in ("create_run", "log_batch", "set_terminated"):
        request, answers = getattr(MlflowClient, name), []

        def unanswered(*arguments, request=request, answers=answers, **options):
            answers.append(request(*arguments, **options))
            if len(answers) == 1:
                raise ConnectionError("connection lost")
            return answers[-1]

        monkeypatch.setattr(MlflowClient, name, unanswered)
    uri, study = default_uri(root), write_study(root / "tiny", ("rms",))
    live = mirror_for(uri, "rms", root / "checkpoint", flush_seconds=0.01)
    for step in STEPS:
        live.log(step, values(step))
    deadline = time.monotonic() + 60
    while faults_of(uri, study):
        assert time.monotonic() < deadline
    live.close()
    (run,) = stored_runs(uri)
    assert run.info.status == "FINISHED" and faults_of(uri, study) == {}
    assert capsys.readouterr().err.count("\n") <= 1


SERVER = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("tracking", "sent_away", "expected"),
    [
        ({}, False, "sqlite:///results/mlflow.db"),
        ({}, True, None),
        ({"uri": "sqlite:////home/me/runs.db"}, True, None),
        ({"uri": SERVER}, True, SERVER),
        ({"uri": SERVER, "live": False}, False, None),
    ],
)
def test_jobs_of_a_cluster_write_a_server_and_no_file(monkeypatch, tmp_path, capsys, tracking, sent_away, expected):
    """SQLite's locks do not hold on network disks: two nodes that write one file destroy it. The shell of `srun --pty`
    is an ordinary one, whose jobs stay on its machine."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv(LIVE, "sqlite:///left/by/the/process/that/sent/the/job.db")
    study = study_in(tmp_path, tracking={"live": True} | tracking)
    tell_tracking(study, sent_away)
    assert os.environ.get(LIVE) == expected
    say_when_tracked(study, sent_away)
    said = capsys.readouterr().err
    assert ("when all have ended" in said) == (expected is None and tracking.get("live", True)), said
    assert said.count("\n") <= 1
