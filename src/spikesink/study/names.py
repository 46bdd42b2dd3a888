"""Names in a study, and which of them are taken."""

import re

from spikesink.study.errors import ConfigError

BASELINE = "baseline"

# Rules of the workflow, whose names an ablation, which becomes a rule too, must not take.
TARGETS = {
    "all",
    "browsable_report",
    "claims",
    "collect",
    "corpus",
    "figure_overview",
    "figures",
    "judge_claims",
    "mechanism",
    "plan",
    "pretrained",
    "pretrained_tokens",
    "provenance",
    "provenance_page",
    "publish",
    "published",
    "runs",
    "table",
    "table_mechanism",
    "tables",
    "tokenizer",
    "tokens",
    "track",
}

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def check_name(path: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(f"{path}: the name {name!r} becomes a folder: use letters, digits and _ . + - only")
