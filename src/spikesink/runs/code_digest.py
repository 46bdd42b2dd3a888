"""A digest of the code that an entry point runs: what must change for its results to be computed again.

It covers the modules of this package that the entry point imports, directly or not, as syntax trees without comments,
docstrings or formatting, so only a change of meaning changes it.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Settings enter a rule's identity by value: no module of their package counts.
SETTINGS = "spikesink.study.settings"
# A group's questions enter as its outputs; the others only report, or see to it that nothing is lost.
WITHOUT_EFFECT = frozenset(
    {
        "spikesink",
        "spikesink.measures.groups",
        "spikesink.tracking",
        "spikesink.runs.atomic",
        "spikesink.runs.command",
        "spikesink.runs.folder",
        "spikesink.runs.json_file",
        "spikesink.training.storage.disk_errors",
        "spikesink.training.storage.folder",
        "spikesink.training.storage.intact",
        "spikesink.training.storage.interruption",
        "spikesink.training.storage.lock",
        "spikesink.training.manifest",
        "spikesink.training.progress",
        "spikesink.training.storage.resume",
    }
)
# Load or store follows from where a name stands; kind is the u of a u"text".
WITHOUT_MEANING = frozenset({"ctx", "kind", "type_comment"})


@cache
def code_digest(entry: str, without: frozenset[str] = frozenset()) -> str:
    """Digest of ``entry`` (a module such as spikesink.training.__main__) and of all that it imports from this package.

    ``without`` names swappable modules that this use of the entry does not run; they and what only they import are left
    out. Raises FileNotFoundError when ``entry`` is not a module of this package.
    """
    return digest_of("".join(f"{module} {digest}\n" for module, digest in module_digests(entry, without).items()))


def module_digests(entry: str, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """What ``code_digest`` is made of, module by module, sorted by name."""
    seen: set[str] = set()
    waiting = [entry]
    while waiting:
        module = waiting.pop()
        if module in seen or module in without or not has_effect(module):
            continue
        seen.add(module)
        waiting += imports(module)
    return {module: digest_of(meaning(module)) for module in sorted(seen)}


def has_effect(module: str) -> bool:
    return module not in WITHOUT_EFFECT and not f"{module}.".startswith(f"{SETTINGS}.")


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_file(module: str) -> Path | None:
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
    return ast.parse(path.read_text())


def constant(module: str, name: str) -> object:
    """The value of a literal at the top of a module, read without importing it. Raises KeyError when there is none."""
    for node in tree(module).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(node.value)
    raise KeyError(f"{module} has no constant {name}")


@cache
def meaning(module: str) -> str:
    """The module's syntax tree without comments, docstrings and formatting."""
    return repr(plain(tree(module)))


def plain(node: object) -> object:
    """A syntax tree as nested lists, the same in every version of Python that can read the code.

    What is empty is left out, because newer versions have fields that older ones lack; ``ast.unparse`` and ``ast.dump``
    write some code differently from version to version.
    """
    if isinstance(node, list):
        return [plain(item) for item in node if not is_text(item)]
    if isinstance(node, ast.JoinedStr):  # some versions put empty texts into it
        return ["JoinedStr", *(plain(part) for part in node.values if getattr(part, "value", None) != "")]
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, getattr(node, name, None)) for name in node._fields if name not in WITHOUT_MEANING)
    return [type(node).__name__, *((name, plain(value)) for name, value in fields if value is not None and value != [])]


def is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def imports(module: str) -> tuple[str, ...]:
    """Modules of this package that ``module`` imports anywhere in its code, and the packages around them."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        names: Iterator[str] = iter(())
        if isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = iter([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
        found.update(name for name in names if name.split(".")[0] == "spikesink" and source_file(name))
    packages = {name.rsplit(".", depth)[0] for name in found | {module} for depth in range(1, name.count(".") + 1)}
    return tuple(sorted((found | packages) - {module}))
