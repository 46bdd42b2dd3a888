"""Where runs are from: the table and its page."""

import json
import sys

import polars as pl
import pytest

from spikesink.runs.why import changes
from spikesink.study.errors import InputError
from spikesink.tables import provenance_page as entry
from spikesink.tables.collecting.provenance import provenance
from spikesink.tables.contracts import PROVENANCE
from spikesink.tables.render.provenance_page import provenance_page

SETTINGS = {"tokenizer": {"vocabulary": 512}, "model": {"layers": 3, "gate": {"kind": "none"}}, "training": {"lr": 0.1}}


@pytest.fixture
def folders(tmp_path):
    """A baseline, a gated run made from a changed checkout, and a diverged run on a GPU."""
    planted = {
        "baseline": ({}, {}),
        "gated": (
            {"model": {"layers": 3, "gate": {"kind": "<conditional>"}}},
            {"git": {"commit": "b" * 40, "dirty": True}},
        ),
        "hot": ({"training": {"lr": 9.0}}, {"status": "diverged", "hardware": {"device": "cuda", "name": "H100"}}),
    }
    for variant, (settings, facts) in planted.items():
        folder = tmp_path / variant
        folder.mkdir()
        identity = {
            "study": "s",
            "scale": "t",
            "ablation": "a",
            "variant": variant,
            "seed": 0,
            "code": "0123456789abcdef",
        }
        (folder / "run.json").write_text(json.dumps(SETTINGS | identity | settings))
        manifest = {
            "status": "finished",
            "digest": f"digest of {variant}",
            "git": {"commit": "a" * 40, "dirty": False},
            "versions": {"python": "3.12.1", "torch": "2.13.0"},
            "hardware": {"device": "cpu", "name": "x86_64", "threads": 1},
            "wall_seconds": 90.0,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest | facts))
    return [tmp_path / variant for variant in planted]


def test_a_row_has_all_that_decides_a_run(folders):
    found = provenance(folders)
    assert found.schema == pl.Schema(PROVENANCE)
    gated = found.filter(variant="gated").to_dicts()[0]
    assert (gated["commit"], gated["dirty"], gated["code"]) == ("b" * 40, True, "0123456789abcdef")
    assert json.loads(gated["settings"])["model"]["gate"] == {"kind": "<conditional>"}
    assert (gated["torch"], gated["machine"], gated["lightning"]) == ("2.13.0", "x86_64", None)


def test_the_page_says_what_runs_share_and_what_sets_them_apart(folders):
    text = provenance_page(provenance(folders), "s")
    assert "3 runs, 2 finished, 1 diverged; 0.1 hours" in text
    assert f"{'a' * 40} (2 runs)<br>{'b' * 40} with changes (1 runs)" in text
    assert "model.gate.kind = &quot;&lt;conditional&gt;&quot;" in text
    assert "training.lr = 9.0" in text


def test_differences_go_into_mappings():
    found = changes({"a": {"b": 1, "c": [3]}, "d": None}, {"a": {"b": 1, "c": [2]}, "d": None})
    assert list(found) == [("a.c", [3], [2])]


def test_a_run_without_manifest_is_one_line(folders):
    (folders[1] / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"gated/manifest.json: cannot be read .*: train this run again"):
        provenance(folders)


def test_a_commit_that_git_does_not_tell_has_gits_reason(folders):
    path = folders[0] / "manifest.json"
    told = {"commit": None, "dirty": None, "reason": "git: detected dubious ownership in repository at '/x'"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"git": told}))
    page = provenance_page(provenance(folders), "s")
    assert "unknown: git: detected dubious ownership in repository at &#x27;/x&#x27;" in page


def test_a_provenance_of_an_earlier_study_has_no_reason(folders, tmp_path, monkeypatch):
    earlier = tmp_path / "provenance.csv"
    provenance(folders).drop("reason").write_csv(earlier)
    page = tmp_path / "provenance.html"
    words = ["provenance_page", "--provenance", str(earlier), "--study", "s", "--output", str(page)]
    monkeypatch.setattr(sys, "argv", words)
    assert entry.main() == 0 and "<td>gated</td>" in page.read_text()
