"""Names in a study, and which of them are taken."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spikesink.study.errors import ConfigError

BASELINE = "baseline"
COMPARED = "compared"
"""The name of the figures that show the compared variants side by side."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
LONGEST = 120
"""Letters in a name: files of a run add up to a hundred, and a file's name has at most 255."""
RULE = re.compile(r"^\s*(?:rule|checkpoint) (\w+):", re.M)
PREFIXES = ("train_", "measure_", "figure_", "published_")
"""How the names of rules begin that the workflow makes in a loop."""
TABLES = ("variants", "long", "statistics")
"""Tables of the whole study that no rule is called like; an ablation's table lies beside them."""
LOGS = ("collect_",)
"""How the names of logs begin that lie beside the log of an ablation's table."""
IN_RESULTS = re.compile(r"published|mlflow.*|mlartifacts.*|mlruns.*", re.I)
"""What lies in results/ beside the studies: published studies and the files of MLflow."""


def is_name(value: Any) -> bool:
    """Whether a value can be the name of a folder or a file."""
    return isinstance(value, str) and bool(NAME.fullmatch(value)) and len(value) <= LONGEST


def check_name(path: str, name: str) -> None:
    """Raises ConfigError where ``name``, found at ``path``, cannot be the name of a folder."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{path}: the name {name[:100]!r} becomes a folder: use letters, digits and _ . + - only")
    if len(name) > LONGEST:
        raise ConfigError(
            f"{path[:80]}: the name has {len(name)} letters and becomes a file's name: use at most {LONGEST}"
        )


def check_study_name(name: str) -> None:
    """Raises ConfigError where a study cannot have this name."""
    check_name("study", name)
    if IN_RESULTS.fullmatch(name):
        raise ConfigError(f"study = {name!r}: results/{name} is not free for a study: name the study otherwise")


def check_ablation(path: str, name: str, workflow: Path) -> None:
    """Raises ConfigError where ``name``, found at ``path``, cannot be an ablation, which becomes a rule too."""
    check_name(path, name)
    lower = name.lower()  # some disks take names that differ in capitals for one
    if lower == BASELINE:
        raise ConfigError(f"{path}: the baseline is always there, name the ablation otherwise")
    if lower in rules(workflow) or lower.startswith(PREFIXES):
        raise ConfigError(f"{path}: the workflow has a rule of that name, name the ablation otherwise")
    if lower in TABLES:
        raise ConfigError(f"{path}: a table of the whole study has that name, name the ablation otherwise")
    if lower.startswith(LOGS):
        raise ConfigError(f"{path}: a log of another ablation may have that name, name the ablation otherwise")


def check_capitals(path: str, names: Iterable[str]) -> None:
    """Raises ConfigError where two names, found at ``path``, differ in capitals alone: some disks take them for one."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise ConfigError(
                f"{path}: {other!r} and {name!r} differ in capitals alone, and some disks would keep one folder for "
                "both: rename one"
            )


def rules(workflow: Path) -> set[str]:
    """Names of the rules that the files of the workflow spell out."""
    files = [workflow.parent / "Snakefile", *workflow.glob("rules/*.smk")]
    return {name for file in files if file.exists() for name in RULE.findall(file.read_text(encoding="utf-8"))}
