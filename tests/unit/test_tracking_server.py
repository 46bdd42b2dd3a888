"""The server that ``make ui`` starts: what it stores, what it listens on, and that it may die while runs train."""

import time
import urllib.request

import pytest
from mirrored_runs import Job, finish, start_together
from mlflow import MlflowClient
from mlflow_server import Server, serving
from sockets import is_loopback, listening
from tracked_study import STEPS, content, faults_of, mirror_for, new_store, steps_of, stored_runs, values, write_study

from spikesink.tracking.__main__ import main


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Server:
    folder = tmp_path_factory.mktemp("server")
    new_store(folder / "results")
    with serving(folder) as running:
        yield running


def test_mirror_and_sync_work_with_a_server(server, tmp_path, capsys):
    """A lab's server is what several machines must share."""
    study = write_study(tmp_path / "tiny")
    live = mirror_for(server.uri, "rms", tmp_path)
    for step in STEPS[:6]:
        live.log(step, values(step))
    live.close()
    (mirrored,) = stored_runs(server.uri)
    assert steps_of(server.uri, mirrored.info.run_id) == list(STEPS[:6])
    assert main(["sync", "--study", "tiny", "--results", str(study), "--uri", server.uri]) == 0
    first = content(server.uri)
    by_name = {run.info.run_name: run.info.run_id for run in stored_runs(server.uri)}
    assert (
        sorted(by_name) == ["dyt", "dyt/seed1", "rms", "rms/seed1", "study"]
        and by_name["rms/seed1"] == mirrored.info.run_id
    )
    for name in ("dyt/seed1", "rms/seed1"):
        assert steps_of(server.uri, by_name[name]) == list(STEPS)
    client = MlflowClient(tracking_uri=server.uri)
    figures = client.list_artifacts(by_name["study"], "figures/norm")
    assert [file.path for file in figures] == ["figures/norm/spikes.png"]
    address = f"{server.uri}/get-artifact?path=figures/norm/spikes.png&run_uuid={by_name['study']}"
    assert urllib.request.urlopen(address, timeout=5).read() == b"image"
    assert main(["sync", "--study", "tiny", "--results", str(study), "--uri", server.uri]) == 0
    assert content(server.uri) == first
    assert capsys.readouterr().err == ""


def test_the_server_of_make_ui_listens_on_loopback_only(server):
    """It asks nobody for a password: on another address, everyone on the network could read and write."""
    addresses = listening(server.process.pid)
    assert addresses and all(map(is_loopback, addresses)), addresses


def test_runs_survive_a_server_that_is_killed_and_started_again(server, tmp_path):
    """A machine that restarts during a long run must cost nothing of the curve, though requests were under way."""
    study = tmp_path / "tiny"
    back = tmp_path / "back"
    shared = {"uri": server.uri, "results": str(study), "rows": 60, "row_seconds": 0.05, "end_file": str(back)}
    jobs = [Job(variant=f"run{number}", scale=1.0 + number, **shared) for number in range(3)]
    processes = start_together(jobs, tmp_path / "processes")
    deadline = time.monotonic() + 60
    while not any(run.info.run_name == "run2/seed1" and run.data.metrics for run in stored_runs(server.uri)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    server.kill()
    server.start()
    server.wait()
    back.touch()
    outcomes = finish(processes)
    assert [outcome.code for outcome in outcomes] == [0, 0, 0]
    assert max(len(outcome.errors) for outcome in outcomes) <= 1
    assert max(outcome.logging_seconds for outcome in outcomes) < 1
    assert faults_of(server.uri, study) == {}
