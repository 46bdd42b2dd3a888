"""The files of the folder workflow/ that studies name: scales/<name>.yaml and ablations/<name>.yaml."""

from pathlib import Path
from typing import Any

from spikesink.study.names import is_name
from spikesink.study.strict_yaml import read_yaml

SCALES, ABLATIONS = "scales", "ablations"
"""Folders in workflow/."""


def shared_file(workflow: Path, folder: str, name: Any) -> Path:
    """The file of this name in a folder of ``workflow``, which need not exist."""
    return workflow / folder / f"{name}.yaml"


def read_shared(workflow: Path, folder: str, name: Any) -> dict[str, Any]:
    """Its content; empty where there is no such file, or the name can be none. Raises ConfigError."""
    file = shared_file(workflow, folder, name)
    return read_yaml(file, as_text=True) if is_name(name) and file.exists() else {}


def shared_names(workflow: Path, folder: str) -> list[str]:
    """The names that files in a folder of ``workflow`` have, sorted."""
    return sorted(file.stem for file in (workflow / folder).glob("*.yaml"))
