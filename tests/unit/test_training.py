"""Training follows the recipe, resumes exactly, and says clearly when it cannot go on."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

import polars
import pytest
import torch
from ranks import PROCESSES, as_program, ends
from safetensors.torch import load_file

from spikesink.study.settings import Schedule, build
from spikesink.training.schedule import learning_rate_share
from spikesink.training.snapshots import snapshot_steps

RUN = {
    "study": "test",
    "scale": "test",
    "ablation": "baseline",
    "variant": "baseline",
    "seed": 0,
    "code": "abc",
    "tokenizer": {"vocabulary": 300, "bos": "sequence"},
    "model": {
        "layers": 1,
        "d_model": 16,
        "attention": {"heads": 2, "head_dim": 8},
        "feed_forward": {"kind": "swiglu", "width": 20},
        "initialisation": {"head_std": 0.02},
    },
    "training": {
        "steps": 40,
        "sequence_length": 16,
        "batch_size": 4,
        "optimiser": {"lr": 0.01},
        "schedule": {"warmup_steps": 5},
        "log_every": 4,
        "checkpoint_every": 6,
    },
}


def arguments(run: dict, tokens: Path, folder: Path) -> list[str]:
    paths = ["--tokens", tokens, "--output", folder / "run", "--checkpoints", folder / "checkpoints"]
    return ["--run", json.dumps(run), *map(str, paths)]


def training(run: dict, tokens: Path, folder: Path) -> BaseProcess:
    """The program, to be forked from a process that has imported torch; what it says is in training.log."""
    return PROCESSES.Process(target=as_program, args=(folder / "training.log", arguments(run, tokens, folder)))


def said(folder: Path) -> str:
    return (folder / "training.log").read_text()


def train(run: dict, tokens: Path, folder: Path) -> tuple[int, str]:
    """Train to the end: the exit code, and what the program said."""
    (code,) = ends([training(run, tokens, folder)])
    return code, said(folder)


def train_with(environment: dict[str, str], run: dict, tokens: Path, folder: Path) -> None:
    """Train in a new interpreter with this environment."""
    command = [sys.executable, "-m", "spikesink.training", *arguments(run, tokens, folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 0, result.stderr


def changed(**training) -> dict:
    return RUN | {"training": RUN["training"] | training}


@pytest.fixture(scope="module")
def unbroken(token_folder, tmp_path_factory) -> Path:
    """A run that trained to its end in one go."""
    folder = tmp_path_factory.mktemp("unbroken")
    train_with(dict(os.environ), RUN, token_folder, folder)
    return folder / "run"


AROUND = {
    # The shell of `srun --ntasks=4 --pty bash`.
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "bash",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    # Other schedulers and launchers.
    "LSB_JOBID": "1",
    "LSB_DJOB_RANKFILE": "/nowhere",
    "OMPI_COMM_WORLD_SIZE": "4",
    "LOCAL_RANK": "3",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "MASTER_PORT": "1",
    # Any cell of Jupyter, where the environment of the job does not have its display.
    "MPLBACKEND": "module://a_display.that_is_not_installed",
}


def test_variables_of_a_session_around_do_not_count(token_folder, tmp_path):
    """Lightning waited for tasks that nobody starts, or said that --ntasks was set in a script which nobody wrote."""
    train_with(os.environ | AROUND, changed(steps=6, snapshots=0), token_folder, tmp_path)
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert (manifest["devices"], manifest["nodes"]) == (1, 1)


def test_a_run_leaves_its_files_and_no_checkpoint(unbroken, token_folder):
    assert sorted(path.name for path in unbroken.iterdir()) == [
        "manifest.json",
        "metrics.csv",
        "model.safetensors",
        "run.json",
        "snapshots",
    ]
    assert list((unbroken / "snapshots").iterdir()) == []
    assert json.loads((unbroken / "run.json").read_text()) == RUN
    assert list((unbroken.parent / "checkpoints").iterdir()) == []
    manifest = json.loads((unbroken / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["parameters"] == sum(
        tensor.numel() for tensor in load_file(unbroken / "model.safetensors").values()
    )
    assert manifest["tokens"] == 40 * 4 * 16
    tokens_to_train_on = json.loads((token_folder / "tokens.json").read_text())["splits"]["train"]["tokens"]
    assert manifest["epochs"] == pytest.approx(40 * 4 * 16 / tokens_to_train_on, abs=1e-3)
    assert (manifest["strategy"], manifest["devices"], manifest["nodes"], manifest["micro_batch"]) == ("auto", 1, 1, 4)


def test_the_record_has_a_row_per_interval_and_the_loss_falls(unbroken):
    with open(unbroken / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(4, 41, 4))
    assert [int(row["tokens"]) for row in rows] == [step * 64 for step in range(4, 41, 4)]
    assert float(rows[0]["loss"]) == pytest.approx(math.log(300), abs=0.3)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) - 0.2
    schedule = build(Schedule, RUN["training"]["schedule"])
    for row in rows:  # the rate of a row is the one its last step used
        expected = 0.01 * learning_rate_share(schedule, int(row["step"]) - 1, 40)
        assert float(row["learning_rate"]) == pytest.approx(expected)


def same_result(first: Path, second: Path) -> bool:
    weights, others = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert weights.keys() == others.keys()
    same_weights = all(torch.equal(weights[name], others[name]) for name in weights)
    return same_weights and (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()


def wait_for_step(folder: Path, step: int, process: BaseProcess) -> None:
    """Until the record shows that ``step`` has been reached."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.exitcode is None:
        for record in folder.glob("checkpoints/*/metrics.csv"):
            steps = [line.split(",")[0] for line in record.read_text().splitlines()[1:]]
            if steps and int(steps[-1]) >= step:
                return
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached: {process.exitcode}")


LONG = changed(steps=500, checkpoint_every=20)


@pytest.fixture(scope="module")
def unbroken_long(token_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken_long")
    assert train(LONG, token_folder, folder)[0] == 0
    return folder / "run"


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGKILL, -9)])
def test_an_interrupted_run_resumes_to_the_same_bits(unbroken_long, token_folder, tmp_path, number, code):
    process = training(LONG, token_folder, tmp_path)
    process.start()
    try:
        wait_for_step(tmp_path, 100, process)
        os.kill(process.pid, number)
        process.join(60)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == code
    assert not (tmp_path / "run" / "manifest.json").exists()
    if number != signal.SIGKILL:
        assert "checkpoint written, start it again to resume" in said(tmp_path)
        assert "Traceback" not in said(tmp_path)
    stopped = datetime.now(UTC).isoformat(timespec="seconds")
    again, text = train(LONG, token_folder, tmp_path)
    assert again == 0, text
    assert "resumes at step" in text
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["resumed_from_step"] >= 80 and manifest["started"] <= stopped, "the first start began the run"
    assert same_result(unbroken_long, tmp_path / "run")


def test_a_checkpoint_of_other_settings_or_code_is_not_resumed(token_folder, tmp_path):
    process = training(LONG, token_folder, tmp_path)
    process.start()
    try:
        wait_for_step(tmp_path, 40, process)
    finally:
        process.kill()
        process.join()
    assert list((tmp_path / "checkpoints").glob("*/step*.ckpt"))
    code, text = train(RUN | {"code": "another"}, token_folder, tmp_path)
    assert code == 0
    assert "resumes" not in text


def test_a_diverged_run_is_a_result_that_says_so(token_folder, tmp_path):
    """It ends with exit code 0, so that the study goes on; its measures are empty, so that nothing averages it."""
    run = changed(optimiser={"lr": 1e15, "clip_norm": 1e15})
    code, text = train(run, token_folder, tmp_path)
    assert code == 0
    assert "not finite numbers; to avoid it, lower training.optimiser.lr" in text
    assert "Traceback" not in text
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "diverged" and 0 < manifest["steps"] < 40
    command = [
        sys.executable,
        "-m",
        "spikesink.measures",
        "forward",
        "--run",
        str(tmp_path / "run"),
        "--settings",
        "{}",
    ]
    measured = subprocess.run([*command, "--tokens", str(token_folder)], capture_output=True, text=True, timeout=60)
    assert measured.returncode == 0 and "diverged: there is nothing to measure" in measured.stderr
    assert polars.read_parquet(tmp_path / "run" / "measures" / "perplexity.parquet").is_empty()


def test_snapshots_are_the_weights_of_their_steps(unbroken, token_folder, tmp_path):
    """Geometric steps up to the last; the last snapshot is the trained model, and training is not disturbed."""
    assert snapshot_steps(5, 10_000) == [100, 316, 1000, 3162, 10_000]
    assert snapshot_steps(0, 40) == [] and snapshot_steps(1, 40) == [40]
    code, text = train(changed(snapshots=4), token_folder, tmp_path)
    assert code == 0, text
    paths = sorted((tmp_path / "run" / "snapshots").iterdir())
    assert [path.name for path in paths] == [f"step{step:08}.safetensors" for step in snapshot_steps(4, 40)]
    first, last, final = (load_file(path) for path in (paths[0], paths[-1], tmp_path / "run" / "model.safetensors"))
    assert all(torch.equal(last[name], final[name]) for name in final)
    assert not torch.equal(first["head.weight"], final["head.weight"])
    assert same_result(unbroken, tmp_path / "run")


def test_missing_tokens_are_one_clear_line(tmp_path):
    code, text = train(RUN, tmp_path / "nowhere", tmp_path)
    assert code == 1
    assert text.strip().splitlines()[-1].startswith("error: ")
    assert "tokens.json is missing" in text


BARE_MACHINE = """
import sys
from importlib import metadata

MISSING = "snakemake mlflow polars datasets tokenizers transformers pydantic seaborn pandas".split()
sys.modules.update(dict.fromkeys(MISSING))
installed = metadata.Distribution.from_name

def from_name(name):  # Lightning's dependencies ask for versions before they import
    if name in MISSING:
        raise metadata.PackageNotFoundError(name)
    return installed(name)

metadata.Distribution.from_name = from_name
"""


def test_the_entry_point_needs_only_torch_lightning_numpy_and_safetensors(token_folder, tmp_path):
    """A bare GPU machine has no snakemake, mlflow, polars, datasets, tokenizers or pydantic."""
    (tmp_path / "sitecustomize.py").write_text(BARE_MACHINE)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    train_with(environment, changed(steps=6), token_folder, tmp_path)
    measure = [sys.executable, "-m", "spikesink.measures", "forward"]
    paths = ["--run", str(tmp_path / "run"), "--tokens", str(token_folder), "--format", "csv"]
    settings = json.dumps({"sink_tokens": 16, "sequences": 4})
    measured = subprocess.run(
        [*measure, *paths, "--settings", settings], env=environment, capture_output=True, text=True
    )
    assert measured.returncode == 0, measured.stderr
    assert {"attention.csv", "activations.csv"} <= {path.name for path in (tmp_path / "run" / "measures").iterdir()}
