"""What a run's provenance says of the checkout; where it says nothing, it says why."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spikesink.runs.checkout import git_state


@pytest.fixture
def package(tmp_path) -> Path:
    """A package in a repository of its own, committed."""
    folder = tmp_path / "src/package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        person = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", tmp_path, *person, *arguments], check=True)
    return folder


def test_a_commit_and_its_changes_are_known(package):
    state = git_state(package)
    assert set(state) == {"commit", "dirty"} and len(state["commit"]) == 40 and state["dirty"] is False
    (package / "__init__.py").write_text("changed = True\n")
    assert git_state(package) == state | {"dirty": True}


REFUSAL = """fatal: detected dubious ownership in repository at '/home/other/checkout'
To add an exception for this directory, call:

\tgit config --global --add safe.directory /home/other/checkout
"""


def test_a_repository_of_another_user_is_said_to_be_refused(package, tmp_path, monkeypatch):
    """As in a container, where the checkout belongs to the user outside. Only root could give a folder away."""
    (tmp_path / "refusal").write_text(REFUSAL)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(f"#!/bin/sh\ncat '{tmp_path}/refusal' >&2\nexit 128\n")
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert git_state(package) == {
        "commit": None,
        "dirty": None,
        "reason": "git: detected dubious ownership in repository at '/home/other/checkout': "
        "git config --global --add safe.directory /home/other/checkout",
    }


def test_a_package_that_is_not_in_the_repository_around_it_has_no_commit(package):
    """As one that is installed into an environment inside somebody's repository."""
    installed = Path(shutil.copytree(package, package.parents[1] / ".venv/site-packages/package"))
    state = git_state(installed)
    assert state["commit"] is None and "did not match any file" in state["reason"]


def test_no_repository_and_no_git_are_said(tmp_path, package, monkeypatch):
    shutil.rmtree(tmp_path / ".git")
    assert git_state(package)["reason"].startswith("git: not a git repository")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(package)["reason"].startswith("git cannot be run: ")


def test_variables_of_a_surrounding_git_command_do_not_count(package, tmp_path, monkeypatch):
    """A hook runs with GIT_DIR set, which would win over the folder."""
    commit = git_state(package)["commit"]
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(package)["commit"] == commit
