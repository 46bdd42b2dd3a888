"""The one check of both commands: names, labels, overlays and ranges that a later job would stumble over."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from study_config import ROOT, WORKFLOW, study

from spikesink.data.batches import TokenError
from spikesink.data.enough import check_packed, held_out, needs, tell_jobs
from spikesink.runs.identity import run_digest
from spikesink.study.errors import ConfigError
from spikesink.study.settings import Measures
from spikesink.study.strict_yaml import read_yaml
from spikesink.workflow.check import checked_study
from spikesink.workflow.command_line import check_command_line

BASE = {"study": "mine", "scale": "nano", "ablations": ["norm"]}


def refusal(folder: Path, *overlays: dict | str, base: dict = BASE) -> str | None:
    """The line that refuses these overlays, one after the other, over ``base``; None where they are accepted."""
    try:
        check(folder, *overlays, base=base)
    except ConfigError as error:
        return str(error)
    return None


def check(folder: Path, *overlays: dict | str, base: dict = BASE):
    """The study of these overlays: mappings, or texts as they stand in a file."""
    paths = [folder / f"{number}.yaml" for number in range(len(overlays) + 1)]
    for path, content in zip(paths, (base, *overlays), strict=True):
        text = content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
    return checked_study(paths[1:], paths[0], workflow=WORKFLOW)[0]


HUB = {"kind": "hub", "dataset": "a/b", "revision": "a" * 40, "files": ["x.txt"]}
GGUF = {"packages": ["a==1"], "bos": "none", "sha256": "a" * 64}
REFUSED = {
    "half a variant that is not listed": (
        {"ablations": ["gating"], "variants": {"norm": {"sandwich": {"label": "S"}}}},
        "variants.norm.sandwich adds to the variant",
    ),
    "a misspelt removal": ({"variants": {"norm": {"sandwhich": None}}}, "sandwhich = null removes nothing"),
    "a misspelt removal of an ablation": ({"variants": {"nrm": None}}, "variants.nrm = null removes nothing"),
    "a misspelt removal of a grid": ({"cross": {"lr": None}}, "cross.lr = null removes nothing"),
    "an ablation that is left with nothing": (
        {"variants": {"norm": dict.fromkeys(("sandwich", "sandwich_qk", "dyt"))}},
        "variants.norm leaves no variant",
    ),
    "an unknown row": ({"variants": {"a": {"b": {"stands_for": "nobody"}}}}, "stands_for = 'nobody' of variant 'b'"),
    "an unknown number": ({"variants": {"a": {"b": {"label": "{nope} x"}}}}, "{nope} is no number of a variant: use"),
    "an option": ({"variants": {"a": {"b": {"label": "-x"}}}}, "begins like an option"),
    "a script": ({"variants": {"a": {"b": {"label": "</script><b onclick=x>"}}}}, "is markup to the browser"),
    "two lines": ({"variants": {"a": {"b": {"label": "x\ny"}}}}, "write it on one line"),
    "a label that is empty": ({"variants": {"a": {"b": {"label": ""}}}}, "write 1 to 100"),
    "one label twice in an ablation": (
        {"variants": {"a": {"b": {"label": "same"}, "c": {"label": "same"}}}},
        "ablation a: 'b' and 'c' are both shown as 'same': give one another label",
    ),
    "another's name": (
        {"variants": {"norm": {"dyt": {"label": "baseline"}}}, "mechanism": {"compare": ["baseline", "dyt"]}},
        "'baseline' and 'dyt' are both shown as 'baseline'",
    ),
    "equal values": (
        {"cross": {"g": {"settings": {"training.steps": [300, 300]}}}},
        "is the same as baseline_steps_300",
    ),
    "equal values, written otherwise": (
        {"cross": {"g": {"settings": {"training.optimiser.lr": ["0.5x", 0.006]}}}},
        "is the same as baseline_lr_0.5x",
    ),
    "a grid of nothing": (
        {"cross": {"g": {"settings": {"training.steps": ["1x"]}}}},
        "cross.g: no combination changes",
    ),
    "too large a grid": (
        {"cross": {"g": {"settings": {"training.steps": [*range(999)], "training.batch_size": [*range(999)]}}}},
        "cross.g.settings have 998,001 combinations",
    ),
    "an entry without a variant": ({"ablations": ["norm/"]}, "'norm/' names no variant"),
    "an empty entry": ({"ablations": [""]}, "the name '' becomes a folder"),
    "a folder above": ({"ablations": ["../x"]}, "the name '..' becomes a folder"),
    "published": ({"study": "published"}, "results/published is not free"),
    "MLflow's file": ({"study": "mlflow.db"}, "results/mlflow.db is not free"),
    "MLflow's folder": ({"study": "MLartifacts"}, "results/MLartifacts is not free"),
    "a large seed": ({"seeds": [2**63]}, "below 2^63"),
    "a negative seed": ({"seeds": [-1]}, "0 or greater"),
    "a name of 300 letters": ({"variants": {"a": {"b" * 300: {}}}}, "the name has 300 letters"),
    "a log's name": ({"variants": {"collect_x": {"b": {}}}}, "a log of another ablation"),
    "a share above 1": ({"measures": {"sink_epsilon": 1.5}}, "sink_epsilon = 1.5 must be a share of attention below 1"),
    "another share above 1": ({"measures": {"step_share": 7}}, "step_share = 7.0 must be"),
    "one gradient": ({"measures": {"gradient_sequences": 1}}, "gradient_sequences = 1 must be at least 2"),
    "more channels than there are": ({"measures": {"spike_channels": 40}}, "measures.spike_channels = 40: variant"),
    "three devices": ({"resources": {"train": {"gpus_per_node": 3}}}, "cannot be shared equally by 3 devices"),
    "runs that do not fit together": (
        {"resources": {"train": {"runs_per_gpu": 60}}, "plan": {"gpu": "A100-80GB"}},
        "resources.train.runs_per_gpu = 60: so many runs of",
    ),
    "an unknown scheme": ({"tracking": {"uri": "ftp://host"}}, "uri = 'ftp://host' is no address of a store"),
    "no file": ({"tracking": {"uri": "sqlite:///"}}, "uri = 'sqlite:///' names no file: write"),
    "a file in memory": ({"tracking": {"uri": "sqlite:///:memory:"}}, "names no file"),
    "no machine": ({"tracking": {"uri": "http://:5000"}}, "uri = 'http://:5000' names no machine"),
    "a port that there is not": ({"tracking": {"uri": "http://host:99999"}}, "is no address (Port out of range"),
    "half an address": ({"tracking": {"uri": "http://[::1"}}, "is no address (Invalid IPv6 URL)"),
    "doubled braces": ({"variants": {"a": {"b": {"label": "{{lr}}"}}}}, "doubled braces are no number of a variant"),
    "endless parts": (
        {"pretrained": {"m": {"source": "x{0..99999999999}.gguf", "bos": "none"}}},
        "pretrained.m.source: x{0..99999999999}.gguf makes 100,000,000,000 files",
    ),
    "a folder in packages": (
        {"pretrained": {"m": GGUF | {"source": "../x.gguf"}}},
        "pretrained.m.source = '../x.gguf': a file in packages is found by its name",
    ),
    "a word for ablations": ({"ablations": "norm"}, "[norm, ffn/gelu]; variants of your own stand under variants:"),
    "braces": ({"tracking": {"uri": "http://host/{x}"}}, "an address has no braces"),
    "a long range": (
        {"corpus": {"kind": "files", "files": ["a{0..99999999999}"]}},
        "makes 100,000,000,000 files: use at most 100,000",
    ),
    "ranges together": ({"corpus": {"kind": "files", "files": ["{0..999}{0..999}"]}}, "makes 1,000,000 files"),
    "an id that leads elsewhere": ({"corpus": HUB | {"dataset": "../../x"}}, "corpus.dataset = '../../x' is no id"),
    "a branch": ({"corpus": HUB | {"revision": "main"}}, "corpus.revision = 'main' is no commit"),
    "a file above": ({"corpus": HUB | {"files": ["../x.txt"]}}, "corpus.files names '../x.txt': name a file inside"),
    "a file of the machine": ({"evaluation": HUB | {"files": ["/x.txt"]}}, "evaluation.files names '/x.txt'"),
    "an unknown format": ({"corpus": HUB | {"files": ["x.pdf"]}}, "x.pdf has an unknown format: use .txt"),
    "packed parquet": ({"corpus": HUB | {"files": ["x.parquet.gz"]}}, "x.parquet.gz is compressed around parquet"),
    "a tokenizer's option": (
        {"tokenizer": {"kind": "hub", "name": "-x", "revision": "a" * 40}},
        "tokenizer.name = '-x' is no id of the hub: write owner/name",
    ),
    "a model's tag": (
        {"pretrained": {"m": {"source": "a/b", "revision": "v1.0", "bos": "none"}}},
        "pretrained.m.revision = 'v1.0' is no commit",
    ),
    "one document": ({"corpus": {"documents": 1}}, "corpus.documents = 1 leaves none"),
    "triggers": (
        {
            "corpus": {"kind": "bigram_backcopy", "synthetic_triggers": 65},
            "tokenizer": {"kind": "characters", "vocabulary": 67, "bos": "document"},
        },
        "synthetic_triggers = 65 must be at most 64",
    ),
    "more snapshots than steps": ({"training": {"steps": 9, "snapshots": 10}}, "snapshots = 10 are more than steps"),
    "too many parameters": ({"model": {"d_model": 10**11}}, "parameters, more than any machine holds"),
    "too many runs": ({"seeds": [*range(9000)]}, "4 variants with 9,000 seeds are more than 20,000 runs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_later_job_would_stumble_over_is_refused(name, tmp_path):
    overlay, message = REFUSED[name]
    assert message in (refusal(tmp_path, overlay) or "accepted")


@pytest.mark.parametrize(
    "text, label",
    [
        ("010", "010"),
        ("12:30", "12:30"),
        ('"1e-3"', "1e-3"),
        ("1e-3", "1e-3"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
    ],
)
def test_a_label_is_the_text_that_stands_in_the_file(text, label, tmp_path):
    """YAML 1.1 would make numbers, dates and truth values of them."""
    runs = {run.variant: run for run in check(tmp_path, f"variants: {{on: {{off: {{label: {text}}}, no: {{}}}}}}").runs}
    assert runs["off"].label == label and runs["off"].ablation == "on" and "no" in runs


@pytest.mark.parametrize("text, live", [("no", False), ("off", False), ("yes", True), ("true", True), ("'no'", False)])
def test_a_text_becomes_a_truth_value_where_one_is_expected(text, live, tmp_path):
    assert check(tmp_path, f"tracking: {{live: {text}}}").config.tracking.live is live


def test_a_text_becomes_a_number_where_one_is_expected(tmp_path):
    found = check(tmp_path, 'training: {steps: "300", optimiser: {lr: 1e-3}}\nseeds: [010, "7"]\nstudy: 010')
    assert (found.config.training.steps, found.config.training.optimiser.lr) == (300, 0.001)
    assert (found.config.seeds, found.config.study) == ((10, 7), "010")


@pytest.mark.parametrize("label", ["loss in $$", "costs $5 or $10", "a < b > c", "50 % of a_b & c^2 \\ ~", "été λ ≤ 2"])
def test_a_label_may_hold_any_sign(label, tmp_path):
    assert check(tmp_path, {"variants": {"a": {"b": {"label": label}}}}).runs[-1].label == label


def test_a_folder_has_no_revision(tmp_path):
    model = {"source": str(tmp_path), "revision": "a" * 40, "bos": "none"}
    line = refusal(tmp_path, {"pretrained": {"m": model}})
    assert line.startswith("pretrained.m.revision = ") and line.endswith(": leave it out")


@pytest.mark.parametrize("name", ["gpt2", "allenai/c4", "HuggingFaceTB/SmolLM2-135M", "_a/b.c_d", "a" * 96])
def test_ids_of_the_hub_are_known(name, tmp_path):
    assert refusal(tmp_path, {"corpus": HUB | {"dataset": name}}) is None


@pytest.mark.parametrize(
    "name", ["", " ", "a/b/c", "/a/b", "a//b", "a--b/c", "a..b", "a/b.git", "a/b-", "-a/b", "a b", "é/x", "a" * 97]
)
def test_what_the_hub_itself_would_refuse_is_refused(name, tmp_path):
    assert "corpus" in refusal(tmp_path, {"corpus": HUB | {"dataset": name}})


def test_a_label_that_no_font_shows_is_refused_by_its_letter(tmp_path, monkeypatch):
    monkeypatch.setattr("spikesink.study.glyphs.FALLBACKS", ())
    monkeypatch.setattr("spikesink.study.glyphs.fonts", sys.modules["spikesink.study.glyphs"].fonts.__wrapped__)
    found = refusal(tmp_path, {"variants": {"a": {"b": {"label": "损失"}}}})
    assert "no font here has '损': install one" in found


def test_a_later_file_removes_what_an_earlier_one_has(tmp_path):
    own = {
        "variants": {"a": {"b": {}, "c": {}}, "norm": {"dyt": {"label": "D"}}},
        "cross": {"g": {"settings": {"training.steps": [9]}}},
    }
    own["training"] = {"schedule": {"warmup_steps": 1}}
    gone = {"variants": {"a": {"b": None}, "norm": {"dyt": None}}, "cross": {"g": None}}
    assert [run.variant for run in check(tmp_path, own, gone).runs] == ["baseline", "sandwich", "sandwich_qk", "c"]
    assert check(tmp_path, own, gone | {"variants": {"a": None}}).ablations == ("norm",)
    twice = refusal(tmp_path, own, {"cross": {"h": None}})
    assert twice.endswith("cross.h = null removes nothing: before it there is g; correct the name")


def test_the_file_of_a_scale_gives_way_to_another_scale(tmp_path):
    """Its sections would otherwise hide those of the other scale, whose name the results would bear."""
    whole = read_yaml(WORKFLOW / "scales/0.1b.yaml", as_text=True)
    found = check(tmp_path, whole, {"scale": "nano"})
    assert (found.config.scale, found.config.model.d_model, found.config.training.steps) == ("nano", 64, 1400)
    for section in ("corpus", "tokenizer", "model", "training"):
        whole[section]["changed"] = "1"
    assert "scale = 'nano' would change nothing" in refusal(tmp_path, whole, {"scale": "nano"})


def test_both_commands_refuse_the_files_that_snakemakes_reader_cannot_read(tmp_path):
    """profiles/default calls this first: Snakemake would answer with a traceback."""
    path = tmp_path / "bad.yaml"
    for content in (b"", b"null", b"a:\n\tb: 1", b"a: !x 1", b"a: 2020-99-99", b"a: " + b"[" * 3000, b"a: &b [*b]"):
        path.write_bytes(content)
        with pytest.raises(SystemExit, match=r"^config error: .*bad.yaml"):
            check_command_line(["norm", "-n", "--configfile", str(path), "--cores", "1"])
        with pytest.raises(ConfigError, match=r"bad\.yaml"):
            checked_study([path], ROOT / "config.yaml", workflow=WORKFLOW)
    with pytest.raises(SystemExit, match=r"absent\.yaml: cannot be read"):
        check_command_line([f"--configfile={tmp_path / 'absent.yaml'}"])
    with pytest.raises(SystemExit, match=r"report: all that stands .*: --configfile FILE -- report$"):
        check_command_line(["--configfile", str(ROOT / "config.yaml"), "report"])
    assert check_command_line(["--configfile", str(ROOT / "config.yaml"), "--", "report"]) is None
    with pytest.raises(SystemExit, match="--config study: is no key=value"):
        check_command_line(["--config", "study"])
    with pytest.raises(SystemExit, match="--config: 'study' stands twice: remove one"):
        check_command_line(["--config", "study=a", "seeds=[0]", "study=b"])
    assert check_command_line(["--config", "seeds=[0,1]", "--configfile", str(ROOT / "config.yaml"), "-n"]) is None


@pytest.mark.parametrize("option, words", [("--configfile", ("a.yaml", "b.yaml")), ("--config", ("a1=1", "b1=1"))])
def test_an_option_that_stands_twice_is_refused(tmp_path, option, words):
    """Snakemake would forget the words after the first one, and so would the parser of ``spikesink``."""
    (tmp_path / "config.yaml").write_text("study: mine\nscale: nano\nseeds: [0]\nablations: []\n")
    refused = rf"{option} stands twice: write all that belongs to it after one, {option} ONE TWO"
    twice = [option, words[0], option, words[1]]
    with pytest.raises(SystemExit, match=refused):
        check_command_line(twice)
    if option == "--configfile":
        command = [sys.executable, "-m", "spikesink.cli", "runs", *twice]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, re.match(f"error: {refused}$", ended.stderr) is not None) == (1, True), ended.stderr


def test_names_that_differ_in_capitals_alone_are_refused(tmp_path):
    """On the disk of a Mac both would be one folder, or one table."""
    wide = {"model": {"layers": 2}}
    for overlay, names in (
        ({"variants": {"mine": {"A": wide, "a": {"model": {"layers": 4}}}}}, "variants: 'A' and 'a'"),
        ({"variants": {"Mine": {"a": wide}, "mine": {"b": wide}}}, "ablations: 'Mine' and 'mine'"),
        ({"pretrained": {name: {"source": ".", "bos": "none"} for name in "Mm"}}, "pretrained: 'M' and 'm'"),
    ):
        assert refusal(tmp_path, overlay).startswith(f"{names} differ in capitals alone")
    for name in ("Baseline", "Runs", "Train_x", "Variants", "Collect_x"):
        assert refusal(tmp_path, {"variants": {name: {"a": wide}}}).endswith("name the ablation otherwise"), name


def test_a_disk_that_is_not_there_is_named(tmp_path, monkeypatch):
    """The results would else be made anew elsewhere, or seem to wait for their first run."""
    monkeypatch.chdir(tmp_path)
    Path("results").symlink_to("scratch")
    assert refusal(tmp_path, {}).startswith("results is a link to scratch, which is not there: mount its disk")
    Path("scratch").mkdir()
    assert refusal(tmp_path, {}) is None


def test_a_config_that_grows_without_bound_is_refused_at_once(tmp_path):
    path, start = tmp_path / "bomb.yaml", time.process_time()
    path.write_text("x0: &x0 [y, y]\n" + "".join(f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]\n" for i in range(1, 60)))
    with pytest.raises(ConfigError, match="more than 200,000 keys and values"):
        read_yaml(path)
    assert time.process_time() - start < 10


def test_values_of_the_command_line_are_read_as_in_a_file():
    """Snakemake gives texts inside lists and mappings."""
    changes = {"study": "x", "seeds": ["0", "1"], "tracking": {"live": "no"}, "mechanism": {"compare": "null"}}
    found = checked_study([], ROOT / "config.yaml", changes, WORKFLOW)[0].config
    assert (found.seeds, found.tracking.live, found.mechanism.compare[0]) == ((0, 1), False, "baseline")


def test_the_folder_of_another_user_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake/iocache").mkdir(parents=True)
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "iocache")
    with pytest.raises(SystemExit, match=r"iocache cannot be written by you: run snakemake in a copy of the folder"):
        check_command_line(["--dry-run"])


def test_missing_files_are_refused_for_a_new_study_alone(tmp_path, monkeypatch):
    """The tables of a finished study are drawn where its text is not."""
    monkeypatch.chdir(tmp_path)
    missing = {"corpus": {"kind": "files", "files": ["part-{1..2}.txt"]}}
    (tmp_path / "part-1.txt").write_text("text")
    assert refusal(tmp_path, missing).startswith("part-2.txt: there is no such file")
    measured = {"evaluation": {"kind": "files", "files": ["c4.jsonl"]}}
    assert refusal(tmp_path, measured).startswith("c4.jsonl: there is no such file")
    tokenizer = {"tokenizer": {"kind": "file", "name": "tokenizer.json"}}
    assert refusal(tmp_path, tokenizer).startswith("tokenizer.json: there is no such file")
    assert "its tokenizer.json" in refusal(tmp_path, {"tokenizer": {"kind": "file", "name": "."}})
    assert refusal(tmp_path, {"corpus": {"kind": "files", "files": ["."]}}).startswith(".: is a folder, and corpus")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert refusal(tmp_path, tokenizer) is None, "what may stand beside it need not"
    hub = {"pretrained": {"x": {"source": "owner/name", "bos": "none"}}}
    assert "pretrained.x.revision is missing: 'owner/name' is no folder here" in refusal(tmp_path, hub)
    (tmp_path / "owner/name").mkdir(parents=True)
    assert refusal(tmp_path, hub) is None
    (tmp_path / "results/mine/tables").mkdir(parents=True)
    assert refusal(tmp_path, missing) is None


@pytest.mark.parametrize("content", ["", "a: 2020-99-99", "measures: {sink_epsilon: 30}"])
def test_both_commands_say_the_same_line(content, tmp_path):
    path = tmp_path / "overlay.yaml"
    path.write_text(content)
    said = []
    for command in (["spikesink.cli", "runs"], ["snakemake", "--dry-run"]):
        run = [sys.executable, "-m", *command, "--configfile", str(path)]
        result = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert result.returncode == 1 and "Traceback" not in result.stderr
        said.append(result.stderr.splitlines()[-1].removeprefix("config ").removeprefix("error: "))
    assert said[0] == said[1]


def test_two_variants_with_the_same_settings_have_checkpoints_of_their_own():
    """They may train at the same time."""
    found = study({"variants": {"mine": {"again": {"label": "again"}}}})
    first, again = found.runs[0].resolved(), found.runs[-1].resolved()
    assert (first["model"], first["training"]) == (again["model"], again["training"])
    assert run_digest(first, "tokens") != run_digest(again, "tokens")


def test_text_that_is_too_short_is_refused_when_it_is_packed(tmp_path, monkeypatch):
    wanted = study({"measures": {"sink_tokens": 5000}})
    tokens, reason = needs(wanted)["results/nano/data/tokens"]["validation"]
    assert (tokens, reason) == (5001, "measures.sink_tokens = 5,000")
    other = needs(study({"measures": {"sink_tokens": 5000}, "evaluation": {"kind": "embedded"}}))
    assert other["results/nano/data/evaluation"] == {"validation": (tokens, reason)}
    assert set(other["results/nano/data/tokens"]) == {"train"}
    monkeypatch.setenv("SPIKESINK_TOKENS_NEEDED", "{}")
    tell_jobs(wanted)
    folder = tmp_path / "results/nano/data/tokens"
    index = {"splits": {"train": {"tokens": 10**6}, "validation": {"tokens": 5000}}}
    with pytest.raises(
        TokenError, match=r"the validation split has 5,000 tokens, and measures\.sink_tokens = 5,000 needs"
    ):
        check_packed(folder, index)
    index["splits"]["validation"]["tokens"] = 5001
    check_packed(folder, index)
    check_packed(tmp_path / "results/other/data/tokens", {"splits": {}})
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TokenError, match="the validation split has 0 tokens"):
        check_packed(Path("results/nano/data/tokens"), {"splits": {"train": {"tokens": 10**6}}})


def test_the_need_of_held_out_text_is_that_of_the_hungriest_measure():
    measures = Measures(sink_tokens=8, calibration_sequences=3)
    assert held_out(measures, 16, in_depth=False, per_position=False)[0] == (3 + 1) * 16 + 1
    assert held_out(Measures(sink_tokens=99, calibration_sequences=3), 16, False, per_position=False)[0] == 100
    assert held_out(measures, 16, in_depth=True, per_position=True)[0] == (3 + 1) * 16 + 1
    assert held_out(Measures(calibration_sequences=1), 16, in_depth=True, per_position=False)[0] == 65


def test_a_run_on_few_sequences_needs_text_for_all_of_them():
    wanted = study({"variants": {"mine": {"little": {"training": {"distinct_share": 0.5}}}}})
    training = wanted.runs[-1].training
    needed = training.steps * training.batch_size // 2 * training.sequence_length + 1
    reason = f"training.distinct_share = 0.5 of its sequences of {training.sequence_length} tokens"
    assert needs(wanted)["results/nano/data/tokens"]["train"] == (needed, reason)
