"""The default study with changes, for tests of what a config resolves to."""

import csv
from collections.abc import Mapping
from pathlib import Path

from spikesink.study.resolve import resolve
from spikesink.study.run import Run, Study
from spikesink.study.strict_yaml import merge, read_yaml

ROOT = Path(__file__).parents[2]
BASE = read_yaml(ROOT / "config.yaml")
WORKFLOW = ROOT / "workflow"
SCALES = sorted(WORKFLOW.glob("scales/*.yaml"))
CORPORA = sorted(WORKFLOW.glob("corpora/*.yaml"))
ABLATIONS = sorted(WORKFLOW.glob("ablations/*.yaml"))


def study(overlay: Mapping = {}) -> Study:
    return resolve(merge(BASE, overlay), WORKFLOW)


def runs(overlay: Mapping = {}) -> dict[str, Run]:
    return {run.variant: run for run in study(overlay).runs}


def paper_rows() -> dict[str, dict]:
    with open(ROOT / "src/spikesink/tables/paper/paper_rows.csv") as file:
        return {row["variant"]: row for row in csv.DictReader(line for line in file if not line.startswith("#"))}


def lr_grid(**changes: object) -> dict:
    grid = {"settings": {"training.optimiser.lr": ["0.5x", "2x"]}, "variants": ["baseline", "sandwich", "gelu"]}
    return {"cross": {"lr": grid | changes}}
