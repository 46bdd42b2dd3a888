"""The package's rooms: who may import whom, what may lie loose, how large a file and a list of parameters may be."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "spikesink"
ORDER = (
    "study",
    "runs",
    "tracking",
    "data",
    "model",
    "training",
    "pretrained",
    "measures",
    "quantities",  # above measures: an edit of a label or a meaning makes no measure stale
    "tables",
    "claims",
    "figures",
    "workflow",
    "cli",
)
"""From the lowest room to the highest; a room imports itself and lower ones."""
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 300
MOST_PARAMETERS = 7


def room_of(module: str) -> str:
    """The room of a dotted module name: "tables" of spikesink.tables.collect."""
    return module.split(".")[1] if "." in module else "spikesink"


def dotted(path: Path) -> str:
    return ".".join(("spikesink", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides which room it is from"
            found |= {node.module} if node.module != "spikesink" else {f"spikesink.{name.name}" for name in node.names}
    return {name for name in found if name.split(".")[0] == "spikesink"}


def test_the_top_of_the_package_holds_the_rooms_and_nothing_loose():
    # A folder without modules is what an older checkout left.
    there = {path.relative_to(PACKAGE).parts[0] for path in MODULES} - {"__init__.py"}
    assert there == {f"{room}.py" if (PACKAGE / f"{room}.py").exists() else room for room in ORDER}


def test_arrows_run_downwards():
    """Otherwise a change of a figure could change what training imports, and rooms could not be read one by one."""
    upwards = []
    for path in MODULES:
        own = room_of(dotted(path))
        rooms = {room_of(name) for name in imported(path)} & set(ORDER)
        upwards += [
            f"{dotted(path)} -> {room}" for room in rooms if own in ORDER and ORDER.index(room) > ORDER.index(own)
        ]
    assert not upwards


def test_nobody_imports_an_entry_point():
    """An entry point parses arguments and calls: what others need stands elsewhere."""
    taken = [f"{dotted(path)} -> {name}" for path in MODULES for name in imported(path) if is_entry_point(name)]
    assert not taken


def is_entry_point(module: str) -> bool:
    """Whether a module runs as a program: it is called __main__, or ends by calling its main."""
    path = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return path.name == "__main__.py" or (path.exists() and 'if __name__ == "__main__":' in path.read_text("utf-8"))


def test_a_file_can_be_read_in_one_sitting():
    lengths = {dotted(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FILE}


def test_a_function_takes_few_parameters():
    many = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = len([argument for argument in given if argument.arg not in ("self", "cls")])
                many += [f"{dotted(path)}.{node.name} takes {count}"] if count > MOST_PARAMETERS else []
    assert not many


def test_what_others_import_from_the_package_is_there():
    """Else a benchmark that nobody has started for a while, or a rule, fails at its first line."""
    absent = []
    for path in [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/*.py"), *ROOT.glob("workflow/rules/*.smk")]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".smk":  # no Python as a whole
            text = "\n".join(re.findall(r"^from spikesink.*", text, re.M))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "spikesink":
                known = names_in(node.module)
                absent += [f"{path.name}: {name.name}" for name in node.names if name.name not in known]
    assert not absent


def names_in(module: str) -> set[str]:
    """What can be imported from a module, or from a package: its own names, and a package's modules."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    found = {path.stem for path in place.glob("*")}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found
