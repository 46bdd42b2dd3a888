"""docs/extending.md, followed to the letter in a copy of the project, up to a trained, measured and drawn study."""

import csv
import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

import polars
import pytest
from tiny_study import ROOT, copy_folder, copy_project, job_server, run_snakemake

PAGE = (ROOT / "docs/extending.md").read_text()
PROMISED = {"a norm": 3, "a softmax": 3, "a measure with a column and a figure": 4, "a corpus": 3, "an ablation": 1} | {
    "a claim": 1
}
"""The most files that a task may touch."""


class Block(NamedTuple):
    """A block of code on the page: a new file, or what changes in one."""

    path: str
    is_change: bool
    text: str


def blocks_by_task() -> dict[str, list[Block]]:
    """The blocks that name a file in their first line, by what is added."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        heading, _, body = section.partition("\n")
        task = heading.removeprefix("How do I add ").rstrip("?")
        blocks = re.findall(r"^```(\w+)\n# (\S+)\n(.*?)^```$", body, re.M | re.S)
        found[task] = [Block(path, language == "diff", text) for language, path, text in blocks]
    return {task: blocks for task, blocks in found.items() if blocks}


TASKS = blocks_by_task()


def follow(blocks: list[Block], project: Path) -> None:
    """Write the new files and change the others, as the page says."""
    for block in blocks:
        path = project / block.path
        if block.is_change:
            path.write_text(changed(path.read_text(), block))
        else:
            assert not path.exists(), f"docs/extending.md shows {block.path} as a new file, which is there"
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)


def changed(text: str, block: Block) -> str:
    """The text of a file after a change. Its lines marked - and its unmarked lines must stand there together, once."""
    for part in block.text.split("@@\n"):
        lines = part.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        assert text.count(before) == 1, f"{block.path} has these lines {text.count(before)} times, not once:\n{before}"
        text = text.replace(before, after)
    return text


def copy(folder: Path, without: tuple[str, str] | None = None) -> Path:
    """A copy of the project in which the page was followed, but for one file of one task."""
    project = copy_project(folder)
    copy_folder("tests", project)
    for task, blocks in TASKS.items():
        follow([block for block in blocks if (task, block.path) != without], project)
    return project


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A copy of the project in which the page was followed."""
    return copy(tmp_path_factory.mktemp("extended"))


def run(project: Path, *words: str) -> str:
    """What a command in the project says; it must succeed."""
    done = started(project, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def started(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(project / "src"), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    _, python = job_server()
    return subprocess.run([python, *words], cwd=project, capture_output=True, text=True, timeout=300, env=environment)


def test_no_task_touches_more_files_than_promised():
    """Whoever must touch more will forget one."""
    touched = {task: len({block.path for block in blocks}) for task, blocks in TASKS.items() if task in PROMISED}
    assert touched.keys() == PROMISED.keys()
    assert {task: number for task, number in touched.items() if number > PROMISED[task]} == {}


def test_what_is_new_is_trained_measured_and_drawn(extended):
    """The page's own study, as far as the toys show in it."""
    results = extended / "results/extended"
    table, figure = results / "tables/mechanism.csv", results / "figures/mechanism/compared_block_influence.png"
    wanted = [str(path.relative_to(extended)) for path in (table, figure)]
    done = run_snakemake(extended, "--cores", "2", "--configfile", "extended.yaml", "--", *wanted)
    assert done.returncode == 0, done.stdout + done.stderr

    with open(table) as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"baseline/seed0", "layer_norm_softplus/seed0"}
    assert all(0 < float(row["block_influence_first"]) < 2 for row in rows.values())

    assert figure.read_bytes().startswith(b"\x89PNG")
    with open(figure.with_suffix(".csv")) as file:
        drawn = {(row["variant"], row["position"]) for row in csv.DictReader(file)}
    assert drawn == set(product(("baseline", "layer_norm_softplus"), ("first", "later")))

    norms = polars.read_parquet(results / "runs/layer_norm_softplus/seed0/measures/normalisation.parquet")
    assert set(norms.filter(polars.col("kind") != "head")["norm"]) == {"layer"}, "its name, never 'none'"
    description = json.loads((results / "data/corpus.json").read_text())
    packed = json.loads((results / "data/tokens/tokens.json").read_text())["splits"].values()
    assert (description["kind"], sum(split["documents"] for split in packed)) == ("sums", 200)


def test_the_extended_project_passes_the_tests_that_the_page_names(extended):
    """Every table knows every kind, and the measure's known answer is right."""
    tests = ("test_kinds", "test_measure_block_influence")
    run(extended, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/unit/{name}.py" for name in tests))


def test_the_pages_claim_is_one_of_the_claims(extended):
    """It is about the new measure's column and about the new variant."""
    read = "from spikesink.claims.reading import read_claims; from pathlib import Path"
    said = run(extended, "-c", f"{read}; print(*(claim.name for claim in read_claims([Path('workflow/claims')])))")
    assert "block_influence_stays" in said.split()


USE = """
from spikesink.study.resolve import load
study = load(["extended.yaml"])
model = study.runs[-1].model

from spikesink.study.sizes import parameters
from spikesink.study.memory import memory_bytes
parameters(model, 512, 64)
memory_bytes(model, 512, study.runs[-1].training, 1)

from spikesink.data.corpora import documents
documents(study.config.corpus)

from spikesink.model.decoder import Decoder
Decoder(model, vocabulary=512, positions=64)
"""
"""Resolve, count, build and read: what every study does with its kinds."""


SETTINGS, FACTS = "src/spikesink/study/settings/model.py", "src/spikesink/study/kinds.py"
LEFT_OUT = [
    ("a norm", SETTINGS, """norm.kind = "layer": use one of 'rms',"""),
    ("a norm", FACTS, "norm.kind = 'layer' is unknown in spikesink.study.kinds"),
    ("a norm", "src/spikesink/model/norms.py", "norm = 'layer' is unknown in spikesink.model.norms"),
    ("a softmax", FACTS, "attention.softmax = 'softplus' is unknown in spikesink.study.kinds"),
    ("a softmax", "src/spikesink/model/softmax.py", "attention.softmax = 'softplus' forms its map"),
    ("a corpus", "src/spikesink/data/kinds/__init__.py", "corpus.kind = 'sums' is unknown in spikesink.data.kinds"),
]


@pytest.mark.parametrize(("task", "path", "message"), LEFT_OUT)
def test_a_kind_that_one_file_lacks_is_refused_by_name(task, path, message, tmp_path):
    """Taken for another kind, or for none, it would give numbers of another model."""
    project = copy(tmp_path, without=(task, path))
    (project / "use_of_kinds.py").write_text(USE)
    done = started(project, "-m", "use_of_kinds")
    assert done.returncode != 0
    assert message in done.stderr
