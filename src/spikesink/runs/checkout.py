"""The software that a result is made with: the checkout of this package, and the versions of others."""

import os
import subprocess
from importlib import metadata
from pathlib import Path

AFFECTS_RESULTS = False

PACKAGE = Path(__file__).parents[1]


class GitError(Exception):
    """What git says, in one line."""


def git_state(package: Path = PACKAGE) -> dict[str, str | bool | None]:
    """Commit of the package's checkout and whether it had changes.

    Where these are not known both are null, and ``reason`` says why: there is no checkout, or git refuses to read it.
    """
    try:
        git(package, "ls-files", "--error-unmatch", "__init__.py")  # else the commit is that of a repository around it
        commit = git(package, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(git(package, "status", "--porcelain", "--untracked-files=no"))}
    except GitError as error:
        return {"commit": None, "dirty": None, "reason": str(error)}


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints. Raises GitError."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=20,
            env=environment,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise GitError(f"git cannot be run: {error}") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        advice = next((f": {line}" for line in lines if line.startswith("git config")), "")
        raise GitError(f"git: {lines[0].removeprefix('fatal: ')}{advice}")
    return done.stdout.strip()


def version(package: str) -> str:
    """The version of an installed package, or that it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
