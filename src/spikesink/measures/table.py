"""The file of a measure's table."""

import csv
import os
from pathlib import Path


def write_table(path: Path, rows: list[dict]) -> None:
    """Write rows, whole or not at all: as CSV where ``path`` ends in .csv, which needs no polars, else as parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    if path.suffix == ".csv":
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys() if rows else (), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        import polars

        polars.DataFrame(rows, infer_schema_length=None).write_parquet(temporary)
    os.replace(temporary, path)
