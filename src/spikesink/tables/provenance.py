"""Where every run of a study is from: one row per run with its settings, code, text, software and machine."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from spikesink.study.run import canonical
from spikesink.tables.contracts import REAL, TEXT, WHOLE
from spikesink.tables.inputs import InputError, one_line_errors, read_json

SOFTWARE = ("python", "spikesink", "torch", "lightning", "numpy", "safetensors")
PROVENANCE = {
    "study": TEXT,
    "scale": TEXT,
    "ablation": TEXT,
    "variant": TEXT,
    "seed": WHOLE,
    "status": TEXT,
    "steps": WHOLE,
    "digest": TEXT,
    "code": TEXT,
    "commit": TEXT,
    "dirty": pl.Boolean(),
    "tokens_sha256": TEXT,
    "tokenizer_sha256": TEXT,
    **dict.fromkeys(SOFTWARE, TEXT),
    "device": TEXT,
    "machine": TEXT,
    "system": TEXT,
    "precision": TEXT,
    "strategy": TEXT,
    "devices": WHOLE,
    "nodes": WHOLE,
    "threads": WHOLE,
    "resumed_from_step": WHOLE,
    "started": TEXT,
    "finished": TEXT,
    "wall_seconds": REAL,
    "peak_memory_mb": REAL,
    "settings": TEXT,
}
"""``digest`` is of settings and code together, ``code`` of the code that trains; ``commit`` is the checkout's and
``dirty`` whether it had changes; times are in UTC; ``settings`` is the JSON text of tokenizer, model and training."""


def origin(folder: Path) -> dict[str, Any]:
    """The row of one run from its run.json and manifest.json. Raises InputError."""
    run = read_json(folder / "run.json", "train this run first")
    manifest = read_json(folder / "manifest.json", "train this run first")
    hardware = manifest.get("hardware") or {}
    known = {
        **manifest,
        **run,
        **(manifest.get("git") or {}),
        **(manifest.get("versions") or {}),
        **{name: hardware.get(name) for name in ("device", "system", "threads")},
        "machine": hardware.get("name"),
        "settings": canonical({part: run.get(part) for part in ("tokenizer", "model", "training")}),
    }
    return {name: known.get(name) for name in PROVENANCE}


def provenance(folders: Iterable[Path]) -> pl.DataFrame:
    """One row per run, in the order of the folders. Raises InputError."""
    rows = [origin(folder) for folder in folders]
    try:
        return pl.DataFrame(rows, schema=PROVENANCE, orient="row")
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(f"a manifest.json holds something unexpected ({error}): train that run again") from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.provenance", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the study's folder")
    parser.add_argument("--variants", nargs="+", required=True, help="names of its variants")
    parser.add_argument("--seeds", nargs="+", type=int, required=True, help="seeds that each was trained with")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    options = parser.parse_args()

    def work() -> None:
        names = [(variant, seed) for variant in options.variants for seed in options.seeds]
        folders = [options.results / "runs" / variant / f"seed{seed}" for variant, seed in names]
        options.output.parent.mkdir(parents=True, exist_ok=True)
        provenance(folders).write_csv(options.output)

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
