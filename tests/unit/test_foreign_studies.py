"""A foreign study may hold anything: it is used, or refused in one line, and what it says is text on every page."""

import json
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from fake_study import fake_study
from odd_json import odd
from tiny_project import study_in

from spikesink.runs.folder import RunFolder
from spikesink.runs.status import standings, table
from spikesink.runs.why import differences
from spikesink.study.errors import InputError
from spikesink.tables.collecting.parts import collect
from spikesink.tables.collecting.provenance import provenance
from spikesink.tables.contracts import PROVENANCE, RUNS, TEXT
from spikesink.tables.inputs import NAMES, read_table
from spikesink.tables.render.latex import latex
from spikesink.tables.render.layout import columns
from spikesink.tables.render.provenance_page import provenance_page
from spikesink.tables.render.runs_page import runs_page
from spikesink.tables.render.variants_page import write_variants
from spikesink.tables.statistics.comparison import compare

PLANTED = "</script><b onclick=x>$(touch hit)|*b*[x](javascript:x)\\input{hit}"
RUN = {"sources": [{"file": "a.txt", "sha256": "b" * 64}], "modules": {"spikesink.model.norms": "c" * 16}}
RUN |= {"steps": 4, "code": "d" * 16, "git": {"commit": "e" * 40, "dirty": False}, "versions": {"torch": "2"}}
RUN |= {"hardware": {"device": "cpu", "name": "x", "threads": 1}, "tokens_sha256": "f" * 64}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A run of a study whose files no sum protects: a foreign study brings sums that agree with what it brings."""
    monkeypatch.chdir(tmp_path)
    study = study_in(tmp_path, study="tiny")
    fake_study(Path("results/tiny"), {"v": {"v_scale": {}}}, seeds=(0,))
    run = next(run for run in study.runs if (run.variant, run.seed) == ("v_scale", 0))
    folder = RunFolder(run.folder)
    settings = run.resolved() | {"ablation": "v"}
    folder.run.write_text(json.dumps(settings))
    folder.manifest.write_text(json.dumps(json.loads(folder.manifest.read_text()) | RUN))
    progress = Path("results/tiny/checkpoints/x/progress.json")
    progress.parent.mkdir(parents=True)
    shown = {"updated": "2026-01-01T00:00:00+00:00", "run": "baseline/seed0", "step": 1}
    progress.write_text(json.dumps(shown | {"tokens_per_second": 1.0, "seconds_left": 2.0}))
    tokens = Path("results/tiny/data/tokens/tokens.json")
    tokens.parent.mkdir(parents=True)
    tokens.write_text(json.dumps({"splits": {"train": {"sha256": "a" * 64}}}))
    return study, run, folder, {"run": folder.run, "manifest": folder.manifest, "progress": progress, "tokens": tokens}


@pytest.mark.parametrize("name", ["run", "manifest", "progress", "tokens"])
def test_an_odd_record_is_used_or_refused_in_one_line(name, project):
    study, run, folder, paths = project
    readers = [
        lambda: table(standings(study)),
        lambda: differences(run, study.config),
        lambda: provenance_page(provenance([folder.path]), "tiny"),
        lambda: collect([folder.path], "v", {}),
    ]
    for read in readers:
        read()  # as it is, everything is readable
    document, refused = json.loads(paths[name].read_text()), 0
    for where, content in odd(document):
        if len(where) > 3 and where[0] in ("model", "training") and where[1] not in ("attention", "loss_window"):
            continue  # hundreds of settings of one kind
        paths[name].write_text(json.dumps(content))
        for read in readers[:2] if name in ("progress", "tokens") else readers:
            try:
                shown = read()
            except InputError as error:
                refused += 1
                assert str(error).isprintable() and "results/tiny/" in str(error), where
            else:
                assert read not in readers[:2] or "\x1b" not in str(shown), "a terminal would obey it"
    assert refused or name == "progress"


def test_a_measure_without_a_column_is_used_or_refused_by_name(project):
    """What an older version measured: its other numbers stay, or the line names the file and the column."""
    _, _, folder, _ = project
    whole, used = collect([folder.path], "v", {})["runs"], set()
    for path in sorted(folder.measures.glob("*.parquet")):
        table = pl.read_parquet(path)
        for column in table.columns:
            table.drop(column).write_parquet(path)
            try:
                found = collect([folder.path], "v", {})["runs"]
            except InputError as error:
                assert f"{path}: has no column {column!r}: measure" in str(error)
            else:
                kept = [name for name in whole.columns if found[name][0] is not None]
                assert found.select(kept).equals(whole.select(kept)), (path, column)
                used.add((path.stem, column))
        table.write_parquet(path)
    assert {("activations", "maximum_channel"), ("induction", "copy")} <= used


@pytest.fixture
def runs() -> pl.DataFrame:
    """One run of a made-up study."""
    row = {name: "x" if kind == TEXT else 1 for name, kind in RUNS.items()}
    row |= {"status": "finished", "stands_for": None}
    return pl.DataFrame([row | {"variant": name, "ablation": name} for name in ("baseline", "a")], schema=RUNS)


@pytest.mark.parametrize("column", [name for name, kind in RUNS.items() if kind == TEXT])
def test_names_and_texts_of_a_table_follow_our_rules(column, runs, tmp_path):
    path = tmp_path / "runs.parquet"
    for text in ("../x", "a/b", "-x", "$(touch hit)", "a\nb", "\x1b[31m", ""):
        runs.with_columns(pl.lit(text).alias(column)).write_parquet(path)
        if column in NAMES or not text.isprintable():
            with pytest.raises(InputError) as refused:
                read_table(path, RUNS, "collect it again")
            assert str(refused.value).isprintable() and f"column {column!r} holds" in str(refused.value)
        else:
            assert read_table(path, RUNS, "collect it again")[column].to_list() == [text] * 2


class Attributes(HTMLParser):
    """The names of all attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.found |= {name for name, _ in attributes}


def test_texts_of_a_table_are_text_on_every_page(runs, tmp_path):
    free = [name for name, kind in RUNS.items() if kind == TEXT and name not in (*NAMES, "status", "stands_for")]
    planted = runs.with_columns(pl.lit(PLANTED).alias(name) for name in free)
    write_variants(planted, tmp_path / "variants")
    page, text = ((tmp_path / f"variants.{kind}").read_text() for kind in ("html", "md"))
    tex = latex({PLANTED: (columns(compare(planted)), [PLANTED])}, "x")
    for html in (page, runs_page(planted)):
        assert "onclick" not in Attributes(html).found and "javascript" in html
    assert PLANTED not in text + tex and "\\input" not in tex and "touch hit" in text


def test_texts_of_the_provenance_are_text_on_its_page():
    row = {name: PLANTED if kind == TEXT else None for name, kind in PROVENANCE.items()}
    row |= {"seed": 0, "variant": "baseline", "settings": json.dumps({PLANTED: PLANTED})}
    page = provenance_page(pl.DataFrame([row], schema=PROVENANCE), PLANTED)
    assert "onclick" not in Attributes(page).found and "touch hit" in page
    with pytest.raises(InputError, match="settings of baseline: not valid JSON"):
        provenance_page(pl.DataFrame([row | {"settings": "{"}], schema=PROVENANCE), "s")
