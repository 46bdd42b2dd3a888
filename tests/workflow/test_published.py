"""A finished study, published, is drawn anew on a fresh checkout, without its runs and without all that makes them."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import polars as pl
import pytest
import yaml
from tiny_study import OPTIONS, run_snakemake

from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.workflow.published import damaged

ROOT = Path(__file__).parents[2]
PLACE = "results/published/tiny"
DRAWN = ("tables/*.*", "figures/**/*.*", "claims.*", "provenance.*")


@pytest.fixture(scope="module")
def published(finished) -> Path:
    """The published folder beside the finished study."""
    result = run_snakemake(finished, "publish", *OPTIONS)
    assert result.returncode == 0, result.stdout + result.stderr
    return finished / PLACE


def what_only_training_needs() -> list[str]:
    """The modules of the packages that `make published` does not install."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = [re.match(r"[\w-]+", package)[0].replace("-", "_") for package in extras["train"]]
    assert "torch" in names
    return [{"scikit_learn": "sklearn"}.get(name, name) for name in names]


@pytest.fixture(scope="module")
def clone(published, checkout, tmp_path_factory) -> Path:
    """A checkout that has nothing but what was published, after what `make published` runs."""
    project = shutil.copytree(checkout, tmp_path_factory.mktemp("published") / "project")
    (project / "tiny.yaml").unlink()
    shutil.copytree(published, project / PLACE)
    # The jobs import what lies in src/ first.
    for name in what_only_training_needs():
        (project / f"src/{name}.py").write_text(f"raise ImportError('{name} is not to be imported')\n")
    for arguments in (["published"], ["published_tiny", "--report", f"{PLACE}/report.html"]):
        result = run_snakemake(project, *arguments, "--cores", "2")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "train " not in result.stdout + result.stderr
    return project


def files(folder: Path) -> dict[str, bytes]:
    found = (path for pattern in DRAWN for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_everything_that_is_drawn_is_the_same_to_the_byte(finished, clone):
    original, again = files(finished / "results/tiny"), files(clone / PLACE)
    assert len(original) > 60
    assert sorted(again) == sorted(original)
    assert [name for name in original if again[name] != original[name]] == []


def test_the_report_is_made_and_speaks_of_the_published_study(clone):
    report = (clone / PLACE / "report.html").read_text()
    assert f"{PLACE}/figures/overview.png" in report
    assert not (clone / "results/nano").exists()


def test_the_manifest_says_of_what_and_with_what_it_was_made(published):
    manifest = json.loads((published / "manifest.json").read_text())
    assert manifest["figures"] == list(MECHANISM_FIGURES)
    assert {"lifecycle", "gradients", "streaming"} < set(manifest["questions"])
    study = yaml.safe_load((published / "study.yaml").read_text())
    assert study["study"] == "tiny"
    assert manifest["versions"]["polars"] == pl.__version__
    assert len(manifest["code"]["training"]) == 16
    assert damaged(published) == []
    assert not list(published.rglob("*.safetensors"))


def test_a_number_of_a_table_leads_to_its_run_and_code(published, finished):
    runs = pl.read_parquet(published / "tables/parts/gating/runs.parquet").filter(variant="conditional_head")
    origin = pl.read_csv(published / "provenance.csv").filter(variant="conditional_head", seed=runs["seed"][0])
    assert origin["digest"].to_list() == runs["digest"].to_list()
    assert json.loads(origin["settings"][0])["model"]["gate"] == {"at": "output", "kind": "conditional", "per": "head"}
    manifest = json.loads((finished / "results/tiny/runs/conditional_head/seed0/manifest.json").read_text())
    assert origin["code"][0] == manifest["code"]


def test_a_question_and_a_figure_that_come_later_leave_it_drawable(clone, tmp_path):
    """What was published has no answers to a later question: only the figures that its manifest names are drawn."""
    project = shutil.copytree(clone, tmp_path / "project")
    rooms = project / "src/spikesink"
    for folder in ("measures/questions", "figures/mechanism"):
        text = (rooms / folder / "valve_strength.py").read_text()
        (rooms / folder / "later.py").write_text(
            text.replace('QUESTIONS = ("valve_strength",)', 'QUESTIONS = ("later",)')
        )
    drawn = sorted((project / PLACE / "figures/mechanism").glob("[!.]*"))
    gone = [path for path in drawn if path.stem == "compared_valve_strength"]
    assert len(gone) == 3
    for path in gone:
        path.unlink()
    result = run_snakemake(project, "published", "--cores", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted((project / PLACE / "figures/mechanism").glob("[!.]*")) == drawn
    assert "figure_later" in run_snakemake(project, "--list").stdout, "a study that runs here has the new figure"


def test_what_has_changed_since_is_named(published, tmp_path):
    copy = shutil.copytree(published, tmp_path / "copy")
    (copy / "provenance.csv").write_text("")
    assert damaged(copy) == ["provenance.csv"]


def test_nothing_is_drawn_of_what_was_changed(clone):
    (clone / PLACE / "provenance.csv").write_text("")
    result = run_snakemake(clone, "published", "--cores", "2")
    assert result.returncode == 1
    assert f"{PLACE}/provenance.csv: not what {PLACE}/manifest.json says: bring it back from git" in result.stderr
