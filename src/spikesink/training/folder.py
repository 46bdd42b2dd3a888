"""The run's folder, which declared outputs enter whole or not at all."""

import os
import shutil
from pathlib import Path


def write(output: Path, files: dict[str, str | Path]) -> None:
    """Move finished files into the run's folder, the manifest last: a reader who sees it sees a whole run."""
    output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        temporary = output / f".{name}.part"
        if isinstance(content, Path):
            shutil.copyfile(content, temporary)
        else:
            temporary.write_text(content)
        os.replace(temporary, output / name)
