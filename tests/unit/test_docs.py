"""README and docs/ say what is so: links, paths, commands and YAML in them are checked against the project."""

import importlib
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
import yaml
from mlflow_server import MANY_CONNECTIONS

from spikesink import cli
from spikesink.figures.catalogue import ABLATION_FIGURES, MECHANISM_FIGURES
from spikesink.study.resolve import load, read_config, resolve
from spikesink.study.settings import Measures
from spikesink.tables.contracts import RUNS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOP = ("workflow", "src", "docs", "tests", "profiles", "envs", "benchmarks", r"\.ci", "results/published")
A_FILE = re.compile(rf"(?:{'|'.join(TOP)})(?:/[\w.-]+)*/?")
"""Text in code font that names a file or folder of the repository."""
ELSEWHERE = {"git", "cd", "source", "rsync", "apptainer", "mlflow", "ruff", "snakefmt", "tar"}
"""Commands of other tools: a hub, a cluster or a login node is needed to run what they stand for."""
PACKED = "src/spikesink/workflow/elsewhere/start.py"
"""What a packed study calls run.py."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Generated parts


def test_generated_parts_are_what_their_files_say():
    """Whoever changes a published table, a setting or a figure's caption must run docs/generate.py."""
    check = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def generate(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("generate")


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("parts")


def test_a_stale_part_is_named_and_then_replaced(generate, parts, tmp_path, monkeypatch, capsys):
    (tmp_path / "docs").mkdir()
    page = tmp_path / "README.md"
    page.write_text("Before\n<!-- include: verdicts -->\n| old |\n<!-- end -->\nAfter\n")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "config_page", lambda: "")
    (tmp_path / "docs/config.md").write_text("")
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
    assert capsys.readouterr().err == "README.md is out of date: run `python docs/generate.py`\n"
    assert "| old |" in page.read_text()

    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    verdicts = parts.published.verdicts()
    assert verdicts.startswith("| claims | reproduced |")
    assert page.read_text() == f"Before\n<!-- include: verdicts -->\n{verdicts}\n<!-- end -->\nAfter\n"


def test_tables_keep_their_columns(parts):
    """A bar inside a cell would make a column of its own."""
    assert parts.table(("a", "b"), [("x | y", "z")], ["b"]) == "| a | b |\n| --- | ---: |\n| x \\| y | z |"
    assert parts.published.cells("| x \\| y | z |") == ["x \\| y", "z"]


def test_the_published_page_of_claims_is_of_its_csv(parts):
    """nano.md includes sections of claims.md; they must be about the findings in claims.csv beside it."""
    findings = parts.published.rows_of("claims.csv")
    primary = [one for one in findings if one["tier"] == "primary"]
    assert len(primary) == len(parts.published.primary_claims().splitlines()) - 2
    counted = sum(parts.published.counted(one) for one in findings)
    lines = parts.published.verdicts().splitlines()
    assert any(line.startswith("| all |") and f"| {counted} |" in line for line in lines)


def test_every_column_of_runs_has_a_meaning():
    """Its name, or for a quantised model's tasks its end, stands at the left of a table."""
    section = (ROOT / "docs/results.md").read_text().partition("## What does each column of runs.csv mean?")[2]
    heads = [line.split("|")[1] for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    named = {name for head in heads for name in re.findall(r"`([^`]+)`", head)}
    ends = tuple(name.removeprefix("…") for name in named if name.startswith("…"))
    assert not [name for name in RUNS if name not in named and not name.endswith(ends)]


def test_captions_name_the_settings_that_their_numbers_depend_on():
    """A caption that says "three channels" or "every token id" is false of a study with other settings."""
    named = {name: set(re.findall(r"measures\.(\w+)", figure.caption)) for name, figure in MECHANISM_FIGURES.items()}
    assert named["vocabulary_probe"] == {"vocabulary_tokens"} and named["normalisation"] == {"spike_channels"}
    assert not set().union(*named.values()) - set(Measures.__dataclass_fields__)


def test_the_report_names_every_figure_of_an_ablation():
    text = (ROOT / "workflow/report/workflow.rst").read_text()
    assert not [name for name in ABLATION_FIGURES if f"``{name}``" not in text]


@every_page
def test_every_row_of_a_table_has_as_many_cells_as_its_head(page):
    rows = []
    for line in [*prose(page.read_text()).splitlines(), ""]:
        if line.startswith("|"):
            rows.append(len(re.split(r"(?<!\\)\|", line)))
        elif rows:
            assert len(set(rows)) == 1, f"a table of {page.name} has rows of {sorted(set(rows))} cells"
            rows = []


# Links and paths


def test_every_page_is_in_the_index():
    index = (ROOT / "docs/README.md").read_text()
    missing = [page.name for page in PAGES[1:] if page.name != "README.md" and f"({page.name})" not in index]
    assert not missing, f"name them in docs/README.md: {missing}"


@every_page
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name} links to {target}: no such heading"


@every_page
def test_every_path_in_code_font_exists(page):
    named = re.findall(r"`([^`\n]+)`", prose(page.read_text()))
    for text in named:
        if A_FILE.fullmatch(text):
            assert (ROOT / text).exists(), f"{page.name} names {text}"
        if re.fullmatch(r"spikesink(\.[a-z_]+)+", text):
            path = ROOT / "src" / text.replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").exists(), f"{page.name} names {text}"


# YAML


@cache
def overlays() -> dict[str, str]:
    """The files of the reader's own that pages show, by the name in the block's first line."""
    found = {}
    for page in PAGES:
        for block in blocks(page, "yaml"):
            if (name := first_comment(block)) and "/" not in name and not (ROOT / name).exists():
                assert found.setdefault(name, block) == block, f"{name} stands twice, with different content"
    return found


def first_comment(block: str) -> str | None:
    """The file that a block of YAML says it is, as in ``# cluster.yaml``."""
    named = re.match(r"# (\S+\.yaml)\n", block)
    return named[1] if named else None


@every_page
def test_yaml_is_of_a_file_here_or_a_valid_overlay(page, tmp_path):
    """A block that names a file of the repository stands in it; every other one is a config that resolves.

    The files in extending.md are new ones, which a test of its own writes and uses.
    """
    for number, block in enumerate(blocks(page, "yaml")):
        name = first_comment(block)
        if name and (ROOT / name).exists():
            missing = [line for line in block.splitlines()[1:] if line not in (ROOT / name).read_text()]
            assert not missing, f"{page.name} shows what is not in {name}: {missing}"
            continue
        if page.name == "extending.md":
            continue
        overlay = tmp_path / f"{number}.yaml"
        overlay.write_text(block)
        assert isinstance(yaml.safe_load(block), dict)
        load([overlay], base=ROOT / "config.yaml")


# Commands


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command in a page's shell blocks."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


@every_page
def test_every_command_is_one_that_exists(page, tmp_path, monkeypatch):
    for name, block in overlays().items():
        (tmp_path / name).write_text(block)
    for words in commands(page):
        if "extended.yaml" in words:
            continue  # a study of new kinds, which the test of its page runs
        assert checked(words, tmp_path, monkeypatch), f"{page.name}: {shlex.join(words)}"


def checked(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a command, its options and the files that it names exist. ``folder`` holds the overlays."""
    match words:
        case [command, *_] if command in ELSEWHERE:
            return True
        case ["export", *words]:
            return dict(word.split("=") for word in words) == MANY_CONNECTIONS
        case ["make", *words]:
            targets = [word for word in words if "=" not in word]
            return all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M) for target in targets)
        case ["snakemake", *words]:
            return snakemake(words, folder)
        case ["spikesink", *words]:
            return spikesink(words, folder, monkeypatch)
        case ["python", "-m", module, *words] if module.startswith("spikesink."):
            return module_takes(module, words)
        case ["python3", "run.py", *words]:
            return options_in(words) <= set(re.findall(r"--[\w-]+", help_of(PACKED)))
        case ["python", script, *words]:
            return (ROOT / script).exists() and options_in(words) <= set(re.findall(r"--[\w-]+", help_of(script)))
        case ["pytest", *words]:
            return all((ROOT / word).exists() for word in words if not word.startswith("-"))
    return False


def snakemake(words: list[str], folder: Path) -> bool:
    """Parse the words with Snakemake's own parser; its targets must be rules, ablations or options' values."""
    from snakemake.cli import get_argument_parser, parse_config

    options = get_argument_parser().parse_args(words)
    overlays = [here(path, folder) for path in options.configfile or ()]
    study = resolve(read_config(overlays, ROOT / "config.yaml", parse_config(options.config)), ROOT / "workflow")
    known = rules() | set(study.ablations) | {name for block in overlays_here() for name in block}
    return set(options.targets) <= known and all((ROOT / profile).is_dir() for profile in options.profile or ())


def overlays_here() -> list[dict]:
    """The ablations that pages add under ``variants:``, which are targets too."""
    found = [yaml.safe_load(block) for page in PAGES for block in blocks(page, "yaml")]
    return [block["variants"] for block in found if isinstance(block, dict) and isinstance(block.get("variants"), dict)]


@cache
def rules() -> set[str]:
    """The names of the workflow's rules."""
    command = [sys.executable, "-m", "snakemake", "--list-rules"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    return set(done.stdout.split())


def spikesink(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Parse the words with the command's own parser; a run that they name must be one of the study."""
    monkeypatch.setattr(sys, "argv", ["spikesink", *words])
    options = cli.arguments()
    study = load([here(path, folder) for path in options.configfile], base=ROOT / "config.yaml")
    if run := getattr(options, "run", None):
        return bool(cli.find_runs(study, run))
    return True


def here(path: Path | str, folder: Path) -> Path:
    """An overlay of the repository, or one that a page shows."""
    return ROOT / path if (ROOT / path).exists() else folder / path


def module_takes(module: str, words: list[str]) -> bool:
    """Whether a module's command line has the options, after the step that the words begin with, if any."""
    step = [word for word in words[:1] if not word.startswith("-") and "/" not in word]
    return options_in(words) <= set(re.findall(r"--[\w-]+", help_of("-m", module, *step)))


@cache
def help_of(*command: str) -> str:
    """What a script or a module says of itself; a module in this process, which has imported what takes it long."""
    if command[0] != "-m":
        words = [sys.executable, *command, "--help"]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as said, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # runpy's, where the module is imported already
        patch.setattr(sys, "argv", [*command[1:], "--help"])
        try:
            runpy.run_module(command[1], run_name="__main__")
        except SystemExit as end:
            assert not end.code, shlex.join(command)
    return said.getvalue()


def options_in(words: list[str]) -> set[str]:
    return {word.split("=")[0] for word in words if word.startswith("--")}


def test_a_renamed_command_would_be_noticed(tmp_path, monkeypatch, capsys):
    """The checks above are worth something: they refuse what does not exist."""
    assert not checked(["make", "everything"], tmp_path, monkeypatch)
    assert not checked(["snakemake", "no_such_rule"], tmp_path, monkeypatch)
    assert not checked(["python", "-m", "spikesink.pretrained", "check", "--weights"], tmp_path, monkeypatch)
    assert not checked(["python", "docs/no_such_script.py"], tmp_path, monkeypatch)
    assert not checked(["spikesnk", "runs"], tmp_path, monkeypatch)
    with pytest.raises(SystemExit):
        checked(["spikesink", "list"], tmp_path, monkeypatch)
    with pytest.raises(SystemExit):
        checked(["snakemake", "--no-such-option"], tmp_path, monkeypatch)
