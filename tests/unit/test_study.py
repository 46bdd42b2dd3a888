"""A config becomes the right runs, or one line that says what is wrong with it."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from spikesink.study.errors import ConfigError
from spikesink.study.resolve import load, resolve
from spikesink.study.run import canonical
from spikesink.study.schema import config_schema
from spikesink.study.settings import Attention, FeedForward, Model, Optimiser, Schedule, Training
from spikesink.study.strict_yaml import merge, read_yaml

ROOT = Path(__file__).parents[2]
BASE = read_yaml(ROOT / "config.yaml")
OVERLAYS = [
    path
    for folder in ("scales", "corpora", "ablations")
    for path in sorted((ROOT / "workflow").glob(f"{folder}/*.yaml"))
]


def runs(overlay: dict) -> dict:
    return {run.variant: run for run in resolve(merge(BASE, overlay)).runs}


def test_two_lines_add_a_crossed_variant():
    mine = yaml.safe_load("mine:\n  both: {model: {norm: {kind: sandwich}, gate: {kind: conditional, per: head}}}")
    run = runs({"ablations": mine})["both"]
    assert (run.ablation, run.model.norm.kind, run.model.gate.per) == ("mine", "sandwich", "head")
    assert run.model.feed_forward == runs({})["baseline"].model.feed_forward


def test_seeds_multiply_the_runs_and_change_nothing_else():
    study = resolve(merge(BASE, {"seeds": [0, 3]}))
    assert len(study.runs) == 2 * len(resolve(BASE).runs)
    first, second = study.of("baseline")
    assert (first.seed, second.seed) == (0, 3)
    assert first.model == second.model and first.folder == "results/nano/runs/baseline/seed0"


def test_null_leaves_a_variant_or_an_ablation_out():
    names = runs({"ablations": {"norm": None, "ffn": {"gelu": None}}})
    assert not {"sandwich", "sandwich_qk", "dyt", "gelu"} & set(names)
    assert "linear" in names


def test_the_default_study_is_the_promised_one():
    study = resolve(BASE)
    assert study.ablations == ("norm", "ffn", "head_dim", "gating", "context", "weight_decay", "v_scale")
    assert len(study.runs) == 18
    wide = {run.model.attention.heads * run.model.attention.head_dim for run in study.of("head_dim")}
    assert len(wide) == 1


REFUSED = [
    ({"model": {"gate": {"knd": "none"}}}, r"model.gate.knd = \"none\": unknown key; did you mean 'kind'\?"),
    ({"studdy": "x"}, r"studdy = \"x\": unknown key; did you mean 'study'\?"),
    ({"training": {"steps": "many"}}, r"training.steps = \"many\": .*valid integer"),
    ({"training": {"steps": 1.5}}, r"training.steps = 1.5: .*integer"),
    ({"model": {"layers": True}}, r"model.layers = true: .*valid integer"),
    ({"training": {"optimiser": {"lr": "fast"}}}, r"training.optimiser.lr = \"fast\": .*valid number"),
    ({"training": {"optimiser": {"lr": -1.0}}}, r"training.optimiser: lr = -1.0 must be a number greater than 0"),
    ({"training": {"optimiser": {"lr": float("inf")}}}, r"lr = inf must be a number greater than 0"),
    ({"model": {"attention": {"head_dim": 31}}}, r"model.attention: head_dim = 31 is odd: .* even"),
    ({"model": {"attention": {"kv_heads": 3}}}, r"heads = \d+ is not divisible by kv_heads = 3"),
    (
        {"training": {"loss_window": [8, 4000]}},
        r"loss_window = \[8, 4000\] lies outside the context of \d+ tokens: use",
    ),
    ({"training": {"loss_window": [8, 8]}}, r"loss_window = \[8, 8\]"),
    ({"ablations": {"other": {"dyt": {}}}}, r"ablations.other.dyt: variant 'dyt' also stands under 'norm'.*unique"),
    (
        {"ablations": {"x": {"y": {"model": {"gate": {"kind": "conditionl"}}}}}},
        r"ablations.x.y.model.gate.kind = .*use one of",
    ),
    (
        {"ablations": {"x": {"y": {"model": {"attention": {"heds": 2}}}}}},
        r"ablations.x.y.model.attention.heds = 2: .*'heads'",
    ),
    ({"ablations": {"x": {"y": {"modell": {}}}}}, r"ablations.x.y.modell = {}: unknown key; did you mean 'model'\?"),
    ({"ablations": {"x": {"a b": {}}}}, r"ablations.x.a b: the name 'a b' becomes a folder"),
    ({"ablations": {"all": {"y": {}}}}, r"ablations.all: the workflow has a rule of that name"),
    (
        {"mechanism": {"compare": ["nobody"]}},
        r"mechanism.compare: 'nobody' is not a variant of this study: name some of base",
    ),
    ({"pretrained": {"x": {"source": "a/b"}}}, r"pretrained.x.bos: missing"),
    ({"pretrained": {"a b": {"source": "a/b", "bos": "none"}}}, r"pretrained: the name 'a b' becomes a folder"),
    ({"seeds": []}, r"seeds = \[\]: name at least one seed"),
    ({"seeds": [0, 0]}, r"seeds = \[0, 0\]: seeds must be different"),
    ({"seeds": 0}, r"seeds = 0: "),
    ({"corpus": {"kind": "hub"}}, r"corpus: dataset is missing: kind 'hub' needs"),
    ({"tokenizer": {"vocabulary": 100}}, r"tokenizer: vocabulary = 100 is too small"),
    ({"tokenizer": {"kind": "characters"}}, r"tokenizer.kind = 'characters' with corpus.kind = 'embedded'"),
    ({"training": {"schedule": {"warmup_steps": 10**6}}}, r"schedule.warmup_steps = 1000000 leaves nothing of steps"),
]


@pytest.mark.parametrize("overlay, message", REFUSED, ids=[pattern[:40] for _, pattern in REFUSED])
def test_a_bad_config_is_refused_in_one_line(overlay, message):
    with pytest.raises(ConfigError) as refusal:
        resolve(merge(BASE, overlay))
    assert re.search(message, str(refusal.value))
    assert "\n" not in str(refusal.value)


def test_a_missing_section_is_named():
    with pytest.raises(ConfigError, match=r"model: missing; set it in config\.yaml"):
        resolve({key: value for key, value in BASE.items() if key != "model"})


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("ablations:\n  norm:\n    dyt: {}\n    dyt: {}\n")
    with pytest.raises(ConfigError, match=r"config.yaml, line 4: 'dyt' stands twice"):
        read_yaml(path)


def test_broken_yaml_and_missing_files_are_named(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("model: [1, 2\n")
    with pytest.raises(ConfigError, match=r"config.yaml, line \d: not valid YAML"):
        read_yaml(path)
    with pytest.raises(ConfigError, match=r"nowhere.yaml: cannot be read"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_learning_rates_may_be_written_without_a_dot():
    assert runs({"training": {"optimiser": {"lr": "6e-4"}}})["baseline"].training.optimiser.lr == 6e-4


def test_equal_settings_have_equal_text_whatever_the_order():
    shuffled = {key: BASE[key] for key in reversed(BASE)}
    for one, other in zip(resolve(BASE).runs, resolve(shuffled).runs, strict=True):
        assert canonical(one.resolved()) == canonical(other.resolved())


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_every_shipped_overlay_makes_a_study_and_fits_the_schema(path):
    study = load([path], base=ROOT / "config.yaml")
    assert study.runs[0].variant == "baseline"
    jsonschema.validate(read_yaml(path), config_schema())
    if path.parent.name == "scales":
        assert study.config.study == study.config.scale == path.stem or path.stem == "nano_full"


def test_the_nano_overlay_is_the_default_study():
    assert load([ROOT / "workflow/scales/nano.yaml"], base=ROOT / "config.yaml") == load(base=ROOT / "config.yaml")


def test_the_published_schema_has_not_drifted():
    """Regenerate with: python -m spikesink.study.schema > workflow/schemas/config.schema.json"""
    published = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    assert published == config_schema()
    jsonschema.validate(BASE, published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merge(BASE, {"model": {"gate": {"knd": "x"}}}), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"ablations": {"x": {"y": {"model": {"gate": {"kind": "x"}}}}}}, published)


def test_every_key_of_the_default_config_has_a_comment():
    lines = (ROOT / "config.yaml").read_text().splitlines()
    top = [line for line in lines if re.match(r"\s*[\w]+:", line)]
    containers = {name for name in re.findall(r"^\s*(\w+):$", "\n".join(lines), re.M)}
    bare = [line for line in top if "#" not in line and line.strip().rstrip(":") not in containers]
    assert bare == []
    keys = set(re.findall(r"^\s*(\w+):", "\n".join(lines), re.M))
    schema = config_schema()
    named = set(schema["properties"])
    for definition in ("Corpus", "Tokenizer", "Model", "Attention", "FeedForward", "Norm", "Gate", "Valve", "Training"):
        named |= set(schema["$defs"][definition]["properties"])
    assert named - keys == set()


def test_reading_a_study_imports_no_torch():
    code = "import sys; from spikesink.study.resolve import load; load(); print('torch' in sys.modules, 'pandas' in sys.modules)"
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
        compile=True,
        strategy="fsdp",
        micro_batch_size=4,
        activation_checkpointing=True,
        loss_chunk=4096,
        log_every=10,
        checkpoint_every=1000,
    )
    with open(ROOT / "src/spikesink/tables/paper_rows.csv") as file:
        rows = {row["variant"] for row in csv.DictReader(line for line in file if not line.startswith("#"))}
    assert len(rows) == 41
    assert {run.variant for run in study.runs} == rows | {"v_scale", "v_scale_backward_only"}


def test_nano_full_stands_for_every_row_of_the_paper():
    study = load([ROOT / "workflow/scales/nano_full.yaml"], base=ROOT / "config.yaml")
    with open(ROOT / "src/spikesink/tables/paper_rows.csv") as file:
        rows = {row["variant"]: row for row in csv.DictReader(line for line in file if not line.startswith("#"))}
    stands = {run.stands_for or run.variant: run for run in study.runs if run.seed == 0}
    assert set(rows) == set(stands) - {"v_scale", "v_scale_backward_only"}
    assert study.config.seeds == (0, 1, 2, 3, 4)
    attention = study.runs[0].model.attention
    for name, row in rows.items():
        if row["ablation"] == "head_dim":  # heads and head_dim in the paper's proportions to its baseline, 32 x 128
            heads, head_dim = (int(number) for number in re.match(r"heads(\d+)_dim(\d+)", name).groups())
            scaled = stands[name].model.attention
            assert scaled.heads / attention.heads == heads / 32
            assert scaled.head_dim / attention.head_dim == head_dim / 128
