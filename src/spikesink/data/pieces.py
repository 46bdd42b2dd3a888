"""Documents from the text of a txt file: a long file is cut, a short one is a document."""

import re
from collections.abc import Iterator

SHORTEST, LONGEST = 2000, 8000
"""In characters: a document ends at the first blank line after the one, or at the first line end after the other."""
LINE_END = re.compile(r"\n(\s*\n)?")


def pieces(text: str, separator: str | None) -> list[str]:
    """The documents of a text, at least one.

    They are what stands between separators, without parts that hold only white space. With an empty separator the text
    is one document. With None it is cut after blank lines and loses no character.
    """
    if separator is None:
        return list(cut(text)) or [text]
    if not separator:
        return [text]
    ends = "\r?\n".join(re.escape(line) for line in separator.replace("\r\n", "\n").split("\n"))
    return [part for part in re.split(ends, text) if part.strip()] or [text]


def cut(text: str) -> Iterator[str]:
    start = 0
    for found in LINE_END.finditer(text):
        length = found.end() - start
        if length >= LONGEST or (found[1] and length >= SHORTEST):
            yield text[start : found.end()]
            start = found.end()
    if start < len(text):
        yield text[start:]
