"""``spikesink status`` says where every run stands, from the files that training leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from tiny_project import OPTIONS, RESULTS, study_in

from spikesink.runs.identity import identity, run_digest
from spikesink.runs.status import SILENCE, clock, standings, table
from spikesink.study.resolve import load
from spikesink.study.run import Run, Study
from spikesink.training.progress import ProgressLines


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    """A study of four runs, none of which has started, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return study_in(tmp_path, training={"steps": 100_000, "checkpoint_every": 100_000})


def progress(run: Run, age: float, step: int = 20, digest: str = "0123") -> Path:
    """progress.json as training writes it after ``step``, so many seconds ago."""
    folder = RESULTS / "checkpoints" / digest
    folder.mkdir(parents=True, exist_ok=True)
    lines = ProgressLines(f"{run.variant}/seed{run.seed}", tokens_per_step=64, file=folder / "progress.json", seconds=0)
    trainer = SimpleNamespace(global_step=0, max_steps=run.training.steps, world_size=1)
    module = SimpleNamespace(device=torch.device("cpu"), last_loss=torch.tensor(2.0))
    lines.on_train_start(trainer, module)
    trainer.global_step = step
    lines.on_train_batch_end(trainer, module)
    content = json.loads(lines.file.read_text())
    content["updated"] = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    lines.file.write_text(json.dumps(content))
    return lines.file


def log(run: Run, text: str, age: float) -> Path:
    """The log of a run, last written to so many seconds ago."""
    path = RESULTS / f"logs/train/{run.variant}_seed{run.seed}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)
    return path


def outputs(run: Run, status: str = "finished", step: int = 100_000) -> None:
    """The files of a trained run that say how it ended."""
    folder = Path(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(identity(run)))
    (folder / "manifest.json").write_text(json.dumps({"status": status, "steps": step, "tokens_per_second": 9.5}))


def statuses(study: Study) -> list[str]:
    return [one.status for one in standings(study)]


def test_a_study_that_has_not_started_is_waiting(study):
    found = standings(study)
    assert [(one.ablation, one.variant, one.seed) for one in found] == [
        ("baseline", "baseline", 0),
        ("baseline", "baseline", 1),
        ("v_scale", "v_scale", 0),
        ("v_scale", "v_scale", 1),
    ]
    assert {(one.status, one.step, one.steps) for one in found} == {("waiting", 0, 100_000)}
    assert table(found).endswith("\n\n4 runs: 4 waiting")


def test_a_run_that_writes_progress_is_running(study):
    """Its step, speed and time left are those of its progress; other runs, of the same variant too, are not touched."""
    progress(study.runs[1], age=0, step=500)
    found = standings(study)
    assert [one.status for one in found] == ["waiting", "running", "waiting", "waiting"]
    assert found[1].step == 500
    assert found[1].tokens_per_second > 0
    assert found[1].seconds_left > 0
    assert "     500/100,000 steps  " in table(found).splitlines()[1]
    assert table(found).endswith(f"; {clock(found[1].seconds_left)} of training left in those running")


def test_a_run_that_has_just_started_is_running(study):
    """Before its first interval has passed a run has no speed."""
    path = progress(study.runs[0], age=0)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokens_per_second": None, "seconds_left": None}))
    (one, *_) = standings(study)
    assert (one.status, one.tokens_per_second, one.seconds_left) == ("running", None, None)
    assert "running" in table([one])


def test_a_run_that_has_gone_silent_is_interrupted(study):
    progress(study.runs[0], age=SILENCE.total_seconds() + 5, step=500)
    log(study.runs[0], "baseline/seed0  step 500/100000\n", age=95)
    (one, *_) = standings(study)
    assert (one.status, one.step, one.note) == ("interrupted", 500, "results/tiny/logs/train/baseline_seed0.log")


def test_a_run_that_a_signal_stopped_is_interrupted_at_once(study):
    progress(study.runs[0], age=5)
    log(study.runs[0], "stopped by SIGTERM after step 22; checkpoint written, start it again to resume\n", age=2)
    assert statuses(study)[0] == "interrupted"


@pytest.mark.parametrize("words", ["error: the loss chunk is odd: set it to 2", "RuntimeError: 3 is not 4"])
@pytest.mark.parametrize("age", [None, 5, 500])
def test_a_run_whose_log_ends_with_an_error_has_failed(study, words, age):
    """Before its first step, just now, or long ago; the note says why and where to read on."""
    if age:
        progress(study.runs[0], age=age)
    path = log(study.runs[0], f"baseline/seed0  starts\n{words}\n\n", age=(age or 2) - 1)
    (one, *_) = standings(study)
    assert (one.status, one.step) == ("failed", 20 if age else 0)
    assert one.note == f"{words} ({path})"
    assert one.note in table([one])


def test_a_retry_after_a_failure_is_running(study):
    """The log is appended to, so what an earlier attempt said last still stands there."""
    log(study.runs[0], "error: out of GPU memory: use training.micro_batch_size\n", age=30)
    progress(study.runs[0], age=10)
    assert statuses(study)[0] == "running"


def test_a_retry_that_was_killed_is_interrupted(study):
    """What it failed of before is not what ended it."""
    log(study.runs[0], "error: out of GPU memory: use training.micro_batch_size\n", age=300)
    progress(study.runs[0], age=200)
    assert statuses(study)[0] == "interrupted"


@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_a_run_with_outputs_is_what_its_manifest_says(study, status):
    outputs(study.runs[0], status, step=70)
    (one, *_) = standings(study)
    assert (one.status, one.step, one.tokens_per_second) == (status, 70, 9.5)


def test_a_finished_run_that_is_trained_again_is_running(study):
    """Its outputs are those of before; a training of other settings that was given up long ago says nothing."""
    outputs(study.runs[0])
    progress(study.runs[0], age=1000, digest="old")
    assert statuses(study)[0] == "finished"
    progress(study.runs[0], age=5, step=7, digest="new")
    (one, *_) = standings(study)
    assert (one.status, one.step) == ("running", 7)


def pack(sha256: str) -> None:
    """The index of packed tokens with this sum."""
    index = RESULTS / "data/tokens/tokens.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_text(json.dumps({"splits": {"train": {"sha256": sha256}}}))


def test_only_what_a_run_resumes_is_its_progress(study):
    """It has given up the second of two settings and goes on with the first; with another text it cannot."""
    run = study.runs[0]
    pack("text")
    progress(run, age=1000, step=70, digest=run_digest(identity(run), "text"))
    progress(run, age=500, step=30, digest="old")
    (one, *_) = standings(study)
    assert (one.status, one.step) == ("interrupted", 70)
    pack("other")
    (one, *_) = standings(study)
    assert (one.status, one.step) == ("waiting", 0)
    assert one.note == "step 30 was with other settings, code or text, it starts again"


def test_a_run_that_trains_with_other_settings_says_so(study):
    pack("text")
    progress(study.runs[0], age=5, digest="old")
    progress(study.runs[1], age=5, digest=run_digest(identity(study.runs[1]), "text"))
    assert [(one.status, one.note) for one in standings(study)[:2]] == [
        ("running", "with other settings, code or text than now"),
        ("running", ""),
    ]


def test_progress_from_the_future_is_not_of_a_run_that_runs(study):
    """The clock was a day ahead, and has been set back since the run was killed."""
    progress(study.runs[0], age=-86_400)
    assert statuses(study)[0] == "interrupted"


def test_an_error_of_an_attempt_before_the_last_does_not_hide_a_result(study):
    log(study.runs[0], "error: out of GPU memory\n", age=300)
    outputs(study.runs[0])
    assert statuses(study)[0] == "finished"


def test_a_run_of_other_settings_is_out_of_date(study):
    """A change of one variant touches its runs alone; whoever trained it, the code is not a setting."""
    for run in study.runs:
        outputs(run)
    changes = {"variants": {"v_scale": {"v_scale": {"model": {"value_valve": {"c_factor": 2.0}}}}}}
    Path("change.yaml").write_text(yaml.safe_dump(changes))
    assert statuses(study) == ["finished"] * 4
    changed = standings(load(["tiny.yaml", "change.yaml"]))
    assert [one.status for one in changed] == ["finished", "finished", "out of date", "out of date"]
    assert table(changed).endswith("4 runs: 2 finished, 2 out of date")


@pytest.mark.parametrize("content", ["", '{"run": "baseline/seed0", "st', "[]", "null", '{"run": "baseline/seed0"}'])
def test_progress_that_cannot_be_read_is_ignored(study, content):
    """A copy caught in the middle must not end a status in a traceback, nor hide the progress that can be read."""
    progress(study.runs[0], age=0, digest="broken").write_text(content)
    assert statuses(study)[0] == "waiting"
    progress(study.runs[0], age=0, digest="whole")
    assert statuses(study)[0] == "running"


def test_a_manifest_that_cannot_be_read_is_no_result(study):
    outputs(study.runs[0])
    Path(study.runs[0].folder, "manifest.json").write_text('{"status": "fin')
    assert statuses(study)[0] == "waiting"


def test_the_counts_are_by_status(study):
    first, second, third, _ = study.runs
    outputs(first)
    progress(second, age=500)
    log(third, "error: no\n", age=5)
    lines = table(standings(study)).splitlines()
    assert len(lines) == 4 + 2
    assert lines[-1] == "4 runs: 1 finished, 1 interrupted, 1 failed, 1 waiting"
    assert lines[0] == "baseline/seed0  finished      100,000/100,000 steps  10 tokens/s"
    assert lines[3] == "v_scale/seed1   waiting"


def test_times_read_as_clocks():
    assert [clock(seconds) for seconds in (0, 61.9, 3600, 100_000)] == ["0:00", "1:01", "1:00:00", "27:46:40"]


def spikesink(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "spikesink.cli", "status", *OPTIONS, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_a_real_training_is_seen_while_it_runs_and_when_it_is_stopped(study, token_folder):
    """What training writes and where is what status reads."""
    run = study.runs[0]
    path = log(run, "", age=0)
    command = [sys.executable, "-m", "spikesink.training", "--run", json.dumps(identity(run))]
    command += ["--tokens", token_folder, "--output", run.folder, "--checkpoints", RESULTS / "checkpoints"]
    with path.open("a") as file:
        training = subprocess.Popen(list(map(str, command)), stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while statuses(study)[0] == "waiting" and training.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert statuses(study)[0] == "running", path.read_text()
        training.send_signal(signal.SIGTERM)
        training.wait(60)
    finally:
        training.kill()
    assert statuses(study) == ["interrupted", "waiting", "waiting", "waiting"]


def test_the_command_prints_the_table_or_json(study):
    outputs(study.runs[0])
    shown = spikesink()
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == table(standings(study)) + "\n"
    rows = json.loads(spikesink("--json").stdout)
    assert [row["status"] for row in rows] == ["finished", "waiting", "waiting", "waiting"]
    assert rows[0]["tokens_per_second"] == 9.5


def test_watching_shows_it_again_until_it_is_interrupted(study):
    """New files show without a restart, and Ctrl-C ends it without a traceback."""
    command = [sys.executable, "-m", "spikesink.cli", "status", *OPTIONS, "--watch", "0.1"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in watching.stdout:
            if "4 waiting" in line:
                break
        outputs(study.runs[0])
        for line in watching.stdout:
            if "1 finished" in line:
                break
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=30)
    finally:
        watching.kill()
    assert (watching.returncode, errors) == (130, "")


@pytest.mark.parametrize("seconds", ["-1", "nan", "often"])
def test_a_pause_that_is_none_is_refused(study, seconds):
    refused = spikesink("--watch", seconds)
    assert refused.returncode == 2
    assert f"argument --watch: invalid seconds value: '{seconds}'" in refused.stderr


def test_a_login_node_needs_no_torch(study):
    """Neither torch nor what else is slow to import: status is asked for often, and where nothing runs."""
    code = (
        "import sys; sys.argv = ['spikesink', 'status', '--configfile', 'tiny.yaml']; from spikesink.cli import main; "
        "status = main(); slow = {'torch', 'lightning', 'polars', 'snakemake', 'numpy'} & sys.modules.keys(); "
        "sys.exit(', '.join(slow) or status)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
