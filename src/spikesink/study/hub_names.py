"""What the Hugging Face hub can have: ids of repositories, commits, and files inside a repository."""

import re
from pathlib import PurePosixPath

COMMIT = re.compile(r"[0-9a-f]{40}")
ID = re.compile(r"(?=.{1,96}$)(?!.*(--|\.\.))(\w[\w.-]*/)?\w[\w.-]*(?<![.-])", re.ASCII)


def check_id(path: str, repository: str) -> None:
    """Raise ValueError where ``repository``, found at ``path`` of the config, cannot be the id of a repository."""
    if not ID.fullmatch(repository) or repository.endswith(".git"):
        raise ValueError(f"{path} = {repository[:200]!r} is no id of the hub: write owner/name")


def check_commit(path: str, revision: str) -> None:
    """Raise ValueError where ``revision``, found at ``path``, is no commit: a branch or a tag can move."""
    if not COMMIT.fullmatch(revision):
        raise ValueError(f"{path} = {revision[:200]!r} is no commit, and a name can move: use the 40 digits")


def check_file(path: str, name: str) -> None:
    """Raise ValueError where ``name``, found at ``path``, is no file inside a repository."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name:
        raise ValueError(f"{path} names {name[:200]!r}: name a file inside the dataset, without .. and / at its start")
