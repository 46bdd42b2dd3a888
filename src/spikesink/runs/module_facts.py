"""What planning and digests need to know of a module of this package, read from its source without importing it.

Reading a module's syntax tree takes milliseconds, and there are hundreds of modules. So facts are kept in the folder
of Snakemake's own records, where there is one. A module's kept facts count as long as its source has the same SHA-256.
"""

import ast
import hashlib
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from spikesink.runs import module_source
from spikesink.runs.module_source import Import, source_file, source_files
from spikesink.runs.sums import intact, noted
from spikesink.study.errors import InputError

AFFECTS_RESULTS = False

SNAKEMAKE = Path(".snakemake")
KEPT = SNAKEMAKE / "cache/modules.json"


class Facts(NamedTuple):
    """What is known of one module."""

    source: str
    """The SHA-256 of its file."""
    constants: dict[str, str]
    """The literals at its top by name, each as source text."""
    imports: list[Import]
    """What it imports from this package."""
    meaning: str
    """The digest of its meaning; empty for a module without any."""


@cache
def facts(module: str) -> Facts:
    """What is known of a module. Raises FileNotFoundError for one that this package does not have, and InputError
    for one that is no Python."""
    path = source_file(module)
    if path is None:
        raise FileNotFoundError(f"{module} is not a module of this package")
    try:
        return kept_facts().get(module) or read_facts(path.read_bytes())
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: not valid Python ({error.msg}): correct that line") from error


@cache
def constant(module: str, name: str) -> object:
    """The value of a literal at the top of a module. Raises KeyError when there is none."""
    text = facts(module).constants.get(name)
    if text is None:
        raise KeyError(f"{module} has no constant {name}")
    return ast.literal_eval(text)


def literal(module: str, name: str) -> object:
    """The value of a literal at the top of a module, None where there is none."""
    return constant(module, name) if name in facts(module).constants else None


def imports(module: str) -> list[Import]:
    """What a module imports from this package, anywhere in its code."""
    return facts(module).imports


@cache
def kept_facts() -> dict[str, Facts]:
    """The facts of every module whose syntax is right, by its name; none where they are not kept."""
    if not SNAKEMAKE.is_dir():
        return {}
    kept, found = read_kept(), {}
    for module, path in source_files().items():
        with suppress(SyntaxError, ValueError):  # whoever needs the module gets the error
            source = path.read_bytes()
            known = kept.get(module)
            found[module] = known if known and known.source == sum_of(source) else read_facts(source)
    if found != kept:
        with suppress(OSError, InputError), noted(KEPT) as part:  # where it cannot be kept it is read again
            part.write_text(json.dumps({"of": rests_on(), "modules": found}), encoding="utf-8")
    return found


def read_kept() -> dict[str, Facts]:
    """The facts that an earlier process kept; none where they are missing, damaged or of another version."""
    with suppress(OSError, InputError, ValueError, TypeError, KeyError, AttributeError):
        kept = json.loads(intact(KEPT, "").read_bytes())
        if kept["of"] == rests_on():
            return {
                module: Facts(source, constants, [Import(*each) for each in imported], meaning)
                for module, (source, constants, imported, meaning) in kept["modules"].items()
            }
    return {}


def rests_on() -> str:
    """The digest of what all facts depend on beside a module's own source: which modules there are, and this code."""
    code = [Path(path).read_text(encoding="utf-8") for path in (__file__, module_source.__file__)]
    return digest_of(repr([sorted(source_files()), code]))


def read_facts(source: bytes) -> Facts:
    """The facts of a module with this source."""
    tree = ast.parse(source.decode("utf-8"))
    meaning = module_source.meaning(tree)
    return Facts(
        sum_of(source),
        module_source.constants(tree),
        module_source.imports(tree),
        digest_of(meaning) if meaning else "",
    )


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest_of(text: str) -> str:
    return sum_of(text.encode())[:16]
