"""Names of files with ranges in braces: part-{08..10}.gz stands for part-08.gz, part-09.gz and part-10.gz."""

import re
from collections.abc import Iterable

from spikesink.study.settings import Corpus

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_FILES = 100_000


def expanded(pattern: str) -> list[str]:
    """The names that a pattern with any number of ranges stands for. Raises ValueError for one that runs backwards.

    All numbers of a range are as wide as its first one.
    """
    found = RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    if int(first) > int(last):
        raise ValueError(f"{found[0]} of {pattern} runs backwards: write the smaller number first")
    before, after = pattern[: found.start()], pattern[found.end() :]
    numbers = range(int(first), int(last) + 1)
    return [name for number in numbers for name in expanded(f"{before}{number:0{len(first)}}{after}")]


def file_names(corpus: Corpus) -> list[str]:
    """``corpus.files``, then ``corpus.validation_files``, with every range written out."""
    return [name for pattern in (*corpus.files, *(corpus.validation_files or ())) for name in expanded(pattern)]


def check_ranges(name: str, patterns: Iterable[str]) -> None:
    """Raise ValueError for names that are empty, and for ranges that run backwards or stand for too many files."""
    files = 0
    for pattern in patterns:
        if not pattern.strip():
            raise ValueError(f"{name} has the entry {pattern!r}: write the path of a file")
        if odd := next((letter for letter in pattern if not letter.isprintable()), None):
            raise ValueError(f"{name} has the entry {pattern!r} with the letter {odd!r}: rename the file without it")
        shown, number = pattern if len(pattern) <= 80 else f"{pattern[:77]}...", 1
        for first, last in RANGE.findall(pattern):
            if max(len(first), len(last)) > 15:
                raise ValueError(f"{name}: {shown} stands for too many files: use at most {MOST_FILES:,}")
            if int(first) > int(last):
                raise ValueError(
                    f"{name}: {{{first}..{last}}} of {shown} runs backwards: write the smaller number first"
                )
            number *= int(last) - int(first) + 1
        files += number
        if files > MOST_FILES:
            raise ValueError(f"{name}: {shown} makes {files:,} files: use at most {MOST_FILES:,}")
