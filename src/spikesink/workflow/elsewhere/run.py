"""Train and measure a packed study, several runs at a time; a second start goes on where the first ended.

Needs Python 3.11 or newer with torch, lightning, numpy, safetensors and pyyaml.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import time
from importlib.util import find_spec
from pathlib import Path

from spikesink.runs.atomic import whole
from spikesink.runs.checkout import PACKAGE
from spikesink.runs.command import number_from, one_line_errors
from spikesink.runs.folder import RunFolder
from spikesink.runs.json_file import read_json
from spikesink.study.errors import InputError
from spikesink.workflow.elsewhere.document import FINISHED, document_path, is_finished
from spikesink.workflow.elsewhere.package import modules_sum
from spikesink.workflow.elsewhere.pool import Pool

NEEDED = ("torch", "lightning", "numpy", "safetensors", "yaml")
OPTIONAL = ("sklearn", "tqdm")
"""Packages that only some questions about models in depth need."""
AGAIN = "unpack the archive again, into an empty folder"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 run.py", description=__doc__)
    parser.add_argument(
        "--workers", type=number_from(1), help="runs at a time; by default one per GPU, or one per core"
    )
    parser.add_argument(
        "--gpus", type=number_from(0), help="GPUs to use; by default all that this machine shows, 0: the CPU"
    )
    parser.add_argument(
        "--threads", type=number_from(1), help="CPU threads of a worker; by default its share of the cores"
    )
    parser.add_argument(
        "--measure-on", choices=("gpu", "cpu"), default="gpu", help="small models are measured as fast on the CPU"
    )
    parser.add_argument("--limit-minutes", type=minutes, help="after so long, runs write a checkpoint and stop")
    parser.add_argument("--weights", action="store_true", help="results.tar holds weights and snapshots too")
    return parser.parse_args()


def minutes(text: str) -> float:
    if not float(text) > 0:
        raise ValueError(text)
    return float(text)


@one_line_errors()
def main(folder: Path) -> int:
    """Run the study that was unpacked in ``folder``."""
    started = time.monotonic()
    options = arguments()
    os.chdir(folder)
    packed = read_json(Path("jobs.json"), AGAIN)
    if modules_sum() != packed["sources"]:
        raise InputError(f"{PACKAGE}: is not the code that was packed, its sum differs: {AGAIN}")
    check_packages()
    # Text is UTF-8 in every job, as under Snakemake; nobody here listens to the live mirror.
    os.environ["PYTHONUTF8"] = "1"
    os.environ.pop("SPIKESINK_TRACKING_URI", None)
    gpus = visible_gpus()[: options.gpus]
    if options.gpus and len(gpus) < options.gpus:
        raise InputError(f"--gpus {options.gpus}: this machine shows {len(gpus)}: lower it, or leave it out")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = options.workers or len(gpus) or cores
    threads = options.threads or max(1, cores // workers)
    left = [job for job in packed["jobs"] if not is_finished(job, packed)]
    done = len(packed["jobs"]) - len(left)
    where = f"{len(gpus)} GPUs" if gpus else "the CPU"
    print(
        f"{packed['study']}: {len(left)} runs, {done} are finished; {min(workers, len(left))} at a time on {where}, "
        f"{threads} threads each",
        flush=True,
    )
    pool = Pool(packed | {"measure_on": options.measure_on}, left, gpus=gpus, threads=threads)
    pool.run(workers, started + 60 * options.limit_minutes if options.limit_minutes else None)
    print(write_results(packed, options.weights), flush=True)
    return pool.status()


def check_packages() -> None:
    """Raises InputError where a package is missing; prints a line for one that only some questions need."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"{', '.join(missing)}: not installed for {sys.executable}: install with its pip")
    for name in OPTIONAL:
        if find_spec(name) is None:
            print(f"{name} is not installed: questions that need it will fail", flush=True)


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES would be for each GPU that this machine shows; torch is not loaded for this."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=60, check=True, text=True).stdout
        found = [line for line in listed.splitlines() if line.startswith("GPU")]
    except (OSError, subprocess.SubprocessError):  # a container may have the devices without the program
        found = [path.name for path in Path("/dev").glob("nvidia[0-9]*")]
    return [str(number) for number in range(len(found))]


def write_results(packed: dict, weights: bool) -> str:
    """Write results.tar, which holds the document of every finished run; returns a line that says so."""
    target = Path("results.tar")
    finished = [job for job in packed["jobs"] if is_finished(job, packed)]
    with whole(target) as part, tarfile.open(part, "w:") as archive:
        for job in finished:
            archive.add(document_path(job["name"]))
            if weights:
                for path in (RunFolder(job["folder"]).weights, RunFolder(job["folder"]).snapshots):
                    archive.add(path, str(Path(FINISHED) / job["name"] / path.name))
    size = target.stat().st_size / 1e6
    return f"{target.resolve()}: {len(finished)} of {len(packed['jobs'])} runs, {size:.1f} MB"
