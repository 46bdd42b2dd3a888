"""The file of a measure's table."""

import csv
import json
from pathlib import Path

from spikesink.runs.sums import noted

FORMATS = ("parquet", "csv", "json")
"""Endings of the file of a table. All but parquet do without polars. JSON keeps every value and its type."""


def write_table(path: Path, rows: list[dict]) -> None:
    """Write rows, whole or not at all, in the format that the path ends in."""
    with noted(path) as part:
        if path.suffix == ".csv":
            with open(part, "w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys() if rows else (), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        elif path.suffix == ".json":
            part.write_text(json.dumps(rows) + "\n", encoding="utf-8")
        else:
            import polars

            polars.DataFrame(rows, infer_schema_length=None).write_parquet(part)
