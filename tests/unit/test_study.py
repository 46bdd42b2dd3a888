"""A config becomes the right runs, or one line that says what is wrong with it."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import polars as pl
import pytest
import yaml

from spikesink.study.errors import ConfigError
from spikesink.study.names import PREFIXES, rules
from spikesink.study.reference import page
from spikesink.study.resolve import load, read_config, resolve
from spikesink.study.run import Run, Study, canonical
from spikesink.study.schema import config_schema
from spikesink.study.settings import Attention, FeedForward, Model, Optimiser, Schedule, Training
from spikesink.study.strict_yaml import merge, read_yaml
from spikesink.study.whole import whole_config

ROOT = Path(__file__).parents[2]
BASE = read_yaml(ROOT / "config.yaml")
WORKFLOW = ROOT / "workflow"
SCALES = sorted(WORKFLOW.glob("scales/*.yaml"))
CORPORA = sorted(WORKFLOW.glob("corpora/*.yaml"))
ABLATIONS = sorted(WORKFLOW.glob("ablations/*.yaml"))


def study(overlay: Mapping = {}) -> Study:
    return resolve(merge(BASE, overlay), WORKFLOW)


def runs(overlay: Mapping = {}) -> dict[str, Run]:
    return {run.variant: run for run in study(overlay).runs}


def paper_rows() -> dict[str, dict]:
    with open(ROOT / "src/spikesink/tables/paper/paper_rows.csv") as file:
        return {row["variant"]: row for row in csv.DictReader(line for line in file if not line.startswith("#"))}


def test_two_lines_add_a_crossed_variant():
    mine = yaml.safe_load("mine:\n  both: {model: {norm: {kind: sandwich}, gate: {kind: conditional, per: head}}}")
    run = runs({"variants": mine})["both"]
    assert (run.ablation, run.model.norm.kind, run.model.gate.per) == ("mine", "sandwich", "head")
    assert run.model.feed_forward == runs()["baseline"].model.feed_forward


def test_seeds_multiply_the_runs_and_change_nothing_else():
    two = study({"seeds": [0, 3]})
    assert len(two.runs) == 2 * len(study().runs)
    first, second = two.of("baseline")
    assert (first.seed, second.seed) == (0, 3)
    assert first.model == second.model and first.folder == "results/nano/runs/baseline/seed0"


def test_null_leaves_a_variant_or_an_own_ablation_out():
    mine = {"mine": {"wide": {"model": {"feed_forward": {"width": "2x"}}}}, "norm": {"dyt": None}}
    assert "dyt" not in runs({"variants": mine}) and "sandwich" in runs({"variants": mine})
    assert set(runs(merge({"variants": mine}, {"variants": {"mine": None}}))) == set(runs()) - {"dyt"}


def test_the_default_study_is_the_promised_one():
    assert study().ablations == ("norm", "ffn", "head_dim", "gating", "context", "weight_decay", "v_scale")
    assert len(study().runs) == 18
    wide = {run.model.attention.heads * run.model.attention.head_dim for run in study().of("head_dim")}
    assert len(wide) == 1


def test_an_ablation_is_listed_whole_or_by_its_variants_in_the_order_of_the_list():
    some = study({"ablations": ["v_scale", "gating/conditional_head", "norm", "gating/positional"]})
    assert some.ablations == ("v_scale", "gating", "norm")
    assert [run.variant for run in some.of("gating")] == ["conditional_head", "positional"]
    assert [run.variant for run in some.of("norm")] == ["sandwich", "sandwich_qk", "dyt"]


def test_own_variants_join_an_ablation_or_change_one_of_it():
    added = {
        "norm": {"mine": {"model": {"norm": {"eps": 1e-3}}}, "dyt": {"model": {"norm": {"dyt_alpha_attention": 0.5}}}}
    }
    joined = study({"ablations": ["norm", "ffn"], "variants": added})
    assert [run.variant for run in joined.of("norm")] == ["sandwich", "sandwich_qk", "dyt", "mine"]
    dyt = joined.of("norm")[2].model
    assert (dyt.norm.kind, dyt.norm.dyt_alpha_attention, dyt.initialisation.embedding_std) == ("dyt", 0.5, 1.0)


def test_a_study_may_have_the_baseline_alone():
    alone = study({"ablations": []})
    assert [run.variant for run in alone.runs] == ["baseline"] and alone.ablations == ()
    assert alone.config.mechanism.compare == ("baseline",)


def test_v_scale_is_compared_where_the_study_has_it():
    assert study().config.mechanism.compare == ("baseline", "v_scale", "v_scale_backward_only")
    assert study({"ablations": ["v_scale/v_scale"]}).config.mechanism.compare == ("baseline", "v_scale")


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


def test_multiples_are_exact_in_decimals():
    found = runs(
        {
            "variants": {"mine": {"third": {"training": {"optimiser": {"lr": "3x"}}}}},
            "training": {"optimiser": {"lr": 0.1}},
        }
    )
    assert found["third"].training.optimiser.lr == 0.3


def test_labels_hold_the_numbers_of_their_scale():
    found = runs(
        {"scale": "smoke", "ablations": ["head_dim/heads_0.5x_dim_2x", "context/loss_0.25x_1x", "optimisation/lr_2x"]}
    )
    assert [found[name].label for name in ("heads_0.5x_dim_2x", "loss_0.25x_1x", "lr_2x")] == [
        "2 x 16",
        "loss on 17 to 64",
        "lr 0.032",
    ]
    braces = {"mine": {"x": {"label": "$\\beta_{2}$ {steps}", "training": {"steps": 300}}}}
    assert runs({"variants": braces})["x"].label == "$\\beta_{2}$ 300"


def lr_grid(**changes: object) -> dict:
    grid = {"settings": {"training.optimiser.lr": ["0.5x", "2x"]}, "variants": ["baseline", "sandwich", "gelu"]}
    return {"cross": {"lr": grid | changes}}


def test_a_grid_combines_settings_with_variants():
    grid = study(lr_grid())
    assert grid.ablations[-1] == "lr"
    names = "baseline_lr_0.5x baseline_lr_2x sandwich_lr_0.5x sandwich_lr_2x gelu_lr_0.5x gelu_lr_2x"
    assert [run.variant for run in grid.of("lr")] == names.split()
    run = grid.of("lr")[5]
    assert (run.model.feed_forward.kind, run.training.optimiser.lr, run.label) == ("gelu", 0.032, "GELU, lr 2x")


def test_several_settings_of_a_grid_make_every_combination():
    settings = {"model.gate.kind": ["none", "conditional"], "training.loss_window": [None, ["0.5x", "1x"]]}
    own = {"mine": {"wide": {"model": {"feed_forward": {"width": "2x"}}}}}
    found = study(lr_grid(settings=settings, variants=["wide"]) | {"variants": own}).of("lr")
    assert [run.variant for run in found] == [
        "wide_gate_kind_none_loss_window_0.5x-1x",
        "wide_gate_kind_conditional_loss_window_none",
        "wide_gate_kind_conditional_loss_window_0.5x-1x",
    ]
    assert found[2].training.loss_window == (32, 64) and found[2].model.feed_forward.width == 344


def test_a_combination_that_changes_nothing_is_the_variant_itself():
    found = study(lr_grid(settings={"training.optimiser.lr": ["0.5x", "1x", 0.016]}))
    assert [run.variant for run in found.of("lr")] == ["baseline_lr_0.5x", "sandwich_lr_0.5x", "gelu_lr_0.5x"]


def test_a_multiple_in_a_grid_is_of_the_variants_own_number():
    (found,) = study(lr_grid(settings={"model.feed_forward.width": ["1x", "2x"]}, variants=["gelu"])).of("lr")
    assert found.model.feed_forward.width == 2 * 258


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
    ({"variants": {"other": {"dyt": {}}}}, r"other.dyt: variant 'dyt' also stands under 'norm'.*unique"),
    (
        {"variants": {"x": {"y": {"model": {"gate": {"kind": "conditionl"}}}}}},
        r"variants.x.y.model.gate.kind = .*use one of",
    ),
    (
        {"variants": {"x": {"y": {"model": {"attention": {"heds": 2}}}}}},
        r"variants.x.y.model.attention.heds = 2: .*'heads'",
    ),
    ({"variants": {"x": {"y": {"modell": {}}}}}, r"variants.x.y.modell = {}: unknown key; did you mean 'model'\?"),
    ({"variants": {"x": {"a b": {}}}}, r"variants.x.a b: the name 'a b' becomes a folder"),
    ({"variants": {"all": {"y": {}}}}, r"variants.all: the workflow has a rule of that name"),
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
    ({"scale": "smal"}, r"scale = 'smal': there is no .*smal.yaml, .* use one of 0.1b, .* small, smoke"),
    (
        {"ablations": ["nrm"]},
        r"ablations: 'nrm' is unknown: there is no .*nrm.yaml; use some of context, ffn, .*variants:",
    ),
    ({"ablations": ["norm/dit"]}, r"ablations: 'norm/dit' is unknown: norm has sandwich, sandwich_qk, dyt"),
    ({"ablations": ["norm", "norm/dyt"]}, r"ablations: 'norm/dyt' lists norm/dyt a second time"),
    ({"ablations": "norm"}, r"ablations = \"norm\": use a list of names, for example \[norm, ffn/gelu\]"),
    ({"ablations": ["train_x"]}, r"ablations.train_x: the workflow has a rule of that name"),
    (
        {"ablations": ["head_dim"]},
        r"head_dim.yaml: heads_16x_dim_0.0625x.model.attention: head_dim = 1 is odd: .*"
        r"list the variants you want in ablations: head_dim/heads_8x_dim_0.125x, ",
    ),
    (
        {"ablations": ["head_dim/dim_0.125x"], "model": {"attention": {"head_dim": 12}}},
        r"dim_0.125x.model.attention.head_dim = 0.125x: 0.125 times the baseline's 12 is 1.5, .* whole number",
    ),
    (
        {"variants": {"x": {"y": {"model": {"rope_scaling": "2x", "norm": {"kind": "2x"}}}}}},
        r"variants.x.y.model.rope_scaling = 2x: the baseline has no number here: write the value itself",
    ),
    ({"training": {"steps": "2x"}}, r"training.steps = \"2x\": .*valid integer"),
    (
        lr_grid(variants=["nobody"]),
        r"cross.lr.variants: 'nobody' is not a variant of this study: name some of baseline",
    ),
    (lr_grid(settings={}), r"cross.lr.settings = {}: name at least one setting"),
    (
        lr_grid(settings={"training.lr": [1]}),
        r"cross.lr.settings.training.lr: unknown setting: .*training.optimiser.lr",
    ),
    (lr_grid(settings={"training.steps": []}), r"cross.lr.settings.training.steps = \[\]: name at least one value"),
    (lr_grid(settings={"training.steps": ["fast"]}), r"cross.lr.baseline_steps_fast.training.steps = \"fast\": "),
    ({"cross": {"norm": lr_grid()["cross"]["lr"]}}, r"cross.norm: the study has an ablation of that name"),
    # Former names of keys.
    ({"measures": {"spike_ratio": 20.0}}, r"measures.spike_ratio = 20.0: .*it is called 'spike_over_median' now"),
    ({"model": {"value": {}}}, r"model.value = {}: unknown key; it is called 'value_valve' now"),
    ({"variants": {"x": {"y": {"model": {"key": {}}}}}}, r"variants.x.y.model.key = {}: .* called 'key_valve' now"),
    ({"model": {"value_valve": {"kind": "plain"}}}, r"model.value_valve.kind = \"plain\": it is called 'none' now"),
    (
        {"ablations": {"norm": {"dyt": {}}}},
        r"ablations = {.*: use a list of names, .*; variants of your own stand under variants:",
    ),
]


@pytest.mark.parametrize("overlay, message", REFUSED, ids=[pattern[:40] for _, pattern in REFUSED])
def test_a_bad_config_is_refused_in_one_line(overlay, message):
    with pytest.raises(ConfigError) as refusal:
        study(overlay)
    assert re.search(message, str(refusal.value))
    assert "\n" not in str(refusal.value)


def test_a_scale_that_has_no_file_must_be_in_the_config():
    whole = read_yaml(WORKFLOW / "scales/nano.yaml") | {"scale": "mine"}
    assert resolve(whole, WORKFLOW).runs[0].model == runs()["baseline"].model
    del whole["training"]["steps"]
    with pytest.raises(
        ConfigError, match=r"training.steps: missing; set it in config\.yaml, or in the file of the scale"
    ):
        resolve(whole, WORKFLOW)


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


def test_keys_that_yaml_takes_for_truth_values_are_names(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("{on: 1, no: {yes: true}, 1: a}")
    assert read_yaml(path) == {"on": 1, "no": {"yes": True}, "1": "a"}


def test_texts_become_numbers_only_where_a_number_is_meant():
    """What `snakemake --config 'seeds=[0, 1]' 'training={steps: 300, compile: true}'` passes on."""
    typed = study(
        {
            "ablations": [],
            "seeds": ["0", "1"],
            "training": {"steps": "300", "compile": "true", "loss_window": ["8", "64"], "loss_chunk": "null"},
            "measures": {"delimiters": ["1", "."], "caches": ["16"]},
            "variants": {
                "mine": {"x": {"label": "1e-3", "stands_for": "1", "training": {"optimiser": {"lr": "1e-3"}}}}
            },
        }
    )
    training = typed.runs[0].training
    assert typed.config.seeds == (0, 1)
    assert (training.steps, training.compile, training.loss_window, training.loss_chunk) == (300, True, (8, 64), None)
    assert (typed.config.measures.delimiters, typed.config.measures.caches) == (("1", "."), (16,))
    (mine, _) = typed.of("mine")
    assert (mine.label, mine.stands_for, mine.training.optimiser.lr) == ("1e-3", "1", 1e-3)


def test_a_file_that_names_study_and_scale_is_a_whole_study(tmp_path):
    config = merge(BASE, {"variants": {"mine": {"x": {"training": {"steps": 300}}}}, "training": {"steps": 400}})
    base, overlay, late = (tmp_path / name for name in ("config.yaml", "overlay.yaml", "late.yaml"))
    base.write_text(yaml.safe_dump(config))
    overlay.write_text("seeds: [7]")
    late.write_text("{study: late, training: {steps: 500}}")

    def load_these(*overlays: Path, **changes: object) -> Study:
        return resolve(read_config(overlays, base, changes), WORKFLOW)

    assert load_these(overlay).config.seeds == (7,) and load_these(overlay).runs[-1].variant == "x"
    smoke = WORKFLOW / "scales/smoke.yaml"
    assert load_these(overlay, smoke) == load([smoke], ROOT / "config.yaml")
    after = load_these(smoke, late, seeds=[1])
    assert (after.config.study, after.config.scale, after.config.seeds) == ("late", "smoke", (1,))
    assert after.runs[0].training.steps == 500


def test_learning_rates_may_be_written_without_a_dot():
    assert runs({"training": {"optimiser": {"lr": "6e-4"}}})["baseline"].training.optimiser.lr == 6e-4


def test_equal_settings_have_equal_text_whatever_the_order():
    shuffled = {key: BASE[key] for key in reversed(BASE)}
    for one, other in zip(study().runs, resolve(shuffled, WORKFLOW).runs, strict=True):
        assert canonical(one.resolved()) == canonical(other.resolved())


@pytest.mark.parametrize("path", SCALES, ids=lambda path: path.stem)
def test_every_scale_is_whole(path):
    """A study of its own, and, by its name, the settings of another study; config.yaml has no part in either."""
    own = resolve(read_yaml(path), WORKFLOW)
    assert own.config.study == own.config.scale == path.stem
    assert load([path], base=ROOT / "config.yaml") == own
    named = resolve({"study": "other", "scale": path.stem}, WORKFLOW)
    for section in ("corpus", "tokenizer", "model", "training", "measures", "resources"):
        assert getattr(named.config, section) == getattr(own.config, section)
    assert [run.variant for run in named.runs] == ["baseline"]
    jsonschema.validate(read_yaml(path), config_schema())


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_every_corpus_makes_a_study_and_fits_the_schema(path):
    assert load([path], base=ROOT / "config.yaml").runs[0].variant == "baseline"
    jsonschema.validate(read_yaml(path), config_schema())


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_every_ablation_resolves_and_fits_the_schema(path):
    content = read_yaml(path)
    found = study({"scale": "nano_full", "ablations": [path.stem]}).of(path.stem)
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
    assert len(found) == 18 * 5
    settings = sorted(folder.glob("runs/*/seed*/run.json"))
    assert len(settings) == 15
    for path in settings:
        kept = json.loads(path.read_text())
        kept.pop("code")
        assert json.loads(canonical(found[f"results/nano/{path.parent.relative_to(folder)}"].resolved())) == kept
    provenance = pl.read_csv(folder / "provenance.csv")
    assert len(provenance) == 90
    for row in provenance.iter_rows(named=True):
        run = found[f"results/nano/runs/{row['variant']}/seed{row['seed']}"]
        kept = json.loads(row["settings"])
        resolved = json.loads(canonical(run.resolved()))
        assert {"model", "training"} <= kept.keys() and kept == {key: resolved[key] for key in kept}


@pytest.mark.parametrize("scale", ["nano", "7b"])
def test_the_whole_config_of_a_study_repeats_it(scale, tmp_path):
    original = resolve(read_yaml(WORKFLOW / f"scales/{scale}.yaml") | lr_grid(), WORKFLOW)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(whole_config(original), sort_keys=False))
    again = load([path], base=ROOT / "config.yaml")
    assert again.runs == original.runs
    alone = read_yaml(path) | {"scale": "gone"}
    assert [run.model for run in resolve(alone, WORKFLOW).runs] == [run.model for run in original.runs]


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


def test_nano_full_stands_for_every_row_of_the_paper():
    study = load([ROOT / "workflow/scales/nano_full.yaml"], base=ROOT / "config.yaml")
    rows = paper_rows()
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


def test_names_of_rules_are_reserved():
    """An ablation becomes a rule: none of the workflow's names, spelled out or made in a loop, may be taken twice."""
    taken = rules(WORKFLOW)
    assert {"all", "plan", "mechanism", "published", "tokens", "publish"} <= taken
    made = re.findall(r'name:\s*f"(\w+_)\{', "".join(path.read_text() for path in WORKFLOW.glob("rules/*.smk")))
    assert set(made) <= set(PREFIXES)
    for name in (*taken, *(f"{prefix}x" for prefix in PREFIXES)):
        with pytest.raises(ConfigError, match=rf"variants.{name}: the workflow has a rule of that name"):
            study({"variants": {name: {"y": {}}}})
