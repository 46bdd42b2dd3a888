"""A study so small that Snakemake runs it in a test, and the ways to run it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml

from spikesink.study.strict_yaml import merge, read_yaml
from spikesink.workflow.forks.start import THREADS

ROOT = Path(__file__).parents[2]
OVERLAY = {
    "study": "tiny",
    "scale": "tiny",
    "seeds": [0],
    "corpus": {"documents": 30, "validation_share": 0.2},
    "tokenizer": {"vocabulary": 300},
    "model": {
        "layers": 1,
        "d_model": 16,
        "attention": {"heads": 2, "head_dim": 8},
        "feed_forward": {"width": 20},
    },
    "training": {
        "steps": 12,
        "batch_size": 4,
        "sequence_length": 32,
        "log_every": 4,
        "checkpoint_every": 4,
        "snapshots": 3,
        "schedule": {"warmup_steps": 3},
    },
    "measures": {
        "sequences": 8,
        "perplexity_tokens": 1024,
        "gradient_sequences": 8,
        "consequence_tokens": 512,
        "calibration_sequences": 4,
    },
    "mechanism": {"compare": ["baseline"]},
    "tracking": {"live": False},
    "ablations": ["gating/conditional_head", "v_scale/v_scale"],
}
TINY = merge(read_yaml(ROOT / "workflow/scales/nano.yaml"), OVERLAY)


def copy_project(folder: Path) -> Path:
    """What a checkout has and a run needs, with the overlay tiny.yaml."""
    for name in ("Snakefile", "config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "profiles", "src", "envs"):
        copy_folder(name, folder)
    configure(folder, {})
    return folder


def copy_folder(name: str, project: Path) -> None:
    """A folder of the checkout, in place of the project's."""
    shutil.rmtree(project / name, ignore_errors=True)
    shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("*.egg-info", "*.pyc.*"))


def configure(project: Path, changes: dict) -> None:
    """The overlay of the tiny study, with changes merged into it."""
    (project / "tiny.yaml").write_text(yaml.safe_dump(merge(TINY, changes)))


def restore(project: Path, checkout: Path) -> None:
    """Sources and overlay as a checkout has them."""
    shutil.rmtree(project / "src")
    shutil.copytree(checkout / "src", project / "src")
    configure(project, {})


OPTIONS = ("--cores", "2", "--configfile", "tiny.yaml")


def arguments(*options: str) -> list[str]:
    """The command that runs Snakemake on the tiny study."""
    return [sys.executable, "-m", "snakemake", *options, *OPTIONS]


@cache
def server() -> subprocess.Popen:
    """The process that Snakemake's runs are forked from; it ends with this one."""
    command = [sys.executable, str(Path(__file__).with_name("snakemake_server.py"))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@cache
def job_server() -> tuple[subprocess.Popen, str]:
    """The process that jobs are forked from which use PyTorch or draw, and the program ``python`` that asks it."""
    command = [sys.executable, str(Path(__file__).with_name("job_server.py"))]
    # Text is UTF-8 as in Snakemake's jobs; a process of several threads may not be forked.
    environment = os.environ | {"PYTHONUTF8": "1"} | dict.fromkeys(THREADS, "1")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    return process, process.stdout.readline().strip()


def run_snakemake(project: Path, *options: str, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What ``snakemake`` with these options does in a project, without new interpreters for what takes long to import.

    A script may run first.
    """
    with tempfile.NamedTemporaryFile("r") as output, tempfile.NamedTemporaryFile("r") as errors:
        request = {
            "arguments": options,
            "folder": str(project),
            "environment": dict(os.environ),
            "files": [output.name, errors.name],
            "python": job_server()[1],
            "first": first and str(first),
        }
        server().stdin.write(json.dumps(request) + "\n")
        server().stdin.flush()
        status = int(server().stdout.readline())
        return subprocess.CompletedProcess(options, status, output.read(), errors.read())


def snakemake(project: Path, *options: str, expect: int = 0) -> str:
    """What Snakemake says; it must end with the exit status ``expect``."""
    result = run_snakemake(project, *options, *OPTIONS)
    output = result.stdout + result.stderr
    assert result.returncode == expect, output
    return output


def jobs(project: Path, *options: str) -> set[str]:
    """Messages of the jobs that a dry run would start."""
    output = snakemake(project, "--dry-run", *options)
    return set(re.findall(r"^Job \d+: (.*)$", output, re.M))
