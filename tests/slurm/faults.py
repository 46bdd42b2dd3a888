"""What befalls a training job on a cluster: each waits until the run is in the middle of its training."""

import json
import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from cluster import has_left, slurm, wait_until
from studies import RESULTS


def job_of(variant: str) -> str:
    """Number of the running job that trains the variant; empty if there is none."""
    lines = slurm("squeue", "--noheader", "--states=running", "--format=%i %k").splitlines()
    return next(
        (line.split()[0] for line in lines if re.search(rf"rule_train_\w+?_wildcards_\w+?_{variant}_0$", line)), ""
    )


def working_folder(project: Path, variant: str) -> Path | None:
    """The undeclared folder that the run resumes from."""
    for progress in project.glob(f"{RESULTS}/checkpoints/*/progress.json"):
        if json.loads(progress.read_text())["run"] == f"{variant}/seed0":
            return progress.parent
    return None


def process_of(project: Path, variant: str) -> int:
    """The process that trains the variant."""
    progress = json.loads((working_folder(project, variant) / "progress.json").read_text())
    return int(progress["process"].split()[0])


def in_training(project: Path, snakemake: subprocess.Popen, variant: str) -> str:
    """Wait until the run has written checkpoints; the number of its job."""

    def has_checkpoints() -> bool:
        assert snakemake.poll() is None, (project / "snakemake.log").read_text()
        folder = working_folder(project, variant)
        return folder is not None and len(list(folder.glob("step*.ckpt"))) >= 2

    wait_until(has_checkpoints, f"{variant} trains", 600)
    return job_of(variant)


def hold(project: Path, variant: str) -> int:
    """Stop the process that trains the variant, so that its run of seconds does not end before its fault comes."""
    process = process_of(project, variant)
    os.kill(process, signal.SIGSTOP)
    return process


def go_on(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)


def cancel(project: Path, snakemake: subprocess.Popen, variant: str) -> None:
    """scancel, as a user or an administrator would."""
    job = in_training(project, snakemake, variant)
    process = hold(project, variant)
    slurm("scancel", job)
    go_on(process)


def reach_time_limit(project: Path, snakemake: subprocess.Popen, variant: str) -> None:
    """Hold the process until SLURM warns it, so that a limit of a minute comes in the middle of a run of seconds."""
    in_training(project, snakemake, variant)
    process = hold(project, variant)
    wait_until(lambda: is_pending(process, signal.SIGUSR1), f"SLURM warns {variant} of its time limit", 300)
    go_on(process)


def is_pending(process: int, number: int) -> bool:
    """Whether the signal waits for the process to go on, or has ended it."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return True
    return bool(int(re.search(r"ShdPnd:\s*(\w+)", status)[1], 16) & 1 << number - 1)


def lose_node(project: Path, snakemake: subprocess.Popen, variant: str) -> None:
    """Drain the node of the job, which lets the job be, then set it down, which ends the job; then bring it back."""
    job = in_training(project, snakemake, variant)
    process = hold(project, variant)
    node = slurm("squeue", "--noheader", "--job", job, "--format=%N")
    slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    assert job_of(variant) == job
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    go_on(process)
    wait_until(lambda: job_of(variant) != job and has_left(job, node), "the job has lost its node", 300)
    slurm("scontrol", "update", f"nodename={node}", "state=resume")
