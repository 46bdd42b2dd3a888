"""The results of a run that has ended, brought into its folder."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from spikesink.runs.atomic import remove, whole
from spikesink.runs.folder import RunFolder, snapshots
from spikesink.runs.json_file import with_sum
from spikesink.runs.sums import NOTES, file_sum, intact
from spikesink.training.storage.disk_errors import disk_errors
from spikesink.training.storage.interruption import install
from spikesink.training.task import Task


def write_results(task: Task, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write the run's files, the manifest last, and remove the folder that the run would have resumed from.

    Who finds a manifest finds everything else. Raises DiskError.
    """
    work, output = task.work, task.output
    with disk_errors(Path(output.path)):
        output.manifest.unlink(missing_ok=True)  # it may be of an earlier run, whose files are replaced now
        with whole(output.run) as part:
            part.write_text(json.dumps(task.run, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        with whole(output.weights) as part:
            save_file(weights, part)
        with whole(output.metrics) as part:
            shutil.copyfile(work.metrics, part)
        with whole(output.snapshots) as part:
            for file in snapshots(work.snapshots).values():
                intact(file, f"delete {work.path} and run the same command again")
            shutil.copytree(work.snapshots, part, ignore=shutil.ignore_patterns(NOTES))
        with whole(output.manifest) as part:
            part.write_text(json.dumps(with_sum(facts | {"sha256": sums(output)}), indent=2) + "\n", encoding="utf-8")
    install(signal.SIG_IGN)  # everything is there, and what is left to do takes no time
    with disk_errors(task.checkpoints):
        remove(Path(work.path))


def sums(output: RunFolder) -> dict[str, str]:
    """The sum of every file of a run but its manifest, by path relative to the run's folder."""
    files = [output.run, output.weights, output.metrics, *sorted(output.snapshots.iterdir())]
    return {file.relative_to(output.path).as_posix(): file_sum(file) for file in files}
