"""Print the closing table of a study: perplexity, sinks and spike of every variant, means over seeds."""

import argparse
import sys
from pathlib import Path

from spikesink.tables.collect import FINISHED
from spikesink.tables.contracts import RUNS
from spikesink.tables.inputs import one_line_errors, read_table
from spikesink.tables.render.numbers import decimals, significant, written
from spikesink.tables.statistics.average import over_seeds

HEADER = ("ablation", "variant", "perplexity", "sink ratio %", "largest head", "spike")


def summary(path: Path) -> str:
    """The table of a runs.csv as aligned plain text. Raises InputError."""
    variants = over_seeds(read_table(path, RUNS, "tabulate the runs again"))
    lines, last = [HEADER], None
    for row in variants.iter_rows(named=True):
        cells = [
            written(row["perplexity"], decimals(2)),
            written(row["sink_ratio"], decimals(1)),
            written(row["sink_mass_max"], decimals(2)),
            written(row["spike"], significant(3)),
        ]
        note = "" if row["status"] == FINISHED else row["status"]
        lines.append(("" if row["ablation"] == last else row["ablation"], row["variant"], *cells, note))
        last = row["ablation"]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=False))
        ]
        text.append("  ".join([*cells, *line[len(HEADER) :]]).rstrip())
    seeds = variants["seeds"].max()
    text.append(f"Means over {seeds} seeds." if seeds > 1 else "One seed per variant.")
    text.append("Sink ratio: heads with a key above the threshold. Largest head: its mean attention on position 0.")
    return "\n".join(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.summary", description=__doc__)
    parser.add_argument("runs", type=Path, help="runs.csv of a study")
    options = parser.parse_args()
    return one_line_errors(lambda: print(summary(options.runs)))


if __name__ == "__main__":
    sys.exit(main())
