"""The run's folder, which declared outputs enter whole or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

from spikesink.runs.atomic import whole
from spikesink.training.storage.disk_errors import disk_errors

AFFECTS_RESULTS = False


def write(output: Path, files: dict[str, str | Path | Callable[[Path], object]]) -> None:
    """Bring files and folders into the run's folder, in this order: a reader who sees the last sees all.

    They are given as their text, as something to copy, or as what writes to a path. Raises DiskError.
    """
    with disk_errors(output):
        output.mkdir(parents=True, exist_ok=True)
        (output / next(reversed(files))).unlink(missing_ok=True)  # of an earlier run, from whose files those differ
    for name, content in files.items():
        with disk_errors(output), whole(output / name) as part:
            if isinstance(content, str):
                part.write_text(content)
            elif isinstance(content, Path):
                (shutil.copytree if content.is_dir() else shutil.copyfile)(content, part)
            else:
                content(part)
