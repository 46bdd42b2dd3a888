"""Snakemake's time and memory to plan a study of 1,005 runs: before it has run, finished, and after a change.

``python benchmarks/thousand_runs.py`` works on a copy of the checkout in a temporary folder. Nothing is trained: the
outputs are empty files that Snakemake is told to treat as made (``--touch``).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
AXES, VARIANTS, SEEDS = 5, 40, 5


def study(per_head: bool = False) -> dict:
    """The config of a study: the baseline and five ablations of forty variants, with five seeds."""
    ablations: dict = {}
    for axis in range(AXES):
        ablations[f"axis{axis}"] = {
            f"lr_{axis}_{number}": {"training": {"optimiser": {"lr": 1e-3 * (axis + 1) + 1e-5 * number}}}
            for number in range(VARIANTS)
        }
    if per_head:
        ablations["axis0"]["lr_0_0"]["model"] = {"gate": {"kind": "conditional", "per": "head"}}
    return {"study": "thousand", "seeds": list(range(SEEDS)), "ablations": [], "variants": ablations}


def snakemake(project: Path, *options: str) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and output of a run of Snakemake."""
    command = [sys.executable, "-m", "snakemake", "--configfile", "thousand.yaml", *options]
    started = time.monotonic()
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"snakemake {' '.join(options)} failed:\n{output[-3000:]}")
    return time.monotonic() - started, usage.ru_maxrss / 1024, output


def report(what: str, result: tuple[float, float, str]) -> None:
    seconds, memory, output = result
    lines = [line.split() for line in output.splitlines()]
    jobs = next((int(words[1]) for words in lines if len(words) == 2 and words[0] == "total"), 0)
    print(f"{what:34} {jobs:6} jobs  {seconds:5.1f} s  {memory:4.0f} MB", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, project)
        for name in ("workflow", "profiles", "src", "envs"):
            shutil.copytree(ROOT / name, project / name)
        overlay = project / "thousand.yaml"
        overlay.write_text(yaml.safe_dump(study()))
        report("dry run before anything exists", snakemake(project, "--dry-run"))
        _, _, table = snakemake(project, "--summary")
        for line in table.splitlines():
            path = Path(line.split("\t")[0])
            if path.parts[:1] == ("results",):
                target = project / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.mkdir() if path.name == "snapshots" else target.touch()
        snakemake(project, "--touch")
        report("dry run of the finished study", snakemake(project, "--dry-run"))
        overlay.write_text(yaml.safe_dump(study(per_head=True)))
        report("dry run after changing one variant", snakemake(project, "--dry-run"))


if __name__ == "__main__":
    main()
