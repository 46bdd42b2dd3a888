"""What happens before Snakemake reads the rules: the study is read, and jobs will find this checkout's package."""

import gc
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spikesink.data.enough import tell_jobs
from spikesink.runs.command import said
from spikesink.study.errors import ConfigError
from spikesink.study.run import Study
from spikesink.study.settings import TrainingResources
from spikesink.tracking import default_uri
from spikesink.tracking.store import sqlite_file
from spikesink.workflow.check import checked_study
from spikesink.workflow.cluster import TRAINING_HERE
from spikesink.workflow.forks.requests import ADDRESS
from spikesink.workflow.forks.start import start
from spikesink.workflow.records import exchange_records

LIVE = "SPIKESINK_TRACKING_URI"
"""Variable of the environment: the store that runs appear in while they train."""
READY: list = []
"""The process that jobs fork from. It ends when this process does."""


def prepare(workflow: Any) -> tuple[Study, dict]:
    """The study, and the config that it was read from; Snakemake's process is made ready to run its jobs.

    ``workflow`` is what Snakemake gives a Snakefile. Its config is read from its files again, strictly: Snakemake
    drops a key that stands twice, and loses the order of keys. A faulty config ends the program with one line.
    """
    checkout = Path(workflow.basedir)
    use_this_checkout(checkout)
    ignore_time_warning()
    # A workflow of thousands of jobs is millions of objects that stay. Python would look through them for garbage after
    # every 700 new ones, which takes a second of the 14 of a start with 1,005 runs.
    gc.set_threshold(50_000, 20, 100)
    config = config_file(checkout)
    try:
        study, written = checked_study(
            workflow.overwrite_configfiles, config, workflow.config_settings.config, checkout / "workflow"
        )
    except ConfigError as error:
        raise SystemExit(f"config error: {error}") from None
    tell_jobs(study)
    share_gpu(workflow, study.config.resources.train)
    tell_tracking(study, sent_away=workflow.remote_exec)
    if workflow.is_main_process:
        keep_records(study)
    return study, written


def use_this_checkout(checkout: Path) -> None:
    """Jobs run the package of this checkout with the interpreter that runs Snakemake.

    A job with a conda environment or a container has an interpreter of its own.
    """
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    # Text is UTF-8 in every job, whatever the locale of the shell says.
    os.environ.update(PYTHONPATH=str(checkout / "src"), PATH=os.pathsep.join(programs), PYTHONUTF8="1")


def ignore_time_warning() -> None:
    """Inside a SLURM job, ignore the signal that warns of the time limit.

    SLURM sends SIGUSR1 to every process of the job, and it ends a process that does not know it. Training listens to
    it. The processes that Snakemake starts around training inherit from here that it is ignored.
    """
    if "SLURM_JOB_ID" in os.environ:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def config_file(checkout: Path) -> Path:
    """config.yaml of the working directory, or else that of the checkout."""
    here = Path("config.yaml")
    return here if here.exists() else checkout / "config.yaml"


def share_gpu(workflow: Any, stage: TrainingResources, gpu: Path = Path("/dev/nvidia0")) -> None:
    """Let as many runs train at a time on this machine as shall share its GPU. On CPUs their cores decide."""
    if workflow.local_exec and workflow.is_main_process and stage.gpus_per_node and gpu.exists():
        workflow.register_resource(TRAINING_HERE, stage.runs_per_gpu)


def tracking_uri(study: Study) -> str:
    """Where MLflow keeps the study."""
    return study.config.tracking.uri or default_uri("results")


def tell_tracking(study: Study, sent_away: bool) -> None:
    """Tell training where to mirror runs while they train: in the environment, as no result depends on it.

    A job that Snakemake has ``sent_away`` to a machine of a cluster must not write a SQLite file.
    """
    os.environ.pop(LIVE, None)
    if study.config.tracking.live and not (sent_away and sqlite_file(tracking_uri(study))):
        os.environ[LIVE] = tracking_uri(study)


def say_when_tracked(study: Study, sends_away: bool) -> None:
    """Print a line where runs will not appear in MLflow while they train, although the config asks for it.

    ``sends_away``: whether Snakemake sends jobs to other machines.
    """
    if study.config.tracking.live and sends_away and (file := sqlite_file(tracking_uri(study))):
        print(
            f"MLflow: runs appear in {file} when all have ended, because several machines must not write one SQLite "
            "file; with the address of a server in tracking.uri they appear while they train",
            file=sys.stderr,
        )


def stand_ready(workflow: Any) -> None:
    """Have a process ready that jobs fork from, where they run on this machine and with this interpreter."""
    os.environ.pop(ADDRESS, None)
    if workflow.local_exec and not workflow.deployment_settings.deployment_method:
        READY.append(start())


def keep_records(study: Study) -> None:
    """Keep Snakemake's records of the study beside its results, and bring back those that are missing here.

    A disk that cannot be written is said in one line: what is there can still be looked at.
    """
    try:
        exchange_records(f"results/{study.config.study}")
    except OSError as error:
        print(f"{said(error)}; until then copies of these results may be made anew", file=sys.stderr)


def explain_failure() -> None:
    """After a failed run of Snakemake: say what is not installed, if that may be the reason."""
    if find_spec("torch") is None:
        print("torch is not installed: jobs that train or measure here need what `make install` adds", file=sys.stderr)
