"""Programs that run in forks of a process that is ready: they end as they would alone, and with their sender."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikesink.study.settings import Resources
from spikesink.workflow.forks.requests import ADDRESS, KILLED
from spikesink.workflow.forks.start import start
from spikesink.workflow.jobs import Job

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "results/published/nano/tables/parts/gating"
FIGURE = ["spikesink.figures.ablations", "sink_map", "--parts", str(PARTS), "--ablation", "gating", "--output"]
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
print(os.getppid(), Path.cwd().name, os.environ.get("COLOUR"), *sys.argv[1:])
match sys.argv[1]:
    case "exits":
        sys.exit(3)
    case "says":
        sys.exit("what is wrong")
    case "fails":
        raise KeyError("a fault")
    case "is_killed":
        os.kill(os.getpid(), signal.SIGKILL)
    case "waits":
        Path("pid").write_text(str(os.getpid()))
        time.sleep(600)
    case "counts_threads":
        tasks = Path(f"/proc/{os.getppid()}/task").iterdir()
        print(len(list(tasks)))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The process that is ready. It finds the module ``program`` in its folder; a process elsewhere does not."""
    place, before = tmp_path_factory.mktemp("server"), os.getcwd()
    (place / "program.py").write_text(PROGRAM)
    os.chdir(place)
    process = start()
    os.chdir(before)
    yield process
    process.stdin.close()
    process.wait(timeout=60)
    del os.environ[ADDRESS]


def begin(command, folder, **environment) -> subprocess.Popen:
    words = [sys.executable, "-m", "spikesink.workflow.forks", *command]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=folder, env=os.environ | environment, stdout=pipe, stderr=pipe, text=True)


def run(command, folder, **environment) -> tuple[int, str, str]:
    process = begin(command, folder, **environment)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def test_a_program_has_the_folder_environment_arguments_and_output_of_its_sender(server, tmp_path):
    status, output, errors = run(["program", "exits", "a b", "ü"], tmp_path, COLOUR="red")
    assert (status, errors) == (3, "")
    assert output.split() == [str(server.pid), tmp_path.name, "red", "exits", "a", "b", "ü"]


@pytest.mark.parametrize(
    ("what", "status", "said"),
    [
        ("says", 1, "what is wrong"),
        ("fails", 1, "KeyError: 'a fault'"),
        ("is_killed", KILLED, "error: program: its process was killed"),
    ],
)
def test_a_program_that_fails_says_so_as_it_would_by_itself(server, tmp_path, what, status, said):
    found, _, errors = run(["program", what], tmp_path)
    assert found == status
    assert errors.splitlines()[-1] == said


def test_a_program_ends_with_its_sender(server, tmp_path):
    sender = begin(["program", "waits"], tmp_path)
    pid = wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    sender.kill()
    sender.communicate(timeout=60)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())


def wait_for(condition):
    for _ in range(3000):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it never happened")


def test_the_process_that_forks_has_no_other_thread(server, tmp_path):
    """A fork has none of its process's threads, and would wait for ever for what one of them was doing."""
    assert run(["program", "counts_threads"], tmp_path)[1].splitlines()[-1] == "1"


def test_a_fork_draws_what_a_process_of_its_own_draws(server, tmp_path):
    assert run([*FIGURE, "forked"], tmp_path)[0] == 0
    subprocess.run([sys.executable, "-m", *FIGURE, "alone"], cwd=tmp_path, check=True)
    for ending in ("pdf", "png", "csv"):
        assert (tmp_path / f"forked.{ending}").read_bytes() == (tmp_path / f"alone.{ending}").read_bytes(), ending


@pytest.mark.parametrize("address", ["", "/nonexistent/socket"])
def test_without_a_server_a_program_runs_by_itself(tmp_path, address):
    (tmp_path / "program.py").write_text(PROGRAM)
    status, output, _ = run(["program", "exits"], tmp_path, **{ADDRESS: address, "COLOUR": "blue"})
    assert status == 3
    assert output.split() == [str(os.getpid()), tmp_path.name, "blue", "exits"]


def test_a_server_ends_with_the_process_that_started_it_and_leaves_nothing():
    code = "import os, sys; from spikesink.workflow.forks.start import start; process = start();"
    code += f"print(process.pid, os.environ['{ADDRESS}'], flush=True); os.kill(os.getpid(), {int(signal.SIGKILL)})"
    pid, address = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    wait_for(lambda: not Path(f"/proc/{pid}").exists() and not Path(address).parent.exists())


def test_only_programs_that_draw_run_in_forks():
    words = {module: Job(module, Resources()).words for module in ("spikesink.tables.runs", "spikesink.data")}
    assert words["spikesink.tables.runs"] == ["python", "-m", "spikesink.workflow.forks", "spikesink.tables.runs"]
    assert words["spikesink.data"] == ["python", "-m", "spikesink.data"]
