"""Compare two folders of the same study to the bit: weights, metrics, measures, tables, claims, and the figures' data.

    python benchmarks/same_results.py OLD NEW [--names names.yaml]

Both are results/<study> folders of finished studies. They may differ in what a run cannot repeat: times, speeds,
digests of code, versions, and paths of files. ``--names`` is a YAML file for a comparison across a change of names:

    columns: {old: new}        # names of columns, of quantities in cells, and of tensors and settings
    variants: {old: new}       # names of variants, which are folders too
    files: {old: new}          # paths in the study's folder
    only_in: {file: {old: new}}  # names of columns that changed in files of this name alone
    added: [new]               # columns of a figure's data that are new

Prints every difference and how many files were compared; exits with 1 if there is any difference.
"""

import argparse
import csv
import re
import sys
from pathlib import Path

import polars as pl
import yaml
from safetensors.torch import load_file

UNREPEATABLE = frozenset(
    {"tokens_per_second", "wall_seconds", "digest", "code", "started", "finished", "commit", "dirty", "gpu_hours"}
    | {"peak_memory_mb", "settings", "system", "machine", "resumed_from_step", "tokenizer_sha256"}
)
"""Columns that two runs of the same study do not share."""
COMPARED = ("*.safetensors", "metrics.csv", "*.parquet", "claims.csv", "tables/**/*.csv", "figures/**/*.csv")


class Names:
    """New names by old ones."""

    def __init__(self, path: Path | None) -> None:
        given = yaml.safe_load(path.read_text()) if path else {}
        self.columns, self.variants, self.files = (given.get(key) or {} for key in ("columns", "variants", "files"))
        self.only_in, self.added = given.get("only_in") or {}, frozenset(given.get("added") or [])
        every = self.columns | self.variants
        ordered = sorted(every, key=len, reverse=True)
        # In some columns a statistic stands behind a quantity's name.
        self.pattern = re.compile(rf"(?<![A-Za-z0-9_])({'|'.join(map(re.escape, ordered))})(?![A-Za-z0-9])")
        self.every = every

    def new(self, text: str) -> str:
        return self.pattern.sub(lambda match: self.every[match[1]], text) if self.every else text

    def path(self, old: Path) -> Path:
        return Path(self.files.get(old.as_posix()) or self.new(old.as_posix()))


def compared_files(folder: Path) -> list[Path]:
    found = {path for pattern in COMPARED for path in folder.rglob(pattern) if path.is_file()}
    return sorted(path.relative_to(folder) for path in found)


def weights(path: Path, names: Names) -> dict:
    return {names.new(name): tensor for name, tensor in load_file(path).items()}


def table(path: Path, names: Names) -> pl.DataFrame:
    """A table under the new names. Cells of a CSV file are text, so that every digit counts."""
    if path.suffix == ".parquet":
        found = pl.read_parquet(path)
    else:
        with path.open(newline="") as file:
            head, *rows = list(csv.reader(file)) or [[]]
        found = pl.DataFrame(rows, schema=dict.fromkeys(head, pl.String()), orient="row")
    here = names.only_in.get(path.name, {})
    changed = {name: here.get(name) or names.new(name) for name in found.columns}
    found = found.rename({old: new for old, new in changed.items() if new != old})
    texts = [name for name, kind in found.schema.items() if kind == pl.String()]
    return found.with_columns(pl.col(name).map_elements(names.new, pl.String()) for name in texts)


def difference(old: Path, new: Path, names: Names) -> str | None:
    """What differs between two files; None if nothing does."""
    if old.suffix == ".safetensors":
        ours, theirs = weights(old, names), weights(new, Names(None))
        if ours.keys() != theirs.keys():
            return f"tensors {sorted(ours.keys() ^ theirs.keys())}"
        unequal = [name for name in ours if not ours[name].equal(theirs[name])]
        return f"tensors {unequal}" if unequal else None
    ours, theirs = table(old, names), table(new, Names(None))
    if "figures" in new.parts:
        theirs = theirs.drop(names.added - set(ours.columns), strict=False)
    if set(ours.columns) - UNREPEATABLE != set(theirs.columns) - UNREPEATABLE:
        return f"columns {sorted(set(ours.columns) ^ set(theirs.columns))}"
    columns = [name for name in ours.columns if name not in UNREPEATABLE]
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)} rows"
    unrepeatable = ~pl.col("quantity").is_in(sorted(UNREPEATABLE)) if "quantity" in columns else pl.lit(True)
    ours, theirs = ours.filter(unrepeatable), theirs.filter(unrepeatable)
    unequal = [name for name in columns if not ours[name].equals(theirs[name], null_equal=True)]
    return f"values of {unequal}" if unequal else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--names", type=Path, help="YAML file of names that changed")
    options = parser.parse_args()
    names = Names(options.names)
    files = {names.path(path): path for path in compared_files(options.old)}
    others = set(compared_files(options.new))
    faults = [f"{path}: only in {options.old}" for path in sorted(files.keys() - others)]
    faults += [f"{path}: only in {options.new}" for path in sorted(others - files.keys())]
    for path in sorted(files.keys() & others):
        if found := difference(options.old / files[path], options.new / path, names):
            faults.append(f"{path}: {found}")
    print("\n".join([*faults, f"{len(files.keys() & others)} files compared, {len(faults)} differences"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
