"""What is drawn of a study, and the manifests of published ones."""

import json
from importlib import metadata
from pathlib import Path

import pytest
from fresh_python import loaded_by

from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.study.errors import InputError
from spikesink.study.resolve import resolve
from spikesink.study.strict_yaml import merge, read_yaml
from spikesink.study.whole import whole_config
from spikesink.workflow.drawn import of_study, shown_questions
from spikesink.workflow.published import copy_files, damaged, intact, read_published

ROOT = Path(__file__).parents[2]
CONFIG = read_yaml(ROOT / "config.yaml")


def study(**changes):
    return resolve(merge(CONFIG, changes), ROOT / "workflow")


def test_figures_compare_the_first_seed_and_the_table_has_every_one():
    found = of_study(study(seeds=[3, 1], mechanism={"compare": ["baseline", "v_scale"]}))
    assert found.compared == {
        "compared": {
            "baseline": "runs/baseline/seed3",
            "V-scale": "runs/v_scale/seed3",
        }
    }
    assert found.places == {"compared": [0, 1]}
    assert list(found.in_depth) == [
        "baseline/seed3",
        "baseline/seed1",
        "v_scale/seed3",
        "v_scale/seed1",
    ]


def test_all_runs_and_published_models_can_be_in_depth():
    model = {"source": "org/model", "revision": "abc", "bos": "none"}
    asked = study(mechanism={"variants": "all"}, pretrained={"Qwen": model})
    found = of_study(asked)
    assert set(found.in_depth) == {f"{run.variant}/seed{run.seed}" for run in asked.runs} | {"Qwen"}
    assert found.compared["Qwen"] == {"Qwen": "pretrained/Qwen"}
    assert found.places["Qwen"] == ["published"]


def test_variants_with_one_label_are_told_apart_by_their_names():
    variants = {"norm": {"dyt": {"label": "same"}}, "weight_decay": {"wd_0": {"label": "same"}}}
    named = {"ablations": [*variants], "variants": variants, "mechanism": {"compare": ["wd_0", "dyt"]}}
    found = of_study(study(**named))
    assert list(found.compared["compared"]) == ["dyt", "wd 0"]


FACTS = {"figures": ["streaming"], "questions": ["streaming"]}


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publishes files of a folder in results/published/nano of an empty working directory."""
    monkeypatch.chdir(tmp_path)
    source, target = tmp_path / "source", Path("results/published/nano")
    source.mkdir()
    for name in "ab":
        (source / name).write_text(name)

    def run(files: list[str], **facts: list) -> Path:
        copy_files(source, target, files, whole_config(study()), FACTS | facts)
        return target

    return run


def test_a_published_study_shows_what_its_manifest_names(publish):
    """A figure that is added to the project later needs measures that the folder does not have."""
    publish(["a"])
    found, live = read_published("published/nano"), of_study(study())
    assert (found.name, found.mechanism_figures, found.questions) == ("published/nano", ("streaming",), ("streaming",))
    assert (found.study, found.ablations, found.in_depth) == (live.study, live.ablations, live.in_depth)
    assert (found.compared, found.places) == (live.compared, live.places)
    assert len(live.mechanism_figures) == len(MECHANISM_FIGURES)


def test_the_manifest_does_not_repeat_the_config(publish):
    manifest = json.loads((publish(["a"]) / "manifest.json").read_text())
    assert set(manifest) == {"published", "git", "versions", "figures", "questions", "sha256"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"figures": ["../x"], "questions": [], "sha256": {}}'])
def test_a_damaged_manifest_is_one_line(publish, text):
    (publish(["a"]) / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"nano/manifest\.json: not the manifest of a published study .*: publish it"):
        read_published("published/nano")


@pytest.mark.parametrize("file", ["../../nano/runs.csv", "/etc/passwd", "tables/../../x", "..\\x"])
def test_a_manifest_names_no_file_outside_its_folder(publish, file):
    """Publishing again removes what the manifest names: a faulty one could otherwise remove any file."""
    path = publish(["a"]) / "manifest.json"
    path.write_text(json.dumps(FACTS | {"sha256": {file: "0"}}))
    for use in (lambda: publish(["a"]), lambda: intact("published/nano"), lambda: read_published("published/nano")):
        with pytest.raises(InputError, match=r"manifest\.json: names a file outside its folder"):
            use()


def test_a_figure_that_cannot_be_drawn_is_named(publish):
    publish(["a"], figures=["streaming", "later"])
    with pytest.raises(InputError, match=r"nano/manifest\.json: this checkout has no figure 'later'"):
        read_published("published/nano")


def test_a_figure_that_shows_more_than_was_measured_is_left_out(publish):
    """Else a figure that reads a further question would make every study unreadable that was published before."""
    publish(["a"], figures=["streaming", "interventions"])
    assert read_published("published/nano").mechanism_figures == ("streaming",)


def test_publishing_again_without_the_old_manifest_leaves_no_older_run(publish):
    """Snakemake deletes the manifest before it starts the job. Runs of another preset stayed beside the new ones."""
    target = publish(["a"])
    for path in ("runs/baseline/seed0/run.json", "tables/parts/ffn/runs.parquet", "tables/ffn.md", "figures/ffn.png"):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text("older")
    (target / "manifest.json").unlink()
    publish(["a"])
    assert sorted(path.name for path in target.iterdir()) == [".sums", "a", "manifest.json", "study.yaml"]


def test_publishing_again_takes_away_what_is_no_longer_there(publish):
    target = publish(["a", "b"])
    (target / "notes.md").write_text("somebody's")
    assert damaged(target) == []
    publish(["a"])
    left = sorted(path.name for path in target.iterdir() if path.is_file())
    assert left == ["a", "manifest.json", "notes.md", "study.yaml"]
    (target / "a").write_text("changed")
    assert damaged(target) == ["a"]
    with pytest.raises(InputError, match=r"nano/a: not what .*manifest\.json says: bring it back from git"):
        intact("published/nano")
    with pytest.raises(
        InputError, match=r"source/c: cannot be read \(No such file or directory\): run the study to its end"
    ):
        publish(["c"])


def test_a_study_that_cannot_be_published_leaves_the_earlier_publication(publish):
    target = publish(["a", "b"])
    with pytest.raises(InputError, match="source/c: cannot be read"):
        publish(["a", "c"])
    assert damaged(target) == []


def test_publishing_needs_none_of_the_packages_that_train(publish, monkeypatch):
    """A study that came home from another machine may be published where there is no torch."""

    def version(name: str) -> str:
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)
    versions = json.loads((publish(["a"]) / "manifest.json").read_text())["versions"]
    assert (versions["torch"], versions["polars"]) == ("not installed", "1.0")


def test_the_study_in_git_can_be_drawn(monkeypatch):
    """Its manifest names the answers to all questions that its figures and its table show."""
    monkeypatch.chdir(ROOT)
    found = read_published("published/nano")
    assert set(shown_questions(found)) == set(found.questions)
    assert intact("published/nano") == "published/nano"


def test_the_start_of_snakemake_does_not_wait_for_polars():
    assert (
        loaded_by(
            "spikesink.workflow.drawn, spikesink.workflow.published, spikesink.workflow.setup",
            ("polars", "pandas", "torch"),
        )
        == []
    )
