"""Plain text as LaTeX that pdflatex sets without further packages.

A letter with an accent stays as it is, LaTeX reads UTF-8. Of other characters those below are known; at any other LaTeX
stops with the character's name, and \\DeclareUnicodeCharacter in the paper says what it shall be.
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
    """Plain text with LaTeX's special characters written out."""
    return text.translate(ESCAPES)


def escaped_cell(text: str) -> str:
    """A table's cell: the sign of a number is a minus.

    A bracket or an asterisk at its start, which the line break or rule before a row would read as its argument, follows
    an empty group.
    """
    found = MINUS.sub("$-$", escaped(text))
    return "{}" + found if found.startswith(("[", "*")) else found
