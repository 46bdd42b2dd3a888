"""Two people use one machine: each has a checkout and a home; they share /tmp, and what one lets the other read."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "workflow"))

from tiny_study import copy_project

SECOND = "nobody"
AS_SECOND = ["setpriv", f"--reuid={SECOND}", "--regid=nogroup", "--clear-groups"]
READS_ALL = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
"""The interpreter of the tests may lie in a folder that its owner alone reads. These rights let the second user read
it, and write nothing."""
RUN = "results/tiny/runs/baseline/seed0"
TRAIN = [sys.executable, "-m", "snakemake", f"{RUN}/manifest.json", "--cores", "1", "--configfile", "tiny.yaml"]


@pytest.fixture(scope="module")
def folder():
    """A folder that both can enter; pytest's own are closed to the second."""
    assert os.getuid() == 0, "run these tests as root: who else could work as two users?"
    assert shutil.which("setpriv"), "install util-linux: its setpriv runs a command as another user"
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def environment(home: Path | None) -> dict[str, str]:
    """What a login gives, and no cache of the shell that runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    kept |= {"HOME": str(home)} if home else {}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}


def as_second(command: list[str], project: Path, home: Path | None) -> subprocess.Popen:
    own_right = subprocess.run([*AS_SECOND, "test", "-x", sys.executable]).returncode == 0
    words = [*AS_SECOND, *([] if own_right else READS_ALL), *command]
    return subprocess.Popen(
        words, cwd=project, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture(scope="module")
def projects(folder) -> tuple[Path, Path, Path]:
    """The first user's project, the second's, and the second's home, after both trained a run at the same time."""
    first, second, home = (folder / name for name in ("first", "second", "home"))
    for path in (first, second, home):
        path.mkdir(mode=0o755)
    for project in (first, second):
        copy_project(project)
    for path in (second, *second.rglob("*"), home):
        shutil.chown(path, SECOND, "nogroup")
    own = subprocess.Popen(
        TRAIN, cwd=first, env=environment(Path.home()), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    other = as_second(TRAIN, second, home)
    for process in (own, other):
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said[-3000:]
    return first, second, home


def test_both_have_the_same_results_and_the_second_owns_theirs(projects):
    """Neither was stopped by a lock or a cache that the other had made."""
    first, second, _ = projects
    owner = pwd.getpwnam(SECOND).pw_uid
    files = [path.relative_to(second) for path in (second / "results").rglob("*") if path.is_file()]
    assert Path(RUN) / "model.safetensors" in files
    assert {(second / path).stat().st_uid for path in files} == {owner}
    for name in ("model.safetensors", "metrics.csv", "run.json"):
        assert (first / RUN / name).read_bytes() == (second / RUN / name).read_bytes(), name


def test_the_second_reads_the_results_of_the_first_and_changes_nothing(projects):
    """A colleague looks at a study: what they read is the same, and what they cannot do is one line."""
    first, _, home = projects
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    for words, status, expected in (
        (["spikesink.cli", "status"], 0, "baseline/seed0"),
        (["spikesink.cli", "why", "baseline"], 0, "nothing has changed"),
        (["snakemake", "--dry-run"], 1, f"{first}/.snakemake"),
    ):
        process = as_second([sys.executable, "-m", *words, "--configfile", "tiny.yaml"], first, home)
        said, _ = process.communicate(timeout=200)
        assert (process.returncode, expected in said) == (status, True), said
        assert "Traceback" not in said
    assert "cannot be written by you: run snakemake in a copy of the folder" in said
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before


def test_a_home_that_is_read_only_or_missing_stops_nothing(projects, folder):
    """On some clusters no job can write its user's home, and a service's user has none. Root could write any."""
    _, second, _ = projects
    closed = folder / "closed"
    closed.mkdir(mode=0o755)
    for home in (closed, None):
        process = as_second([*TRAIN, "--dry-run"], second, home)
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0 and "Nothing to be done" in said, said
    assert list(closed.iterdir()) == []
