"""What is drawn of a study, and the manifests of published ones."""

import json
from pathlib import Path

import pytest
from fresh_python import loaded_by

from spikesink.study.errors import ConfigError, InputError
from spikesink.study.resolve import resolve
from spikesink.study.strict_yaml import merge, read_yaml
from spikesink.workflow.drawn import drawn, from_plain, published
from spikesink.workflow.publish import damaged, intact, publish

CONFIG = read_yaml(Path(__file__).parents[2] / "config.yaml")


def study(**changes):
    return resolve(merge(CONFIG, changes))


def test_figures_compare_the_first_seed_and_the_table_has_every_one():
    found = drawn(study(seeds=[3, 1], mechanism={"compare": ["baseline", "v_scale_backward_only"]}))
    assert found.compared == {
        "compared": {
            "baseline": "runs/baseline/seed3",
            "V-scale (backward)": "runs/v_scale_backward_only/seed3",
        }
    }
    assert found.places == {"compared": [0, 2]}
    assert list(found.in_depth) == [
        "baseline/seed3",
        "baseline/seed1",
        "v_scale_backward_only/seed3",
        "v_scale_backward_only/seed1",
    ]


def test_all_runs_and_published_models_can_be_in_depth():
    model = {"source": "org/model", "revision": "abc", "bos": "none"}
    found = drawn(study(mechanism={"variants": "all"}, pretrained={"Qwen": model}))
    assert len(found.in_depth) == 18 + 1
    assert found.compared["Qwen"] == {"Qwen": "pretrained/Qwen"}
    assert found.places["Qwen"] == ["published"]


def test_variants_with_one_label_are_told_apart_by_their_names():
    ablations = {
        "norm": {"sandwich": {"label": "baseline"}, "dyt": {"label": "same"}, "sandwich_qk": {"label": "same"}}
    }
    found = drawn(study(ablations=ablations, mechanism={"compare": ["dyt", "sandwich_qk"]}))
    assert list(found.compared["compared"]) == ["sandwich qk", "dyt"]


def test_a_manifest_gives_back_what_is_drawn(tmp_path):
    original = drawn(study())
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano/manifest.json").write_text(json.dumps({"drawn": original._asdict()}))
    assert published(tmp_path) == {f"{tmp_path.as_posix()}/nano": original}
    assert from_plain(json.loads(json.dumps(original._asdict()))) == original


def test_a_damaged_manifest_is_one_line(tmp_path):
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano/manifest.json").write_text('{"drawn": {"study": "nano"}}')
    with pytest.raises(ConfigError, match=r"nano/manifest.json: not the manifest of a published study .*: publish it"):
        published(tmp_path)


def test_publishing_again_takes_away_what_is_no_longer_there(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in "ab":
        (source / name).write_text(name)
    publish(source, target, ["a", "b"], {"study": "s"}, {"drawn": {}})
    (target / "figure.png").write_text("drawn")
    assert damaged(target) == []
    publish(source, target, ["a"], {"study": "s"}, {"drawn": {}})
    assert sorted(path.name for path in target.iterdir()) == ["a", "figure.png", "manifest.json", "study.yaml"]
    (target / "a").write_text("changed")
    assert damaged(target) == ["a"]
    with pytest.raises(InputError, match=r"target/a: not what .*manifest\.json says: bring it back from git"):
        intact(target)
    with pytest.raises(InputError, match="source/c: missing: run the study to its end"):
        publish(source, target, ["c"], {"study": "s"}, {"drawn": {}})


def test_the_start_of_snakemake_does_not_wait_for_polars():
    assert loaded_by("spikesink.workflow.drawn, spikesink.workflow.publish", ("polars", "pandas", "torch")) == []
