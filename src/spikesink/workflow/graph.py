"""The graph of the workflow's rules, as a diagram that fits a page."""

import re
from collections.abc import Mapping
from functools import cache


def mermaid(dot: str) -> str:
    """A Mermaid diagram of the graph that ``snakemake --rulegraph`` writes.

    An arrow is left out where a longer way leads to the same rule. Rules between the same rules share a box.
    """
    boxes = shared_boxes(without_shortcuts(read_dot(dot)))
    number = {rule: place for place, rules in enumerate(boxes) for rule in rules}
    lines = ["graph TD", *(f'    {place}["{"<br>".join(rules)}"]' for place, rules in enumerate(boxes))]
    for rules, after in boxes.items():
        lines += [f"    {number[rules[0]]} --> {other}" for other in sorted({number[rule] for rule in after})]
    return "\n".join(lines)


def read_dot(dot: str) -> dict[str, frozenset[str]]:
    """For every rule, the rules that use its output."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w[^"\\]*)', dot, re.M))
    arrows = [(names[first], names[second]) for first, second in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.M)]
    return {rule: frozenset(second for first, second in arrows if first == rule) for rule in names.values()}


def without_shortcuts(after: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """The graph without the arrows whose ends are joined by a longer way too."""

    @cache
    def reached(rule: str) -> frozenset[str]:
        return after[rule].union(*(reached(one) for one in after[rule]))

    return {rule: ones.difference(*(reached(one) for one in ones)) for rule, ones in after.items()}


def shared_boxes(after: Mapping[str, frozenset[str]]) -> dict[tuple[str, ...], frozenset[str]]:
    """Rules that come after and before the same rules, together, and the rules after them."""
    boxes: dict[tuple[frozenset[str], frozenset[str]], list[str]] = {}
    for rule, ones in after.items():
        before = frozenset(other for other, others in after.items() if rule in others)
        boxes.setdefault((before, ones), []).append(rule)
    return {tuple(rules): ones for (_, ones), rules in boxes.items()}
