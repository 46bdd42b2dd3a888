"""Train one run: resolved run and packed tokens in; run.json, model.safetensors, metrics.csv and manifest.json out."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import torch

from spikesink.runs.command import number_from, one_line_errors, stay_offline
from spikesink.runs.json_file import json_object, read_json
from spikesink.runs.json_kinds import TRAINED_RUN, check_kinds
from spikesink.training.devices import end_with_launcher, launched_by_lightning
from spikesink.training.freed_memory import keep_freed_memory
from spikesink.training.progress import be_quiet
from spikesink.training.storage.disk_errors import DiskError
from spikesink.training.storage.interruption import Interrupted, end_at_once, install
from spikesink.training.storage.lock import InUse
from spikesink.training.train import train


@one_line_errors(DiskError, InUse, TypeError, ValueError)
def main() -> int:
    options = arguments()
    stay_offline()
    launched = launched_by_lightning()
    if launched:
        end_with_launcher()
    else:
        install(end_at_once)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # or Lightning's launcher sets a number of its own
    be_quiet()
    try:
        train(read_run(options.run), options)
    except Interrupted as ending:
        # All ranks end here together. The first one reports; a rank that it launched must not fail, or it is killed.
        if launched:
            return 0
        print(ending, file=sys.stderr)
        return ending.exit_code
    except torch.OutOfMemoryError as error:
        remedies = "training.micro_batch_size, training.loss_chunk, training.activation_checkpointing or strategy: fsdp"
        print(f"error: out of GPU memory: use {remedies} ({str(error).splitlines()[0]})", file=sys.stderr)
        return 1
    return 0


def read_run(given: str) -> dict[str, Any]:
    """The resolved run, which is given as JSON or as the name of its file. Raises InputError."""
    remedy = "give the run.json of a run, or its text"
    if not given.lstrip().startswith("{"):
        return read_json(Path(given), remedy, TRAINED_RUN)
    run = json_object(given, "--run", remedy)
    check_kinds(run, TRAINED_RUN, "--run", remedy)
    return run


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.training", description=__doc__)
    parser.add_argument("--run", required=True, help="the resolved run: a JSON file, or the JSON text itself")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the packed tokens")
    parser.add_argument("--output", type=Path, required=True, help="the run's folder")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the folders to resume from")
    parser.add_argument("--threads", type=number_from(1), default=1, help="CPU threads of each process")
    parser.add_argument(
        "--gpus", type=number_from(0), default=1, help="GPUs per node; 0, or a machine without: train on the CPU"
    )
    parser.add_argument("--nodes", type=number_from(1), default=1, help="machines")
    parser.add_argument(
        "--processes", type=number_from(1), default=1, help="CPU processes per node where no GPU is used"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
