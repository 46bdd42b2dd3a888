"""An ablation's tables as LaTeX, to be \\input into a paper that loads booktabs and graphicx."""

import textwrap
from collections.abc import Mapping
from itertools import groupby

from spikesink.tables.render.latex_text import escaped, escaped_cell
from spikesink.tables.render.layout import Column


def heading(column: Column) -> str:
    """A column's heading, in short lines."""
    lines = [escaped(line) for line in textwrap.wrap(column.heading, 11)]
    if len(lines) == 1:
        return lines[0]
    return r"\shortstack[r]{" + r" \\ ".join(lines) + "}"


def cells(column: Column) -> list[str]:
    """A column's cells as LaTeX, the best in bold; names of the papers' rows, which the config uses, are code."""
    plain = [escaped_cell(cell) for cell in column.cells]
    if column.heading == "row":
        plain = [f"\\texttt{{{cell}}}" if "_" in cell else cell for cell in plain]
    return [f"\\textbf{{{cell}}}" if place in column.best else cell for place, cell in enumerate(plain)]


def latex(tables: Mapping[str, tuple[list[Column], list[str]]], reference: str) -> str:
    """A float per table, by its title; ``reference`` goes into the first's \\label, with a number into the others'."""
    floats = [
        table_float(title, f"{reference}{place or ''}", columns, notes)
        for place, (title, (columns, notes)) in enumerate(tables.items())
    ]
    return "% needs \\usepackage{booktabs,graphicx}\n" + "\n".join(floats)


def table_float(title: str, reference: str, columns: list[Column], notes: list[str]) -> str:
    """A table float over the width of the page: caption, column groups, booktabs rules, notes below.

    Only essential columns; a table wider than the page is shrunk to it. ``reference`` goes into the \\label.
    """
    columns = [column for column in columns if column.essential]
    spec = "".join("l" if column.heading in ("variant", "row") else "r" for column in columns)
    groups, rules, start = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        width = len(list(members))
        groups += [f"\\multicolumn{{{width}}}{{c}}{{{escaped(group)}}}"] if group else [""] * width
        if group:
            rules.append(f"\\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    rows = zip(*(cells(column) for column in columns), strict=True)
    lines = [
        "\\begin{table*}",
        "\\centering",
        f"\\caption{{{escaped(title)}}}",
        f"\\label{{tab:{reference}}}",
        "\\footnotesize",
        "\\setlength{\\tabcolsep}{4pt}",
        "\\sbox0{%",
        f"\\begin{{tabular}}{{{spec}}}",
        "\\toprule",
        " & ".join(groups) + " \\\\",
        " ".join(rules),
        " & ".join(heading(column) for column in columns) + " \\\\",
        "\\midrule",
        *(" & ".join(row) + " \\\\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}}",
        "\\ifdim\\wd0>\\linewidth\\resizebox{\\linewidth}{!}{\\usebox0}\\else\\usebox0\\fi",
        "\\par\\smallskip",
        "\\begin{minipage}{\\linewidth}",
        *(escaped(note) for note in notes),
        "\\end{minipage}",
        "\\end{table*}",
    ]
    return "\n".join(lines) + "\n"
