"""A digest of the code that an entry point runs: when it changes, the entry point's results are computed again.

It covers the modules of this package that the entry point imports, directly or through others. Comments, docstrings,
formatting and the folders that modules lie in have no influence: moving a file, or rewriting a comment, reruns nothing.
Two literals at the top of a module leave it out:

AFFECTS_RESULTS = False   the module cannot change a result: it reports, keeps results safe, or only names things. What
                          only such modules import is left out too.
PART = "gates"            the module is a swappable part of the model; runs that do not have the part leave it out.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

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
def code_digest(entry: str, without: frozenset[str] = frozenset(), without_parts: frozenset[str] = frozenset()) -> str:
    """Digest of ``entry`` (a module such as spikesink.training.__main__) and of all that it imports from this package.

    ``without`` names modules, and ``without_parts`` swappable parts, that this use of the entry does not run: they and
    what only they import are left out. Raises FileNotFoundError when ``entry`` is not a module of this package.

    Modules count by their content and not by their names. So that two names cannot be swapped unseen, every import
    counts with the content of the module that it is from.
    """
    digests = module_digests(entry, without, without_parts)
    lines = set()
    for module, digest in digests.items():
        taken = sorted(f"{each.name} {each.known_as} {digests.get(each.module, '')}" for each in imports(module))
        lines.add(f"{digest} {taken}\n")
    return digest_of("".join(sorted(lines)))


def module_digests(
    entry: str, without: frozenset[str] = frozenset(), without_parts: frozenset[str] = frozenset()
) -> dict[str, str]:
    """The modules that ``code_digest`` covers, sorted by name, and the digest of each one's own content."""
    seen: set[str] = set()
    waiting = [entry]
    while waiting:
        module = waiting.pop()
        if module in seen or module in without or not counts(module, without_parts):
            continue
        seen.add(module)
        waiting += {each.module for each in imports(module)} | packages_around(module)
    return {module: digest_of(meaning(module)) for module in sorted(seen) if meaning(module) != EMPTY}


def counts(module: str, without_parts: frozenset[str]) -> bool:
    """Whether the module can change a result of a run that does not have these parts."""
    return literal(module, "AFFECTS_RESULTS") is not False and literal(module, "PART") not in without_parts


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_file(module: str) -> Path | None:
    """The file of a module or package of this package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def tree(module: str) -> ast.Module:
    path = source_file(module)
    if path is None:
        raise FileNotFoundError(f"{module} is not a module of this package")
    return ast.parse(path.read_text(encoding="utf-8"))


def constant(module: str, name: str) -> object:
    """The value of a literal at the top of a module, read without importing it. Raises KeyError when there is none."""
    for node in tree(module).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(node.value)
    raise KeyError(f"{module} has no constant {name}")


def literal(module: str, name: str) -> object:
    """The value of a literal at the top of a module, None where there is none."""
    try:
        return constant(module, name)
    except KeyError:
        return None


@cache
def meaning(module: str) -> str:
    """The module's syntax tree without comments, docstrings and formatting; of imports from this package the names."""
    names = sorted({(each.name, each.known_as) for each in imports(module)})
    return repr([plain(tree(module)), names])


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


# The meaning of most __init__.py.
EMPTY = repr([plain(ast.parse("")), []])


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


def is_own_import(node: object) -> bool:
    """Whether a statement imports from this package and from nothing else; ``imports`` lists what."""
    if isinstance(node, ast.Import):
        return all(is_own(alias.name) for alias in node.names)
    return isinstance(node, ast.ImportFrom) and node.level == 0 and is_own(node.module or "")


def is_own(name: str) -> bool:
    return name.split(".")[0] == "spikesink"


@cache
def imports(module: str) -> tuple[Import, ...]:
    """What ``module`` imports from this package, anywhere in its code."""
    found: set[Import] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found.update(imported_modules(node))
        elif isinstance(node, ast.ImportFrom) and is_own_import(node):
            for alias in node.names:
                whole_module = f"{node.module}.{alias.name}"
                source = whole_module if source_file(whole_module) else node.module
                found.add(Import(source, alias.name, alias.asname or alias.name))
    return tuple(sorted(each for each in found if source_file(each.module)))


def imported_modules(node: ast.Import) -> Iterator[Import]:
    """The modules of this package in ``import a.b, c.d as e``; each counts by its last name."""
    for alias in node.names:
        if is_own(alias.name):
            last = alias.name.rsplit(".", 1)[-1]
            yield Import(alias.name, last, alias.asname or last)


def packages_around(module: str) -> set[str]:
    """The packages that Python runs before it runs the module."""
    return {module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1)}
