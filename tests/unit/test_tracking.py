"""The MLflow mirror never disturbs training, and the sync step makes every store complete exactly once."""

import http.server
import json
import os
import shutil
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from spikesink.tracking import Mirror, default_uri, mirror, run_name, run_params, run_tags
from spikesink.tracking.__main__ import main
from spikesink.tracking.store import without_credentials
from spikesink.tracking.sync import sync

STEPS = range(20, 220, 20)


def settings(variant: str) -> dict:
    return {
        "study": "tiny",
        "scale": "nano",
        "ablation": "norm",
        "variant": variant,
        "seed": 1,
        "stands_for": None,
        "label": "Label",
        "tokenizer": {"kind": "trained", "vocabulary": 512},
        "model": {"layers": 2, "gate": {"kind": "none"}, "note": "n" * 900},
        "training": {"steps": 200, "loss_window": None, "optimiser": {"lr": 0.004}},
    }


def values(step: int, scale: float = 1.0) -> dict[str, float]:
    return {"tokens": step * 64.0, "loss": scale * 5 / step, "learning_rate": 1e-3, "gradient_norm": 1 / 3 / step}


def write_run(results: Path, variant: str, digest: str, scale: float = 1.0) -> Path:
    folder = results / "runs" / variant / "seed1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(settings(variant)))
    rows = [",".join(str(value) for value in (step, *values(step, scale).values())) for step in STEPS]
    (folder / "metrics.csv").write_text("\n".join(["step,tokens,loss,learning_rate,gradient_norm", *rows, ""]))
    manifest = {
        "status": "finished",
        "digest": digest,
        "git": {"commit": "c0ffee", "dirty": False},
        "versions": {"torch": "2.13.0", "lightning": "2.6.6"},
        "hardware": {"device": "cpu"},
        "parameters": 7_000_000_001,
        "tokens": 12_800,
        "wall_seconds": 60.0,
        "tokens_per_second": 213.3,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def write_study(results: Path, variants: tuple[str, ...] = ("rms", "dyt")) -> Path:
    for variant in variants:
        write_run(results, variant, f"digest-{variant}")
    unfinished = write_run(results, "unfinished", "digest-unfinished") / "manifest.json"
    unfinished.write_text('{"status": "failed"}')
    (results / "tables").mkdir()
    rows = [f"norm,{variant},1,12.5,25.0,,0,finished" for variant in variants]
    header = "ablation,variant,seed,perplexity,sink_ratio_pct,spike,spike_position,status"
    (results / "tables" / "runs.csv").write_text("\n".join([header, *rows, ""]))
    (results / "figures" / "norm").mkdir(parents=True)
    (results / "figures" / "norm" / "spikes.png").write_bytes(b"image")
    (results / "figures" / "norm" / "notes.txt").write_text("not a figure")
    return results


def mirror_for(uri: str, variant: str, folder: Path, digest: str | None = None) -> Mirror:
    config = settings(variant)
    tags = run_tags(config, digest or f"digest-{variant}")
    return Mirror(uri, "tiny", run_name(config), tags, run_params(config), folder / "mlflow_run_id", flush_seconds=0.2)


def stored_runs(uri: str, study: str = "tiny") -> list:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    return client.search_runs([client.get_experiment_by_name(study).experiment_id])


def content(uri: str, artifacts: Path | None = None) -> dict:
    """Everything that a store holds about the study, comparable between two moments."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    runs = {}
    for run in stored_runs(uri):
        history = {
            name: [(metric.step, metric.value, metric.timestamp) for metric in client.get_metric_history(run_id, name)]
            for run_id in [run.info.run_id]
            for name in run.data.metrics
        }
        info = (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time)
        runs[run.info.run_id] = (info, dict(run.data.tags), dict(run.data.params), history)
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (artifacts or Path("-")).rglob("*.*")}
    return {"runs": runs, "files": files}


def steps_of(uri: str, run_id: str, name: str = "loss") -> list[int]:
    from mlflow import MlflowClient

    return sorted(metric.step for metric in MlflowClient(tracking_uri=uri).get_metric_history(run_id, name))


START_TOGETHER = """
import os, sys, time
import mlflow  # once: importing it takes longer than the rest of the test
from spikesink.tracking import Mirror, mirror

uri, folder = sys.argv[1:]
mirror.CLOSE_SECONDS = 100.0
processes = []
for number in range(3):
    if process := os.fork():
        processes.append(process)
        continue
    tags, params = {"spikesink.run": f"run{number}"}, {"model.layers": "2"}
    live = Mirror(uri, "together", f"run{number}", tags, params, f"{folder}/id{number}", flush_seconds=0.05)
    for step in range(300):
        live.log(step, {"loss": 1.0})
        time.sleep(0.002)
    live.close()
    os._exit(0)
sys.exit(max(os.waitpid(process, 0)[1] for process in processes))
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    """A store made by three processes that started at the same moment; its experiment is "together"."""
    results = tmp_path_factory.mktemp("together") / "results"
    command = [sys.executable, "-c", START_TOGETHER, default_uri(results), str(results.parent)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return results / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, database: Path) -> Path:
    """A folder of results whose store does not know the study."""
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(database, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, database: Path):
    """A real MLflow server on a free loopback port."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(database, folder / "mlflow.db")
    port = free_port()
    store = ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "mlartifacts"]
    address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *store, *address],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not healthy(uri):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield uri
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def healthy(uri: str) -> bool:
    try:
        return urllib.request.urlopen(f"{uri}/health", timeout=1).status == 200
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def refused():
    return f"http://user:secret@127.0.0.1:{free_port()}"


@pytest.fixture
def hanging():
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://user:secret@127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def failing():
    """A server that answers every request with HTTP 500."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(500)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://user:secret@127.0.0.1:{listener.server_address[1]}"
        listener.shutdown()


@pytest.fixture
def locked(root: Path):
    """A SQLite store that somebody else keeps locked."""
    connection = sqlite3.connect(root / "mlflow.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    yield default_uri(root)
    connection.execute("ROLLBACK")
    connection.close()


def test_importing_the_package_does_not_import_mlflow():
    """The training process would otherwise start seconds later, and not at all without mlflow."""
    code = (
        "import sys, spikesink.tracking; sys.exit('mlflow' in sys.modules or 'spikesink.tracking.sync' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sync_stores_everything_and_a_second_sync_changes_nothing(root):
    """A store that is incomplete, or grows with every workflow run, misleads whoever reads it."""
    uri, study = default_uri(root), write_study(root / "tiny")
    line = sync("tiny", study, uri)
    assert "2 runs (2 new" in line
    first = content(uri, root / "mlartifacts")
    by_name = {run.info.run_name: run for run in stored_runs(uri)}
    assert sorted(by_name) == ["dyt/seed1", "rms/seed1", "study"]
    run = by_name["rms/seed1"]
    assert run.info.status == "FINISHED" and run.info.end_time - run.info.start_time == 60_000
    history = first["runs"][run.info.run_id][3]
    for name in ("loss", "tokens", "learning_rate", "gradient_norm"):
        assert [(step, value) for step, value, _ in history[name]] == [(step, values(step)[name]) for step in STEPS]
    summary = {"perplexity": 12.5, "sink_ratio_pct": 25.0, "spike_position": 0.0, "parameters": 7_000_000_001.0}
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
    assert sorted(runs) == ["rms/seed1", "study"] and runs["rms/seed1"].info.run_id == run.info.run_id
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


@pytest.mark.parametrize("trouble", ["refused", "hanging", "failing", "locked"])
def test_trouble_costs_training_one_line_and_no_time(trouble, request, tmp_path, monkeypatch, capsys):
    """A store that is down must neither stop nor slow a run that took days."""
    uri = request.getfixturevalue(trouble)
    monkeypatch.setattr(mirror, "CLOSE_SECONDS", 1.0)
    live = mirror_for(uri, "rms", tmp_path)
    start = time.monotonic()
    for step in range(1000):
        live.log(step, values(step + 1))
    logged = time.monotonic()
    live.close("FAILED")
    closed = time.monotonic()
    assert logged - start < 0.2 and closed - logged < 1.5
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and without_credentials(uri) in lines[0] and "sync step will complete" in lines[0]
    assert "secret" not in lines[0]


def test_the_mirror_catches_up_when_a_server_comes_back(root, monkeypatch, capsys):
    """A server that restarts during a long run should not lose the rest of the curve."""
    real, calls = mirror.open_store, []

    def once_down(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            raise ConnectionError("down")
        return real(*arguments, **options)

    monkeypatch.setattr(mirror, "open_store", once_down)
    live = mirror_for(default_uri(root), "rms", root)
    for step in STEPS:
        live.log(step, values(step))
    live.close()
    (run,) = stored_runs(default_uri(root))
    assert steps_of(default_uri(root), run.info.run_id) == list(STEPS)
    assert len(capsys.readouterr().err.splitlines()) == 1


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


def test_processes_that_start_together_share_one_new_store(database):
    """The first runs of a study start at the same second, before the store exists."""
    uri = f"sqlite:///{database}"
    runs = stored_runs(uri, "together")
    assert sorted(run.info.run_name for run in runs) == ["run0", "run1", "run2"]
    for run in runs:
        assert run.info.status == "FINISHED" and steps_of(uri, run.info.run_id) == list(range(300))


def test_mirror_and_sync_work_with_a_server(server, tmp_path, capsys):
    """A lab's server is what several machines must share."""
    from mlflow import MlflowClient

    study = write_study(tmp_path / "tiny")
    live = mirror_for(server, "rms", tmp_path)
    for step in STEPS[:6]:
        live.log(step, values(step))
    live.close()
    (mirrored,) = stored_runs(server)
    assert steps_of(server, mirrored.info.run_id) == list(STEPS[:6])
    assert main(["sync", "--study", "tiny", "--results", str(study), "--uri", server]) == 0
    first = content(server)
    by_name = {run.info.run_name: run.info.run_id for run in stored_runs(server)}
    assert sorted(by_name) == ["dyt/seed1", "rms/seed1", "study"] and by_name["rms/seed1"] == mirrored.info.run_id
    for name in ("dyt/seed1", "rms/seed1"):
        assert steps_of(server, by_name[name]) == list(STEPS)
    client = MlflowClient(tracking_uri=server)
    figures = client.list_artifacts(by_name["study"], "figures/norm")
    assert [file.path for file in figures] == ["figures/norm/spikes.png"]
    address = f"{server}/get-artifact?path=figures/norm/spikes.png&run_uuid={by_name['study']}"
    assert urllib.request.urlopen(address, timeout=5).read() == b"image"
    assert main(["sync", "--study", "tiny", "--results", str(study), "--uri", server]) == 0
    assert content(server) == first
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("trouble", ["refused", "hanging", "failing"])
def test_sync_says_in_one_line_that_the_store_is_out_of_reach(trouble, request, tmp_path, monkeypatch, capsys):
    """The workflow must show what failed, soon, and that the results are safe."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    uri = request.getfixturevalue(trouble)
    start = time.monotonic()
    assert main(["sync", "--study", "tiny", "--results", str(write_study(tmp_path / "tiny")), "--uri", uri]) == 1
    assert time.monotonic() - start < 5
    (line,) = capsys.readouterr().err.splitlines()
    assert without_credentials(uri) in line and "results are unharmed" in line and "secret" not in line


def test_a_damaged_record_is_named(root, capsys):
    """Half a row would otherwise be stored as a wrong value or a missing run."""
    study = write_study(root / "tiny", ("rms",))
    with (study / "runs" / "rms" / "seed1" / "metrics.csv").open("a") as file:
        file.write("220,1,not a number,1,1\n")
    assert main(["sync", "--study", "tiny", "--results", str(study)]) == 1
    assert "runs/rms/seed1/metrics.csv has a damaged row" in capsys.readouterr().err
