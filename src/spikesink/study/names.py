"""Names in a study, and which of them are taken."""

import re
from pathlib import Path

from spikesink.study.errors import ConfigError

BASELINE = "baseline"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
RULE = re.compile(r"^\s*(?:rule|checkpoint) (\w+):", re.M)
PREFIXES = ("train_", "measure_", "figure_", "published_")
"""How the names of rules begin that the workflow makes in a loop."""
TABLES = ("variants", "long", "statistics")
"""Tables of the whole study that no rule is called like; an ablation's table lies beside them."""


def check_name(path: str, name: str) -> None:
    """Raises ConfigError where ``name``, found at ``path``, cannot be the name of a folder."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{path}: the name {name!r} becomes a folder: use letters, digits and _ . + - only")


def check_ablation(path: str, name: str, workflow: Path) -> None:
    """Raises ConfigError where ``name``, found at ``path``, cannot be an ablation, which becomes a rule too."""
    check_name(path, name)
    if name == BASELINE:
        raise ConfigError(f"{path}: the baseline is always there, name the ablation otherwise")
    if name in rules(workflow) or name.startswith(PREFIXES):
        raise ConfigError(f"{path}: the workflow has a rule of that name, name the ablation otherwise")
    if name in TABLES:
        raise ConfigError(f"{path}: a table of the whole study has that name, name the ablation otherwise")


def rules(workflow: Path) -> set[str]:
    """Names of the rules that the files of the workflow spell out."""
    files = [workflow.parent / "Snakefile", *workflow.glob("rules/*.smk")]
    return {name for file in files if file.exists() for name in RULE.findall(file.read_text())}
