"""Every Python that pyproject.toml allows reads the sources, and gives the same digests of code."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = [(3, 11), (3, 12), (3, 13)]
"""The versions that pyproject.toml names."""
SOURCES = [path for folder in ("src", "tests", "benchmarks", "docs") for path in sorted((ROOT / folder).rglob("*.py"))]
ENTRIES = ("spikesink.training.__main__", "spikesink.measures.__main__", "spikesink.tables.collect")
ASK = f"""
import json, sys
for path in sys.stdin.read().splitlines():
    compile(open(path, "rb").read(), path, "exec", dont_inherit=True)
from spikesink.runs.code_digest import code_digest
print(json.dumps([sys.version_info[:2], [code_digest(entry) for entry in {ENTRIES}]]))
"""


def interpreters() -> dict[tuple[int, int], str]:
    """By version, an interpreter of this machine: the one of these tests, those of pyenv, those on the PATH."""
    found = {}
    shims = [str(path) for path in sorted((Path.home() / ".pyenv/versions").glob("3.*/bin/python"))]
    for path in [sys.executable, *(f"python3.{minor}" for _, minor in NAMED), *shims]:
        command = [path, "-c", "import sys; print(*sys.version_info[:2])"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except OSError:
            continue
        if said.returncode == 0:
            found.setdefault(tuple(map(int, said.stdout.split())), path)
    return found


def test_pyproject_names_the_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == f">={NAMED[0][0]}.{NAMED[0][1]}"
    said = [
        re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", one) for one in project["project"]["classifiers"]
    ]
    assert [(3, int(version[1])) for version in said if version] == NAMED
    assert project["tool"]["ruff"]["target-version"] == "py311", "ruff refuses what is newer than the oldest"


def test_every_interpreter_here_reads_the_sources_and_sees_the_same_code():
    """Else a study would be trained again under a newer Python, or a file could not be read. It needs no package."""
    digests = {}
    for version, path in interpreters().items():
        if version >= NAMED[0]:
            command = [path, "-S", "-B", "-W", "error", "-c", ASK]
            sources = "\n".join(map(str, SOURCES))
            here = {"cwd": ROOT / "src", "env": {"PATH": os.environ["PATH"]}}
            said = subprocess.run(command, input=sources, capture_output=True, text=True, timeout=300, **here)
            assert said.returncode == 0, f"{path}: {said.stderr[-2000:]}"
            seen, digests[version] = json.loads(said.stdout)
            assert tuple(seen) == version
    assert sys.version_info[:2] in digests
    assert len(set(map(tuple, digests.values()))) == 1, digests
