"""The file of a measure's table."""

import csv
from pathlib import Path

from spikesink.runs.sums import noted


def write_table(path: Path, rows: list[dict]) -> None:
    """Write rows, whole or not at all: as CSV where ``path`` ends in .csv, which needs no polars, else as parquet."""
    with noted(path) as part:
        if path.suffix == ".csv":
            with open(part, "w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys() if rows else (), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        else:
            import polars

            polars.DataFrame(rows, infer_schema_length=None).write_parquet(part)
