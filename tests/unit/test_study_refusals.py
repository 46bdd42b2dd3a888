"""What a config may hold: texts that become numbers, and one line that says what is wrong with any other."""

import re

import pytest
from study_config import WORKFLOW, lr_grid, runs, study

from spikesink.study.errors import ConfigError
from spikesink.study.names import PREFIXES, TABLES, rules
from spikesink.study.resolve import resolve
from spikesink.study.strict_yaml import read_yaml

REFUSED = [
    ({"model": {"gate": {"knd": "none"}}}, r"model.gate.knd = \"none\": unknown key; did you mean 'kind'\?"),
    ({"studdy": "x"}, r"studdy = \"x\": unknown key; did you mean 'study'\?"),
    ({"training": {"steps": "many"}}, r"training.steps = \"many\": .*valid integer"),
    ({"training": {"sequence_length": 3}}, r"training: sequence_length = 3 must be at least 4"),
    (
        {"pretrained": {"x": {"source": ".", "bos": "none", "context": 1}}},
        r"pretrained.x: context = 1 must be at least 4",
    ),
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
    ({"training": {"distinct_share": 1.5}}, r"distinct_share = 1.5 is a share: use at most 1, or null for all text"),
    ({"training": {"distinct_share": 0.0}}, r"distinct_share = 0.0 must be a number greater than 0"),
    ({"training": {"residual": "bfloat16"}}, r"residual = 'bfloat16' with precision = 'float32': set precision to bf"),
    ({"model": {"initialisation": {"extra_key_std": -0.1}}}, r"extra_key_std = -0.1 must be a number, 0 or greater"),
    ({"training": {"optimiser": {"kind": "moun"}}}, r"optimiser.kind = .*use one of 'adamw', 'sgd', 'rmsprop', 'muon'"),
    ({"training": {"schedule": {"warmup_steps": 10**6}}}, r"schedule.warmup_steps = 1000000 leaves nothing of steps"),
    (
        {"tokenizer": {"bos": "none"}, "ablations": ["bos/bos_document"]},
        r"training.bos = 'document' of variant 'bos_document' with tokenizer.bos = 'none': .* set tokenizer.bos: seq",
    ),
    ({"scale": "smal"}, r"scale = 'smal': there is no .*smal.yaml, .* use one of 0.1b, .* small, smoke"),
    (
        {"ablations": ["nrm"]},
        r"ablations: 'nrm' is unknown: there is no .*nrm.yaml; use some of .*context, .*ffn, .*variants:",
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
    ({"cross": {"lr": {"setting": {}}}}, r"cross.lr.setting = {}: unknown key; did you mean 'settings'\?"),
    (lr_grid(settings={}), r"cross.lr.settings = {}: name at least one setting"),
    (
        lr_grid(settings={"training.lr": [1]}),
        r"cross.lr.settings.training.lr: unknown setting: .*training.optimiser.lr",
    ),
    (lr_grid(settings={"training.steps": []}), r"cross.lr.settings.training.steps = \[\]: name at least one value"),
    (lr_grid(settings={"training.steps": ["fast"]}), r"cross.lr.baseline_steps_fast.training.steps = \"fast\": "),
    ({"cross": {"norm": lr_grid()["cross"]["lr"]}}, r"cross.norm: the study has an ablation of that name"),
    (lr_grid(variants=[]), r"cross.lr.variants = \[\]: name at least one variant"),
    ({"variants": {"variants": {"y": {}}}}, r"variants.variants: a table of the whole study has that name"),
    ({"model": {"gate": {"kind": ["none"]}}}, r"model.gate.kind = \[\"none\"\]: use one of 'none', 'conditional'"),
    (
        {"measures": {"caches": [8, 256]}},
        r"measures.caches = \[8, 256\]: variant 'baseline' streams 256 tokens, 4 times its context, and a cache of",
    ),
    (
        {"measures": {"caches": [64]}, "mechanism": {"variants": "all"}},
        r"measures.caches = \[64\]: variant 'context_0.25x' streams 64 tokens",
    ),
    (
        {"measures": {"caches": [128]}, "pretrained": {"m": {"source": "a/b", "bos": "none", "context": 32}}},
        r"measures.caches = \[128\]: pretrained.m streams 128 tokens",
    ),
    ({"figures": {"width": {"column": 1}}}, r"figures.width = {\"column\":1}: use one of 'auto', "),
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


@pytest.mark.parametrize("caches", [[255], [64], None])
def test_a_cache_that_is_smaller_than_what_is_streamed_is_accepted(caches):
    assert study({"measures": {"caches": caches}}).runs[0].training.sequence_length == 64


def test_the_variants_that_a_refusal_names_are_possible():
    """At smoke, with heads of width 8, four of head_dim are not: what the message says to list makes a study."""
    with pytest.raises(ConfigError) as refusal:
        study({"scale": "smoke", "ablations": ["head_dim"]})
    wanted = str(refusal.value).partition("in ablations: ")[2].split(", ")
    assert len(study({"scale": "smoke", "ablations": wanted}).of("head_dim")) == len(wanted) == 7


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
    path.write_bytes("study: caf\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config.yaml: is not UTF-8 .*: save it as UTF-8"):
        read_yaml(path)
    path.write_text("study: a\x00\n")
    with pytest.raises(ConfigError, match=r"config.yaml: not valid YAML \(.*\): correct that line$"):
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


def test_learning_rates_may_be_written_without_a_dot():
    assert runs({"training": {"optimiser": {"lr": "6e-4"}}})["baseline"].training.optimiser.lr == 6e-4


def test_names_of_rules_are_reserved():
    """An ablation becomes a rule: none of the workflow's names, spelled out or made in a loop, may be taken twice."""
    taken = rules(WORKFLOW)
    assert {"all", "plan", "mechanism", "published", "tokens", "publish"} <= taken
    made = re.findall(r'name:\s*f"(\w+_)\{', "".join(path.read_text() for path in WORKFLOW.glob("rules/*.smk")))
    assert set(made) <= set(PREFIXES)
    for name in (*taken, *(f"{prefix}x" for prefix in PREFIXES)):
        with pytest.raises(ConfigError, match=rf"variants.{name}: the workflow has a rule of that name"):
            study({"variants": {name: {"y": {}}}})


def test_names_of_the_whole_studys_tables_are_reserved():
    """An ablation's table lies beside them: the rule of one would make the file of the other."""
    rule = (WORKFLOW / "rules/tables.smk").read_text().partition("rule runs:")[2]
    made = set(re.findall(r'/tables/(\w+)\.\w+"', rule.partition("output:")[2].partition("log:")[0]))
    assert made - rules(WORKFLOW) == set(TABLES)
