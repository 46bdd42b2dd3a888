"""A study that is packed, run where there is no Snakemake and no MLflow, and unpacked again."""

import errno
import io
import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from tiny_study import TINY, configure, jobs

from spikesink.measures.groups import GROUPS
from spikesink.measures.table import write_table
from spikesink.model.trained import load_run
from spikesink.runs.folder import RunFolder
from spikesink.study.errors import InputError
from spikesink.study.resolve import resolve
from spikesink.study.strict_yaml import merge
from spikesink.workflow.elsewhere import pack, unpack, worker
from spikesink.workflow.elsewhere.document import document_path, is_finished, read_document
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
    packed = spikesink(back, "unpack", str(whole), "study.tar", expect=1)
    assert packed == "error: study.tar: has no finished run: name the results.tar that run.py wrote\n"
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
    assert pool.failed == ["large/seed0"] and pool.status() == 1


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


BASELINE = "results/tiny/runs/baseline/seed0"


def job_of(settings: str, **run: object) -> dict:
    """The job of a run that is asked two groups of questions with these settings."""
    groups = {group: {"settings": settings, "code": "c"} for group in ("forward", "spikes")}
    return {"name": "baseline/seed0", "folder": BASELINE, "run": {"variant": "baseline"} | run, "groups": groups}


def packed_with(text: str, train: str = "t") -> dict:
    """What an archive says beside its jobs; ``text`` is the sum of the tokens that are measured on."""
    folders = {"train": "tokens", "measure": "tokens"}
    tokens = {"train": train, "measure": text}
    return {"study": "tiny", "tokens": tokens, "folders": folders, "git": {}, "measure_on": "cpu"}


def fake_training(run: dict, options: object) -> None:
    """Write what a trained run has that a document needs."""
    folder = RunFolder(options.output)
    Path(folder.path).mkdir(parents=True)
    folder.run.write_text(json.dumps(run))
    folder.metrics.write_text("step\n")
    facts = {"status": "finished", "wall_seconds": 1, "hardware": {"name": "x"}, "tokens_sha256": "t"}
    folder.manifest.write_text(json.dumps(facts))


class Wide(torch.nn.Module):
    """A module of some width, whose code is that of all widths."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def test_every_run_of_a_worker_is_compiled(tmp_path, monkeypatch):
    """After eight compiled modules in a process torch goes on without compiling; no run must be one of those."""
    compiled: list[str] = []

    def complete(job: dict, *_: object) -> str:
        def backend(graph: torch.fx.GraphModule, _: object) -> Callable:
            compiled.append(job["name"])
            return graph.forward

        model = Wide(job["width"])
        model.compile(backend=backend)
        model(torch.zeros(1, job["width"]))
        return "done"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker, "complete", complete)
    for name in ("install", "end_with_launcher", "be_quiet", "keep_freed_memory"):
        monkeypatch.setattr(worker, name, Mock())
    jobs = [{"name": f"wide/seed{number}", "width": number + 2} for number in range(10)]
    pipe = Mock(recv=Mock(side_effect=[*jobs, EOFError]))
    worker.take_jobs(pipe, {}, threads=1, on_gpu=False)
    assert [call.args for call in pipe.send.mock_calls] == [(("finished", "done"),)] * 10
    assert compiled == [job["name"] for job in jobs]


def test_a_second_archive_in_the_same_folder_labels_no_measure_of_the_first_as_its_own(tmp_path, monkeypatch):
    """Measures of other settings or other text are made again, and a run of other settings is named."""
    monkeypatch.chdir(tmp_path)
    measured = []

    def measure(options: object) -> None:
        measured.append((options.group, options.settings))
        if measured == [("forward", "A"), ("spikes", "A")]:
            raise InputError("killed")
        for question in GROUPS[options.group].questions:
            write_table(options.run / f"measures/{question}.json", [{"settings": options.settings}])

    def complete(job: dict, packed: dict) -> list[tuple[str, str]]:
        """The groups that are measured, with their settings."""
        measured.clear()
        worker.complete(job, packed, threads=1, on_gpu=False)
        return measured

    monkeypatch.setattr(worker, "train", fake_training)
    monkeypatch.setattr(worker, "measure", measure)
    with pytest.raises(InputError, match="killed"):
        complete(job_of("A"), packed_with("x"))
    both = [("forward", "B"), ("spikes", "B")]
    assert complete(job_of("B"), packed_with("x")) == both
    document = read_document(document_path("baseline/seed0").read_bytes())
    assert {table[0]["settings"] for table in document["tables"].values()} == {"B"}
    assert is_finished(job_of("B"), packed_with("x"))
    assert complete(job_of("B"), packed_with("x")) == [], "what is finished is not done again"
    others = [(job_of("A"), "x"), (job_of("B"), "y"), (job_of("B", steps=13), "x")]
    assert not any(is_finished(job, packed_with(text)) for job, text in others)
    assert complete(job_of("B"), packed_with("y")) == both
    for job, train in ((job_of("B", steps=13), "t"), (job_of("B"), "other")):
        with pytest.raises(InputError, match=f"{BASELINE}: was trained for another archive: unpack this one into an"):
            complete(job, packed_with("y", train))


def test_tables_that_were_replaced_in_part_are_measured_again(tmp_path, monkeypatch):
    """A measuring job that was killed leaves some tables of its own and some of the archive before it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker, "train", fake_training)

    def measure(options: object, stop: bool = False) -> None:
        for question in GROUPS[options.group].questions:
            write_table(options.run / f"measures/{question}.json", [{"settings": options.settings}])
            if stop:
                raise InputError("killed")

    monkeypatch.setattr(worker, "measure", measure)
    worker.complete(job_of("A"), packed_with("x"), threads=1, on_gpu=False)
    monkeypatch.setattr(worker, "measure", lambda options: measure(options, stop=True))
    with pytest.raises(InputError, match="killed"):
        worker.complete(job_of("B"), packed_with("x"), threads=1, on_gpu=False)
    monkeypatch.setattr(worker, "measure", measure)
    worker.complete(job_of("A"), packed_with("x"), threads=1, on_gpu=False)
    document = read_document(document_path("baseline/seed0").read_bytes())
    assert {table[0]["settings"] for table in document["tables"].values()} == {"A"}


def test_unpacking_again_keeps_what_was_measured_at_home(tmp_path):
    """Standard tasks are given at home alone; a table that the study no longer asks for goes."""
    folder = RunFolder(tmp_path / "run")
    tables = {question: [] for group in ("forward", "spikes") for question in GROUPS[group].questions}
    document = {"name": "baseline/seed0", "run": "{}", "metrics": "", "git": {}, "manifest": '{"sha256": {}}'}
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as archive:
        unpack.place(document | {"tables": tables}, ["forward", "spikes"], folder, archive)
        folder.measure("capabilities").write_bytes(b"made at home")
        unpack.place(document | {"tables": tables}, ["forward"], folder, archive)
    assert folder.measure("capabilities").read_bytes() == b"made at home"
    kept = {"capabilities", *GROUPS["forward"].questions}
    assert {path.stem for path in folder.measures.glob("*.parquet")} == kept
    assert {path.stem for path in folder.measures.glob(".sums/*")} == kept - {"capabilities"}


def test_runs_that_a_full_disk_keeps_out_are_named_and_the_others_are_known(tmp_path, monkeypatch):
    """Else Snakemake is told of none of them, and trains again those that are here."""

    def place(document: dict, *_: object) -> bool:
        if document["name"] == BLOCKED:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run.json")
        return True

    monkeypatch.setattr(unpack, "token_sums", lambda study: {})
    monkeypatch.setattr(unpack, "check", lambda *_: None)
    monkeypatch.setattr(unpack, "is_here", lambda *_: False)
    monkeypatch.setattr(unpack, "read_document", lambda content: {"name": content.decode()})
    monkeypatch.setattr(unpack, "place", place)
    with tarfile.open(tmp_path / "results.tar", "w") as target:
        for name in ("baseline/seed0", BLOCKED, "conditional_head/seed0"):
            add_content(target, Path(f"finished/{name}.json.xz"), name.encode())
    found = unpack.unpack(resolve(TINY), [tmp_path / "results.tar"])
    assert list(found.placed) == ["baseline/seed0", "conditional_head/seed0"]
    assert found.refused[BLOCKED].startswith("run.json: No space left on device: ")


def test_packing_says_that_standard_tasks_need_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "token_sums", lambda study: {})
    monkeypatch.setattr(pack, "is_here", lambda *_: False)
    monkeypatch.setattr(pack, "modules", lambda: [])
    with_tasks = resolve(merge(TINY, {"capabilities": {"tasks": ["arc_easy"]}}))
    assert "--weights" in pack.pack(with_tasks, tmp_path / "study.tar")
    assert "--weights" not in pack.pack(resolve(TINY), tmp_path / "study.tar")


def test_an_old_python_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit, match=r"^error: Python 3\.11 or newer is needed: start with another, for example"):
        runpy.run_path(str(pack.START), run_name="__main__")
