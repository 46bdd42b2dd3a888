"""A study that is packed, run where there is no Snakemake and no MLflow, and unpacked again."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from tiny_study import TINY, configure, jobs

from spikesink.model.trained import load_run
from spikesink.runs.folder import RunFolder
from spikesink.study.errors import InputError
from spikesink.study.resolve import resolve
from spikesink.study.strict_yaml import merge
from spikesink.workflow.elsewhere.jobs import jobs as jobs_of
from spikesink.workflow.elsewhere.pack import add_content
from spikesink.workflow.elsewhere.pool import Pool, Worker

RUNS = Path("results/tiny/runs")
BLOCKED = "v_scale/seed0"
"""A run that fails on the other machine."""


def spikesink(project: Path, *words: str, expect: int = 0) -> str:
    """What the command says; it must end with the exit status ``expect``."""
    command = [sys.executable, "-m", "spikesink.cli", *words, "--configfile", "tiny.yaml"]
    environment = os.environ | {"PYTHONPATH": str(project / "src")}
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=500, env=environment)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def start(folder: Path, *words: str) -> subprocess.Popen:
    """Start the packed study on a machine that has none of what only Snakemake's side needs."""
    stubs = folder.parent / "stubs"
    stubs.mkdir(exist_ok=True)
    for name in ("snakemake", "mlflow", "datasets", "polars", "tokenizers"):
        (stubs / f"{name}.py").write_text(f"raise ImportError('there is no {name} here')\n")
    command = [sys.executable, "run.py", "--workers", "2", "--threads", "1", "--gpus", "0", *words]
    environment = os.environ | {"PYTHONPATH": str(stubs)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def home(checkout, finished, tmp_path_factory) -> Path:
    """A project that has packed the tokens of the tiny study and trained nothing."""
    project = shutil.copytree(checkout, tmp_path_factory.mktemp("home") / "project")
    configure(project, {})
    shutil.copytree(finished / "results/tiny/data", project / "results/tiny/data")
    spikesink(project, "pack", "--output", "study.tar")
    return project


@pytest.fixture(scope="module")
def away(home, tmp_path_factory) -> Path:
    """The study on the other machine: killed in its middle, started again, with one run that cannot be written."""
    place = tmp_path_factory.mktemp("away")
    subprocess.run(["tar", "xf", home / "study.tar"], cwd=place, check=True)
    study = place / "tiny"
    (study / RUNS).mkdir(parents=True)
    (study / RUNS / Path(BLOCKED).parent).write_text("in the way")
    first = start(study)
    for line in first.stdout:
        if line.startswith("[1/3]"):
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start(study)
    output, _ = second.communicate(timeout=500)
    assert second.returncode == 1, output
    assert "1 are finished" in output, "the second start did the work of the first again"
    assert f"FAILED {BLOCKED}: " in output and f"1 runs failed: {BLOCKED}" in output
    return study


@pytest.fixture(scope="module")
def back(home, away) -> Path:
    """The project at home, with what the other machine has finished."""
    output = spikesink(home, "unpack", str(away / "results.tar"))
    assert "2 runs came home" in output and f"1 runs are left, which snakemake trains here: {BLOCKED}" in output
    return home


def test_snakemake_trains_and_measures_only_what_did_not_come_home(back):
    work = {job for job in jobs(back) if job.startswith(("train ", "measure "))}
    assert work == {"train v_scale/v_scale seed 0", f"measure forward of runs/{BLOCKED}"}


@pytest.mark.parametrize("run", ["baseline/seed0", "conditional_head/seed0"])
def test_results_are_those_that_snakemake_makes(back, finished, run):
    """To the bit: one process has made several runs, and tables have travelled as JSON."""
    here, there = (RunFolder(project / RUNS / run) for project in (back, finished))
    assert here.facts()["sha256"] == there.facts()["sha256"]
    for path in (here.run, here.metrics, *sorted(here.measures.glob("*.parquet"))):
        assert path.read_bytes() == (Path(there.path) / path.relative_to(here.path)).read_bytes(), path.name
    assert {path.name for path in here.measures.iterdir()} == {path.name for path in there.measures.iterdir()}


def test_a_run_without_its_weights_says_so(back):
    folder = RunFolder(back / RUNS / "baseline/seed0")
    assert folder.facts()["left_out"][0] == folder.weights.name
    with pytest.raises(InputError, match=r"model\.safetensors: stayed on the machine that trained the run"):
        load_run(folder.path, "cpu")


def test_results_of_another_config_are_refused_by_name(back, away):
    manifest = (back / RUNS / "baseline/seed0/manifest.json").read_bytes()
    configure(back, {"training": {"steps": 13}})
    try:
        output = spikesink(back, "unpack", str(away / "results.tar"), expect=1)
    finally:
        configure(back, {})
    assert "refused baseline/seed0: made with other settings: training.steps is 12, here 13" in output
    assert (back / RUNS / "baseline/seed0/manifest.json").read_bytes() == manifest


def test_an_archive_that_is_cut_off_keeps_all_archives_out(back, away, tmp_path):
    """Else the runs before it would be here, and Snakemake would not know."""
    whole, cut = away / "results.tar", tmp_path / "cut_off.tar"
    with tarfile.open(whole) as archive:
        end = archive.getmembers()[-1].offset_data + 100
    cut.write_bytes(whole.read_bytes()[:end])
    manifest = (back / RUNS / "baseline/seed0/manifest.json").read_bytes()
    output = spikesink(back, "unpack", str(whole), str(cut), expect=1)
    assert output.startswith(f"error: {cut}: no archive of results") and output.count("\n") == 1
    assert (back / RUNS / "baseline/seed0/manifest.json").read_bytes() == manifest
    twice = spikesink(back, "unpack", str(whole), str(whole))
    assert "2 runs came home" in twice and "the weights of 2 stayed" in twice, "each is counted once"


def test_documents_that_are_not_what_was_written_are_refused_by_name(back, away, tmp_path):
    """One that is damaged, one under another run's name, one of a run that the study does not have."""
    content = (away / "finished/conditional_head/seed0.json.xz").read_bytes()
    damaged = content[: len(content) // 2] + b"!" + content[len(content) // 2 + 1 :]
    archive = tmp_path / "results.tar"
    with tarfile.open(archive, "w") as target:
        for name, text in (("baseline/seed0", damaged), (BLOCKED, content), ("stranger/seed0", content)):
            add_content(target, Path(f"finished/{name}.json.xz"), text)
    output = spikesink(back, "unpack", str(archive), expect=1)
    assert "refused baseline/seed0: is damaged" in output
    assert f"refused {BLOCKED}: it is conditional_head/seed0 by its content" in output
    assert "refused stranger/seed0: the study has no such run" in output
    archive.write_bytes(archive.read_bytes()[:5000])
    assert "results.tar: no archive of results" in spikesink(back, "unpack", str(archive), expect=1)


def test_a_worker_that_dies_takes_one_run_with_it(capsys):
    """Otherwise a run that needs too much memory would end the whole study, or look as if it were finished."""
    pool = Pool(dict.fromkeys(("study", "tokens", "folders", "git", "measure_on")), [], gpus=[], threads=1)
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    process = SimpleNamespace(join=lambda *_: None, kill=lambda: None, exitcode=-9)
    assert not pool.hear(Worker(process, ours, {"name": "large/seed0"}, None))
    assert "FAILED large/seed0: its process ended with status -9" in capsys.readouterr().out
    assert pool.failed == ["large/seed0"] and pool.status(1, 3) == 1


def test_a_new_worker_takes_the_gpu_that_a_dead_one_has_left(monkeypatch):
    started = []

    def process(target, args):
        started.append(args[2])
        return SimpleNamespace(start=lambda: None, join=lambda *_: None, kill=lambda: None, exitcode=-9)

    pipe = SimpleNamespace(send=lambda _: None, close=lambda: None, recv=Mock(side_effect=EOFError))
    monkeypatch.setattr("multiprocessing.Pipe", lambda: (pipe, pipe))
    monkeypatch.setattr("multiprocessing.get_context", lambda _: SimpleNamespace(Process=process))
    jobs = [{"name": f"a/seed{seed}"} for seed in range(7)]
    packed = dict.fromkeys(("study", "tokens", "folders", "git", "measure_on"))
    pool = Pool(packed, jobs, gpus=["0", "1", "2"], threads=1)
    workers = [pool.start() for _ in range(6)]
    assert started == ["0", "1", "2", "0", "1", "2"]
    assert not pool.hear(workers[1])
    assert pool.start().gpu == "1"


def test_jobs_come_seed_by_seed():
    names = [job["name"] for job in jobs_of(resolve(merge(TINY, {"seeds": [7, 2]})))]
    runs = ("baseline", "conditional_head", "v_scale")
    assert names == [f"{run}/seed{seed}" for seed in (7, 2) for run in runs]


def test_a_study_whose_code_was_edited_does_not_start(away):
    with open(away / "src/spikesink/model/norms.py", "a") as file:
        file.write("\nEPSILON = 1\n")
    done = subprocess.run([sys.executable, "run.py"], cwd=away, capture_output=True, text=True)
    assert done.returncode == 1 and "is not the code that was packed" in done.stderr


def test_after_its_time_nothing_starts(home, tmp_path):
    subprocess.run(["tar", "xf", home / "study.tar"], cwd=tmp_path, check=True)
    stopped = start(tmp_path / "tiny", "--limit-minutes", "0.00001")
    output, _ = stopped.communicate(timeout=100)
    assert stopped.returncode == 3 and "3 runs are left: start this again to go on" in output
