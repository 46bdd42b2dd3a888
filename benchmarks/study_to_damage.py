"""Make the small study whose files corruption.py damages."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tiny_study import configure, copy_project

from spikesink.runs.identity import identity
from spikesink.study.resolve import load
from spikesink.workflow import drawn, published

STUDY = "tiny"
PUBLISHED = f"published/{STUDY}"
MODEL = {"other": {"source": "model", "bos": "sequence", "context": 32}}
STOP = """
import sys
from spikesink.training import __main__, train
def stop(*_):
    sys.exit(0)
train.write_results = stop
__main__.main()
"""
"""A training that ends before it writes its results: its checkpoints stay."""


def make(folder: Path, finished: Path | None) -> Path:
    """The project in ``folder``: made there, or a copy of one with the ``finished`` study, which lacks the rest."""
    project = folder / "project"
    if finished:
        shutil.copytree(finished, project, ignore=shutil.ignore_patterns(".snakemake"))
    elif not (project / "results" / PUBLISHED / "manifest.json").exists():
        made_here(project)
    return project


def made_here(project: Path) -> None:
    """All that a study can have, of two runs and without figures. It goes on where it was stopped."""
    project.mkdir(parents=True, exist_ok=True)
    for name in ("workflow", "profiles", "src", "envs"):
        shutil.rmtree(project / name, ignore_errors=True)
    copy_project(project)
    one_ablation = {"ablations": ["gating/conditional_head"]}
    place, here = f"results/{STUDY}", os.environ | {"PYTHONPATH": str(project / "src")}
    run = f"{place}/runs/baseline/seed0"
    if not (project / "model/README.md").exists():
        configure(project, one_ablation)
        snakemake(project, f"{run}/manifest.json")
        shutil.rmtree(project / "model", ignore_errors=True)
        export = ["export", "--run", run, "--tokenizer", f"{place}/data/tokenizer.json", "--output", "model"]
        subprocess.run([sys.executable, "-m", "spikesink.pretrained", *export], cwd=project, env=here, check=True)
    configure(project, one_ablation | {"pretrained": MODEL})
    os.chdir(project)
    study = load([Path(f"{STUDY}.yaml")], Path("config.yaml"))
    published_files = [f"{place}/{file}" for file in drawn.sources(drawn.of_study(study))]
    snakemake(project, "tables", "claims", f"{place}/tables/mechanism.csv", *published_files)
    shutil.rmtree("stopped", ignore_errors=True)
    stop = ["--run", json.dumps(identity(study.runs[0])), "--tokens", f"{place}/data/tokens", "--gpus", "0"]
    stop += ["--output", "stopped/run", "--checkpoints", "stopped"]
    subprocess.run([sys.executable, "-c", STOP, *stop], env=here, check=True)
    published.publish(study, Path("results", PUBLISHED))


def snakemake(project: Path, *targets: str) -> None:
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", "2", "--configfile", f"{STUDY}.yaml"]
    subprocess.run(command, cwd=project, check=True)
