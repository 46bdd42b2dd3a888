"""Tables as plain text, for a terminal."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], names: int) -> list[str]:
    """A line per row: its first ``names`` cells left-aligned, the others, which are numbers, right-aligned.

    What a row has beyond the columns of the first row, a remark, stands behind them and has no width.
    """
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [*map(str.ljust, row[:names], widths), *map(str.rjust, row[names:], widths[names:])]
        lines.append("  ".join([*cells, *row[len(widths) :]]).rstrip())
    return lines
