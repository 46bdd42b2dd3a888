"""The run's folder, which declared outputs enter whole or not at all."""

import os
import shutil
from pathlib import Path


def write(output: Path, files: dict[str, str | Path]) -> None:
    """Move finished files and folders into the run's folder, in this order: a reader who sees the last sees all."""
    output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        temporary = output / f".{name}.part"
        if isinstance(content, Path) and content.is_dir():
            for old in (temporary, output / name):
                shutil.rmtree(old, ignore_errors=True)
            shutil.copytree(content, temporary)
        elif isinstance(content, Path):
            shutil.copyfile(content, temporary)
        else:
            temporary.write_text(content)
        os.replace(temporary, output / name)
