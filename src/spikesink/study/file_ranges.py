"""Names of files with ranges in braces: part-{08..10}.gz stands for part-08.gz, part-09.gz and part-10.gz."""

import re

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


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
