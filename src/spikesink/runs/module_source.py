"""What the source of a module of this package says, from its syntax tree: its constants, its imports, its meaning."""

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

AFFECTS_RESULTS = False

PACKAGE = Path(__file__).parents[1]
NAME = re.compile(r"\bspikesink(\.\w+)+")
"""A dotted name of this package, in a text."""
WITHOUT_MEANING = frozenset({"ctx", "kind", "type_comment"})
"""Fields of a syntax tree: load or store follows from where a name stands; kind is the u of a u"text"."""


class Import(NamedTuple):
    """One name that a module imports from this package."""

    module: str
    """The module that holds the name, or is it."""
    name: str
    known_as: str


@cache
def source_files() -> dict[str, Path]:
    """The file of every module and package of this package, by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        folder = path.name == "__init__.py"
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.setdefault(".".join(("spikesink", *(parts[:-1] if folder else parts))), path)
    return found


def source_file(module: str) -> Path | None:
    """The file of a module or package of this package; None where it is neither."""
    return source_files().get(module)


def constants(tree: ast.Module) -> dict[str, str]:
    """The literals at the top of a module by name, each as source text."""
    found: dict[str, str] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            with suppress(ValueError, TypeError):  # no literal
                found.setdefault(name, repr(ast.literal_eval(value)))
    return found


def imports(tree: ast.Module) -> list[Import]:
    """What a module imports from this package, anywhere in its code."""
    found: set[Import] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(imported_modules(node))
        elif isinstance(node, ast.ImportFrom) and is_own_import(node):
            for alias in node.names:
                whole_module = f"{node.module}.{alias.name}"
                source = whole_module if source_file(whole_module) else node.module
                found.add(Import(source, alias.name, alias.asname or alias.name))
    return sorted(each for each in found if source_file(each.module))


def imported_modules(node: ast.Import) -> Iterator[Import]:
    """The modules of this package in ``import a.b, c.d as e``; each counts by its last name."""
    for alias in node.names:
        if is_own(alias.name):
            last = alias.name.rsplit(".", 1)[-1]
            yield Import(alias.name, last, alias.asname or last)


def is_own_import(node: object) -> bool:
    """Whether a statement imports from this package and from nothing else; ``imports`` lists what."""
    if isinstance(node, ast.Import):
        return all(is_own(alias.name) for alias in node.names)
    return isinstance(node, ast.ImportFrom) and node.level == 0 and is_own(node.module or "")


def is_own(name: str) -> bool:
    return name.split(".")[0] == "spikesink"


def meaning(tree: ast.Module) -> str:
    """A module's syntax tree without comments, docstrings and formatting; of imports from this package the names.

    Empty for a module that has nothing else, such as most __init__.py.
    """
    names = sorted({(each.name, each.known_as) for each in imports(tree)})
    found = [plain(tree), names]
    return "" if found == EMPTY else repr(found)


def plain(node: object) -> object:
    """A syntax tree as nested lists, the same in every version of Python that can read the code.

    What is empty is left out, because newer versions have fields that older ones lack; ``ast.unparse`` and ``ast.dump``
    write some code differently from version to version.
    """
    if isinstance(node, list):
        return [plain(item) for item in node if not is_text(item) and not is_own_import(item)]
    if isinstance(node, ast.JoinedStr):  # some versions put empty texts into it
        return ["JoinedStr", *(plain(part) for part in node.values if getattr(part, "value", None) != "")]
    if isinstance(node, str):
        return NAME.sub(without_folders, node)
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, plain(getattr(node, name, None))) for name in node._fields if name not in WITHOUT_MEANING)
    return [type(node).__name__, *((name, value) for name, value in fields if value is not None and value != [])]


EMPTY = [plain(ast.parse("")), []]


def is_text(node: object) -> bool:
    """Whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def without_folders(found: re.Match) -> str:
    """A dotted name without the packages before its module."""
    parts = found[0].split(".")
    for depth in range(len(parts), 1, -1):
        if file := source_file(".".join(parts[:depth])):
            module = [] if file.name == "__init__.py" else [file.stem]
            return ".".join(module + parts[depth:])
    return found[0]
