"""Plain text as LaTeX that pdflatex sets without further packages.

A letter with an accent stays as it is: LaTeX reads UTF-8. The characters below are written as commands. At any other
character LaTeX stops and names it; \\DeclareUnicodeCharacter in the paper then says how to set it.
"""

import re
import unicodedata

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": "$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "∞": r"$\infty$",
    "–": "--",
}
# Omicron looks like o and has no command.
GREEK = {
    letter: f"$\\{unicodedata.name(letter).rsplit(' ', 1)[1].lower().replace('lamda', 'lambda')}$"
    for letter in "αβγδεζηθικλμνξπρστυφχψω"
}
ESCAPES = str.maketrans(SPECIAL | GREEK)
MINUS = re.compile(r"(?<![\w.\-])-(?=\d)")


def escaped(text: str) -> str:
    """Plain text on one line, with LaTeX's special characters written out."""
    return " ".join(text.split("\n")).translate(ESCAPES)


def escaped_cell(text: str) -> str:
    """The text of a table's cell, with a minus before negative numbers.

    An empty group stands before a bracket or an asterisk at its start: LaTeX would read these as an argument of the
    line break or rule before the row.
    """
    found = MINUS.sub("$-$", escaped(text))
    return "{}" + found if found.startswith(("[", "*")) else found
