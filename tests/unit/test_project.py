"""The project's own files agree with each other."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def pins(lines: list[str]) -> dict[str, str]:
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def test_the_conda_environment_has_the_pinned_versions():
    constraints = pins((ROOT / "envs/constraints.txt").read_text().splitlines())
    environment = yaml.safe_load((ROOT / "envs/spikesink.yaml").read_text())
    packages = pins(next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)))
    assert packages
    assert packages == {name: constraints[name] for name in packages}


def test_the_environments_versions_are_installed_here():
    """The pins of jobs were resolved together by the installation of these tests; none may be left behind by it."""
    environment = yaml.safe_load((ROOT / "envs/spikesink.yaml").read_text())
    packages = pins(next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)))
    assert {name: metadata.version(name).split("+")[0] for name in packages} == packages
    check = [sys.executable, "-m", "pip", "check"]
    assert (
        subprocess.run(check, capture_output=True, text=True, timeout=120).stdout == "No broken requirements found.\n"
    )


def test_the_container_installs_what_the_makefile_installs():
    """Apptainer is seldom where tests run: at least its files exist and its pip has the same constraints."""
    definition = (ROOT / "envs/spikesink.def").read_text()
    files = re.findall(r"^    (\S+) /opt/spikesink/(\S+)$", definition, re.M)
    assert ("envs/locked-cuda.txt", "envs/locked-cuda.txt") in files
    assert re.search(r"^From: python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}$", definition, re.M)
    for source, target in files:
        assert source == target and (ROOT / source).exists()
    assert "pip install --no-cache-dir --require-hashes --no-deps --requirement envs/locked-cuda.txt\n" in definition
    subprocess.run([sys.executable, "-c", re.search(r'python3 -c "(.*)"', definition)[1]], check=True, timeout=120)


def test_every_dependency_is_pinned_and_torch_exactly():
    pinned = pins((ROOT / "envs/constraints.txt").read_text().splitlines())
    constraints = {name.lower().replace("_", "-") for name in pinned}
    project = (ROOT / "pyproject.toml").read_text()
    names = re.findall(r'^    "([A-Za-z0-9-]+)>=', project, re.M)
    assert len(names) > 10
    assert {name.lower() for name in names} <= constraints
    assert "torch==2.13.0" in (ROOT / "envs/constraints.txt").read_text().splitlines()


def locked(name: str) -> dict[str, str]:
    """Version by package in a locked file, in which every entry has a hash: pip stops at one without, after minutes."""
    entries = re.split(r"\n(?=\S)", (ROOT / f"envs/locked-{name}.txt").read_text())[1:]
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}$", entry.rstrip()) for entry in entries)
    return dict(re.match(r"([^=]+)==([^ +]+)", entry).groups() for entry in entries)


@pytest.mark.parametrize("build", ["cpu", "cuda"])
def test_a_locked_installation_has_the_pinned_versions_and_a_hash_for_each(build):
    constraints = pins((ROOT / "envs/constraints.txt").read_text().splitlines())
    found = locked(build)
    assert found == {name: constraints[name] for name in found}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    needed = [*project["project"]["dependencies"], *extras["train"]]
    assert {re.match("[A-Za-z0-9-]+", entry)[0] for entry in needed} <= found.keys()
    assert project["build-system"]["requires"] == [f"setuptools=={found['setuptools']}"]
    assert any(name.startswith("nvidia") for name in found) == (build == "cuda")
    for layer in extras.keys() - {"train"}:
        above = locked(layer)
        assert above == {name: constraints[name] for name in above} and not above.keys() & found.keys()
        assert {re.match("[A-Za-z0-9-]+", entry)[0] for entry in extras[layer]} <= above.keys() | found.keys()


def test_no_solver_runs_while_snakemake_holds_its_lock():
    """With the other scheduler a SIGTERM that came meanwhile was never answered: Snakemake waited for its own lock."""
    lines = (ROOT / "profiles/default/config.yaml").read_text().splitlines()
    assert "scheduler: greedy" in lines


def test_the_command_shows_runs_and_refuses_unknown_ones():
    def spikesink(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "spikesink.cli", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert "    kind: dyt\n" in spikesink("show", "dyt/seed30").stdout
    assert '"kind": "dyt"' in spikesink("show", "dyt/seed30", "--json").stdout
    assert len(spikesink("runs").stdout.splitlines()) == 24
    assert "7b" in spikesink("runs", "--configfile", "workflow/scales/7b.yaml").stdout
    unknown = spikesink("show", "nothing")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("error: run 'nothing' is not in study 'nano': variants are baseline, dyt")
