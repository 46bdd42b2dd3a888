"""The code of the decoder as files beside an exported model: the project's own modules, with imports of each other.

transformers imports such files from one flat folder, so every module becomes a file and every import a relative one.
"""

import ast
from pathlib import Path

from spikesink.runs.module_facts import imports
from spikesink.runs.module_source import is_own_import, source_file

MODELLING = "spikesink.pretrained.modeling_spikesink"


def own_code() -> dict[str, str]:
    """The content of every file, by its name; that of MODELLING has the classes that transformers loads."""
    found: dict[str, str] = {}
    waiting, seen = [MODELLING], {MODELLING}
    while waiting:
        module = waiting.pop()
        text, needed = with_relative_imports(module)
        if file_name(module) in found:
            raise ValueError(f"two modules of the decoder are called {file_name(module)}: rename one")
        found[file_name(module)] = text
        waiting += sorted(needed - seen)
        seen |= needed
    return found


def file_name(module: str) -> str:
    return f"{module.rsplit('.', 1)[-1]}.py"


def with_relative_imports(module: str) -> tuple[str, set[str]]:
    """The source of a module as one file among the others, and the modules that it imports from this package."""
    text = Path(source_file(module)).read_text(encoding="utf-8")
    lines, needed = text.splitlines(), set()
    for node in reversed([node for node in ast.parse(text).body if is_own_import(node)]):
        statements = []
        for alias in node.names:
            home = home_of(node.module, alias.name)
            needed.add(home)
            statements.append(f"from .{home.rsplit('.', 1)[-1]} import {ast.unparse(alias)}")
        lines[node.lineno - 1 : node.end_lineno] = statements
    return "\n".join(lines) + "\n", needed


def home_of(module: str, name: str) -> str:
    """The module that defines what ``module`` may only pass on, as a package does."""
    for each in imports(module):
        if each.known_as == name:
            return home_of(each.module, each.name)
    return module
