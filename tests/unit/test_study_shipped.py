"""The scales, ablations, corpora and published studies of this repository, and the pages that describe them."""

import json
import re
import subprocess
import sys
from dataclasses import asdict, replace

import jsonschema
import polars as pl
import pytest
import yaml
from study_config import ABLATIONS, BASE, CORPORA, ROOT, SCALES, WORKFLOW, lr_grid, paper_rows, runs, study

from spikesink.study.reference import page
from spikesink.study.resolve import load, resolve
from spikesink.study.run import canonical
from spikesink.study.schema import config_schema
from spikesink.study.settings import Attention, FeedForward, Model, Optimiser, Schedule, Training, build
from spikesink.study.strict_yaml import merge, read_yaml
from spikesink.study.whole import whole_config


def test_the_default_study_is_the_promised_one():
    """Four seeds, of which none was looked at when the preset was chosen."""
    default = load(base=ROOT / "config.yaml")
    assert default.ablations == ("norm", "gating", "context", "weight_decay", "v_scale")
    assert len(default.runs) == 24
    assert default.config.seeds == (30, 31, 32, 33)


def test_multiples_are_of_the_baselines_numbers_at_every_scale():
    listed = ["ffn/gelu", "head_dim/heads_4x_dim_0.25x", "context", "optimisation"]
    for scale in ("nano_full", "small", "0.3b", "7b"):
        found = runs({"scale": scale, "ablations": listed})
        model, training = found["baseline"].model, found["baseline"].training
        length, batch = training.sequence_length, training.batch_size
        assert found["gelu"].model.feed_forward.width == model.feed_forward.width * 3 / 2
        more, shape = found["heads_4x_dim_0.25x"].model.attention, model.attention
        assert (more.heads, more.head_dim) == (4 * shape.heads, shape.head_dim // 4)
        assert more.key_value_heads == 4 * shape.key_value_heads
        short = found["context_0.0625x"].training
        assert (short.sequence_length, short.batch_size) == (length // 16, 16 * batch)
        late = found["loss_0.5x_1.5x"].training
        assert (late.loss_window, late.sequence_length) == ((length // 2, length * 3 // 2), length * 3 // 2)
        assert found["lr_4x"].training.optimiser.lr == pytest.approx(4 * training.optimiser.lr)
        assert found["steps_2x"].training.steps == 2 * training.steps


@pytest.mark.parametrize("path", SCALES, ids=lambda path: path.stem)
def test_every_scale_is_whole(path):
    """A study of its own, and, by its name, the settings of another study; config.yaml has no part in either."""
    own = resolve(read_yaml(path), WORKFLOW)
    assert own.config.study == own.config.scale == path.stem
    assert load([path], base=ROOT / "config.yaml") == own
    named = resolve({"study": "other", "scale": path.stem}, WORKFLOW)
    for section in ("corpus", "tokenizer", "model", "training", "pretrained", "measures", "resources"):
        assert getattr(named.config, section) == getattr(own.config, section)
    assert [run.variant for run in named.runs] == (["baseline"] if own.config.model else [])
    jsonschema.validate(read_yaml(path), config_schema())


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_every_corpus_makes_a_study_and_fits_the_schema(path):
    assert load([path], base=ROOT / "config.yaml").runs[0].variant == "baseline"
    jsonschema.validate(read_yaml(path), config_schema())


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_every_ablation_resolves_and_fits_the_schema(path):
    content = read_yaml(path)
    found = study({"scale": "small", "ablations": [path.stem]}).of(path.stem)
    assert [run.variant for run in found] == list(content)
    assert len({canonical(run.resolved() | {"variant": None}) for run in found}) == len(found)
    jsonschema.validate({"variants": {path.stem: content}}, config_schema())
    rows = paper_rows()
    assert {run.stands_for for run in found if run.stands_for} <= set(rows)


def test_the_default_study_is_that_of_its_scale():
    assert load([WORKFLOW / "scales/nano.yaml"], base=ROOT / "config.yaml") == load(base=ROOT / "config.yaml")


def test_the_rows_of_the_papers_tables_are_in_the_ablations():
    """Every row of 2603.05498's tables is some variant of an ablation of that name."""
    found = {}
    for path in ABLATIONS:
        for name, variant in read_yaml(path).items():
            found[variant.get("stands_for") or name] = path.stem
    rows = paper_rows()
    assert {name: found[name] for name in rows if name != "baseline"} == {
        name: row["ablation"] for name, row in rows.items() if name != "baseline"
    }


def test_a_published_study_is_repeated_exactly():
    """Its config makes the runs whose settings lie beside it, though ablations and scales have other names since."""
    folder = ROOT / "results/published/nano"
    found = {run.folder: run for run in load([folder / "study.yaml"], base=ROOT / "config.yaml").runs}
    assert len(found) == 6 * 4
    settings = sorted(folder.glob("runs/*/seed*/run.json"))
    assert len(settings) == 8
    for path in settings:
        kept = json.loads(path.read_text())
        kept.pop("code")
        resolved = json.loads(canonical(found[f"results/nano/{path.parent.relative_to(folder)}"].resolved()))
        assert resolved == kept | with_newer_settings(kept)
    provenance = pl.read_csv(folder / "provenance.csv")
    assert len(provenance) == 24
    for row in provenance.iter_rows(named=True):
        run = found[f"results/nano/runs/{row['variant']}/seed{row['seed']}"]
        kept = json.loads(row["settings"])
        resolved = json.loads(canonical(run.resolved()))
        assert {"model", "training"} <= kept.keys()
        assert kept | with_newer_settings(kept) == {key: resolved[key] for key in kept}


def with_newer_settings(kept: dict) -> dict:
    """Model and training of kept settings; what has become a setting since has its default, which changes no run."""
    newer = {"model": build(Model, kept["model"]), "training": build(Training, kept["training"])}
    return json.loads(canonical({key: asdict(settings) for key, settings in newer.items()}))


@pytest.mark.parametrize("scale", ["nano_full", "7b"])
def test_the_whole_config_of_a_study_repeats_it(scale, tmp_path):
    original = resolve(read_yaml(WORKFLOW / f"scales/{scale}.yaml") | lr_grid(), WORKFLOW)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(whole_config(original), sort_keys=False))
    again = load([path], base=ROOT / "config.yaml")
    assert again.runs == original.runs
    alone = read_yaml(path) | {"scale": "gone"}
    assert [run.model for run in resolve(alone, WORKFLOW).runs] == [run.model for run in original.runs]


def test_the_whole_config_of_a_study_needs_no_variant_of_an_ablation(tmp_path):
    """Here the study undoes what a variant changes. A variant may change in workflow/ablations later on, too."""
    undone = {"model": {"initialisation": {"embedding_std": 0.02}}}
    original = study({"ablations": ["norm"], "variants": {"norm": {"dyt": undone}}})
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(whole_config(original), sort_keys=False))
    for again in (resolve(read_yaml(path, as_text=True), WORKFLOW), load([path], base=ROOT / "config.yaml")):
        assert again.runs == original.runs


def test_the_published_schema_has_not_drifted():
    """Regenerate with: python -m spikesink.study.schema > workflow/schemas/config.schema.json"""
    published = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    assert published == config_schema()
    jsonschema.validate(BASE, published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merge(BASE, {"model": {"gate": {"knd": "x"}}}), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"variants": {"x": {"y": {"model": {"gate": {"kind": "x"}}}}}}, published)


def test_the_keys_that_config_yaml_only_shows_are_right():
    """Each commented line of config.yaml is a config when its mark is taken away."""
    text = (ROOT / "config.yaml").read_text()
    shown = re.sub(r"^# ((?:  )*[\w.-]+:(?: [\[{ ].*)?)$", r"\1", text[text.index("# variants:") :], flags=re.M)
    overlay = yaml.safe_load(shown.replace("<commit>", "abc"))
    assert set(overlay) == set(config_schema()["properties"]) - {"study", "scale", "seeds", "ablations", "tokenizer"}
    assert len(study(overlay).runs) == 18 + 1 + 6


def test_reading_a_study_imports_no_torch():
    code = "import sys; from spikesink.study.resolve import load; load(); "
    code += "print('torch' in sys.modules, 'pandas' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


def test_the_7b_overlay_is_the_papers_recipe_with_all_its_rows():
    """2603.05498 Table 9; nothing of the nano preset may leak through the overlay."""
    study = load([ROOT / "workflow/scales/7b.yaml"], base=ROOT / "config.yaml")
    baseline = study.runs[0]
    assert baseline.model == Model(
        layers=32,
        d_model=4096,
        attention=Attention(heads=32, head_dim=128),
        feed_forward=FeedForward(width=11008),
    )
    assert baseline.training == Training(
        steps=50_000,
        sequence_length=4096,
        batch_size=512,
        optimiser=Optimiser(lr=3e-4),
        schedule=Schedule(warmup_steps=2000),
        precision="bfloat16",
        residual="bfloat16",
        compile=True,
        strategy="fsdp",
        micro_batch_size=4,
        activation_checkpointing=True,
        loss_chunk=4096,
        log_every=10,
        checkpoint_every=1000,
    )
    rows = set(paper_rows())
    assert len(rows) == 41
    assert {run.variant for run in study.runs} == rows | {"v_scale", "v_scale_backward_only"}


def test_the_comments_of_7b_say_how_many_tokens_a_step_has():
    study = load([ROOT / "workflow/scales/7b.yaml"], base=ROOT / "config.yaml")
    steps = {run.variant: run.training.batch_size * run.training.sequence_length for run in study.runs}
    longer = {"loss_1024_5120": 2.62, "loss_2048_6144": 3.15}
    assert {name: round(tokens / 1e6, 2) for name, tokens in steps.items() if tokens != 512 * 4096} == longer
    text = " ".join(line.lstrip("# ") for line in (ROOT / "workflow/scales/7b.yaml").read_text().splitlines())
    assert "A step has 2.1 million tokens up to a context of 4,096, and 2.62 and 3.15 million in the contexts" in text


def test_nano_full_stands_for_every_row_of_the_paper():
    study = load([ROOT / "workflow/scales/nano_full.yaml"], base=ROOT / "config.yaml")
    rows = paper_rows()
    stands = {run.stands_for or run.variant: run for run in study.runs if run.seed == 30}
    assert set(rows) - set(stands) == {"heads512_dim8", "heads32_dim8"}  # a head of a sixteenth has one channel
    assert study.config.seeds == (30, 31, 32, 33, 34)
    text = (ROOT / "workflow/scales/nano_full.yaml").read_text()
    assert f"{len(study.runs)} runs" in text.replace("\n# ", " ")
    attention = study.runs[0].model.attention
    for name, row in rows.items():
        if (
            row["ablation"] == "head_dim" and name in stands
        ):  # heads and head_dim in the paper's proportions to its baseline, 32 x 128
            heads, head_dim = (int(number) for number in re.match(r"heads(\d+)_dim(\d+)", name).groups())
            scaled = stands[name].model.attention
            assert scaled.heads / attention.heads == heads / 32
            assert scaled.head_dim / attention.head_dim == head_dim / 128


def test_nano_is_a_part_of_nano_full():
    """Else the default study would show other models than the published one that it is compared with."""
    studies = {
        scale: load([WORKFLOW / f"scales/{scale}.yaml"], base=ROOT / "config.yaml") for scale in ("nano", "nano_full")
    }
    whole = {(run.variant, run.seed): run for run in studies["nano_full"].runs}
    for run in studies["nano"].runs:
        assert (run.model, run.training) == (
            whole[run.variant, run.seed].model,
            whole[run.variant, run.seed].training,
        )
    assert studies["nano"].config.measures == studies["nano_full"].config.measures


def test_the_search_for_the_preset_starts_at_nano_with_seeds_that_are_published_nowhere():
    search = load([ROOT / "benchmarks/preset_search.yaml"], base=ROOT / "config.yaml")
    nano = load(base=ROOT / "config.yaml")
    assert search.runs[0].model == nano.runs[0].model
    assert replace(search.runs[0].training, snapshots=32) == nano.runs[0].training
    assert not set(search.config.seeds) & set(range(20, 35))
    text = (ROOT / "benchmarks/preset_search.yaml").read_text()
    assert f"{len(search.runs)} runs" in text.replace("\n# ", " ")


def test_the_reference_of_the_config_has_not_drifted():
    """Regenerate with: python -m spikesink.study.reference > docs/config.md"""
    assert (ROOT / "docs/config.md").read_text() == page()


def test_the_reference_has_every_key_with_type_and_default():
    sections = {part.split("\n", 1)[0].strip("`"): part for part in page().split("\n## ")}
    assert "| `spike_over_median` | number | `1000.0` | " in sections["measures"]
    assert "| `steps` | whole number | required | " in sections["training"]
    assert "| `loss_window` | list of 2 whole numbers or null | `null` | " in sections["training"]
    assert "| `kind` | `rms` or `sandwich` or " in sections["model.norm"]
    assert "| `retries` | whole number or null | `null` | " in sections["resources.train"]  # a key that it inherits
    for name, definition in config_schema()["$defs"].items():
        if not name.endswith("Change"):
            rows = [f"| `{key}` | " for key in definition["properties"]]
            assert any(all(row in part for row in rows) for part in sections.values()), name
