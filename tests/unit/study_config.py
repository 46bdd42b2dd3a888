"""A study with many variants, with changes, for tests of what a config resolves to."""

import csv
from collections.abc import Mapping
from pathlib import Path

from spikesink.study.resolve import resolve
from spikesink.study.run import Run, Study
from spikesink.study.strict_yaml import merge, read_yaml

ROOT = Path(__file__).parents[2]
SEVERAL = ["norm", "ffn", *(f"head_dim/{name}" for name in ("heads_4x_dim_0.25x", "heads_2x_dim_0.5x"))]
SEVERAL += ["head_dim/heads_0.5x_dim_2x", "gating/conditional_channel", "gating/conditional_head"]
SEVERAL += ["gating/unconditional_channel", "context/context_0.25x", "context/loss_0.25x_1x", "weight_decay", "v_scale"]
BASE = read_yaml(ROOT / "config.yaml") | {"seeds": [0], "ablations": SEVERAL}
"""config.yaml with variants of seven ablations, whatever the default study has."""
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
