"""lm-evaluation-harness finds in an export what the decoder says, for a variant that transformers has no class for."""

import argparse
import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import datasets
import huggingface_hub.constants
import polars as pl
import pytest
import torch
from models import model_settings, shaken
from safetensors.torch import save_file

from spikesink.data import tokenizer as data_tokenizer
from spikesink.measures import capabilities, standard_tasks
from spikesink.measures.accuracies import ACCURACIES
from spikesink.measures.harnessed import exported
from spikesink.measures.harnessed import harness as harnessed
from spikesink.measures.loading import trained_subject
from spikesink.measures.questions.quantisation import settings_of
from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.quantities.of_capabilities import EVERY_CAPABILITY
from spikesink.study.settings import Capabilities
from spikesink.tables.collecting.reductions import take
from spikesink.tables.contracts import without_unasked

CONTEXT, VOCABULARY = 48, 300
GATED = {
    "gate": {"kind": "conditional", "per": "head"},
    "attention": {"heads": 4, "head_dim": 4, "softmax": "softmax1"},
}
TEXT = "To be, or not to be: that is the question."
CHOICES = [
    {"question": "To be, or not", "choices": [" to be", " to see", " at all"], "answer": 0},
    {"question": "A", "choices": [" rose", " is"], "answer": 1},
]
WORDS = {"nouns": ["stone", "river", "cloud"], "adjectives": ["grey", "slow", "tall"], "verbs": ["run"]}
TASKS = {
    "tiny_choice": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "doc_to_choice": "{{choices}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    },
    "tiny_text": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": TEXT,
        "metric_list": [{"metric": "byte_perplexity", "aggregation": "weighted_perplexity", "higher_is_better": False}],
    },
}


@pytest.fixture(autouse=True)
def own_tasks_alone(monkeypatch):
    """The harness reads thousands of files to know its own tasks."""
    from lm_eval import tasks

    monkeypatch.setattr(tasks, "TaskManager", partial(tasks.TaskManager, include_defaults=False))


@pytest.fixture(scope="module")
def place(tmp_path_factory, token_folder) -> Path:
    """A folder with a random gated run, and one of tasks with their data."""
    folder = tmp_path_factory.mktemp("capabilities")
    run = {
        "study": "test",
        "scale": "tiny",
        "variant": "gated",
        "seed": 3,
        "tokenizer": {"vocabulary": VOCABULARY, "bos": "sequence"},
        "training": {
            "steps": 6,
            "sequence_length": CONTEXT,
            "batch_size": 4,
            "optimiser": {"lr": 0.01},
            "schedule": {"warmup_steps": 2},
        },
        "model": {
            "layers": 2,
            "d_model": 16,
            "feed_forward": {"kind": "swiglu", "width": 20},
            "initialisation": {"linear_std": 0.3},
        }
        | GATED,
    }
    (folder / "run").mkdir()
    (folder / "run/run.json").write_text(json.dumps(run))
    (folder / "run/manifest.json").write_text(json.dumps({"status": "finished"}))
    decoder = Decoder(model_settings(**GATED), vocabulary=VOCABULARY, positions=CONTEXT)
    initialise(decoder, 0)
    shaken(decoder)
    save_file(decoder.state_dict(), folder / "run/model.safetensors")
    (folder / "tasks").mkdir()
    data = folder / "tasks/data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in CHOICES))
    for name, task in TASKS.items():
        common = {"task": name, "dataset_path": "json", "test_split": "test", "metadata": {"version": 1.0}}
        common["dataset_kwargs"] = {"data_files": {"test": str(data)}}
        (folder / f"tasks/{name}.yaml").write_text(json.dumps(common | task))  # JSON is YAML
    return folder


@pytest.fixture(scope="module")
def decoder(place) -> Decoder:
    from spikesink.model.trained import load_run

    return load_run(place / "run", "cpu")[0]


@pytest.fixture(scope="module")
def texts(token_folder):
    return data_tokenizer.load(token_folder.parent / "tokenizer.json")


@pytest.fixture(scope="module")
def harness(place, token_folder):
    """The run as the harness takes it."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    options = argparse.Namespace(
        run=place / "run", tokenizer=token_folder.parent / "tokenizer.json", gpus=0, threads=1, pretrained=None
    )
    (place / "work").mkdir()
    return harnessed(exported(options, place / "work"), options, Capabilities(batch_size=2))


@torch.no_grad()
def log_likelihood(decoder: Decoder, ids: list[int], first: int) -> float:
    """Of the tokens from place ``first`` on, each after all before it."""
    logs = decoder(torch.tensor([ids])).log_softmax(dim=-1)[0]
    return sum(logs[place - 1, ids[place]].item() for place in range(first, len(ids)))


def test_log_likelihoods_are_ours(harness, decoder, texts):
    """Of continuations of prompts of unequal lengths, and of whole texts, with one BOS before each."""
    from lm_eval.api.instance import Instance

    encode = lambda text: texts.tokenizer.encode(text, add_special_tokens=False).ids  # noqa: E731
    pairs = [
        ("To be, or not", " to be"),
        ("A", " rose is a rose"),
        ("In the beginning there was", " a word"),
        ("", "It"),
    ]
    requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]
    for (before, after), (found, _) in zip(pairs, harness.loglikelihood(requests), strict=True):
        start = [texts.bos.id, *encode(before)]
        ids = [texts.bos.id, *encode(before + after)]
        assert ids[: len(start)] == start, "the prompt's tokens are those of the whole"
        assert found == pytest.approx(log_likelihood(decoder, ids, len(start)), abs=1e-4)
    (found,) = harness.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (TEXT,), 0)])
    assert found == pytest.approx(log_likelihood(decoder, [texts.bos.id, *encode(TEXT)], 1), abs=1e-4)


def test_answers_of_unequal_prompts_are_those_of_each_alone(harness, decoder, texts):
    from lm_eval.api.instance import Instance

    prompts, options = ["A", "To be, or not to be", "In the beginning"], {"until": ["\x00"], "max_gen_toks": 4}
    requests = [Instance("generate_until", {}, (prompt, options), number) for number, prompt in enumerate(prompts)]
    for prompt, found in zip(prompts, harness.generate_until(requests), strict=True):
        ids = [texts.bos.id, *texts.tokenizer.encode(prompt, add_special_tokens=False).ids]
        for _ in range(4):
            ids.append(int(decoder(torch.tensor([ids]))[0, -1].argmax()))
        assert found == texts.tokenizer.decode(ids[-4:])


def asked(monkeypatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["capabilities", *map(str, words)])
    return capabilities.main()


def settings(place: Path, *tasks: str, **others: object) -> str:
    return json.dumps({"tasks": tasks, "include_path": str(place / "tasks"), "batch_size": 2} | others)


def test_a_run_is_given_the_tasks_of_a_folder(place, decoder, texts, token_folder, monkeypatch, capsys):
    """From the command line, offline: accuracy and perplexity are those of our own log-likelihoods."""
    out, named = place / "measures/capabilities.parquet", settings(place, *TASKS)
    assert asked(monkeypatch, "tasks", "--settings", named, "--output", place / "tasks.json") == 0
    assert json.loads((place / "tasks.json").read_text())["tasks"] == {"tiny_choice": 1.0, "tiny_text": 1.0}
    words = ["--run", place / "run", "--tokenizer", token_folder.parent / "tokenizer.json", "--gpus", 0]
    assert asked(monkeypatch, "answer", *words, "--settings", named, "--output", out) == 0
    assert "loglikelihood" in capsys.readouterr().err, "progress is shown"
    rows = {(row["task"], row["metric"]): row for row in pl.read_parquet(out).to_dicts()}
    encode = lambda text: [texts.bos.id, *texts.tokenizer.encode(text, add_special_tokens=False).ids]  # noqa: E731
    right = 0
    for doc in CHOICES:
        start = len(encode(doc["question"]))
        scores = [log_likelihood(decoder, encode(doc["question"] + choice), start) for choice in doc["choices"]]
        right += max(range(len(scores)), key=scores.__getitem__) == doc["answer"]
    assert rows["tiny_choice", "acc"]["value"] == right / len(CHOICES) and rows["tiny_choice", "acc"]["samples"] == 2
    by_byte = torch.tensor(-log_likelihood(decoder, encode(TEXT), 1) / len(TEXT)).exp().item()
    assert rows["tiny_text", "byte_perplexity"]["value"] == pytest.approx(by_byte, rel=1e-4)


def test_quantised_models_are_asked_the_same(place, decoder, texts, token_folder, monkeypatch):
    """Every setting's perplexity is that of the decoder quantised by the measure, calibrated on the same text."""
    every = ["smoothquant", "round_to_nearest", "gptq", "awq", "dynamic_per_token", "static_per_tensor"]
    every.append("down_projection_static")
    named = settings(place, "tiny_text", quantisation=every, calibration_sequences=3)
    words = ["--run", place / "run", "--tokenizer", token_folder.parent / "tokenizer.json", "--gpus", 0]
    words += ["--tokens", token_folder, "--settings", named, "--output", place / "quantised.parquet"]
    assert asked(monkeypatch, "answer", *words) == 0
    found = {row["setting"]: row["value"] for row in pl.read_parquet(place / "quantised.parquet").to_dicts()}
    assert set(found) == {"full_precision", *every} and len({round(value, 6) for value in found.values()}) == len(found)
    rows = trained_subject(place / "run", token_folder, None, "cpu").rows(3)[:, :-1]
    ids = [texts.bos.id, *texts.tokenizer.encode(TEXT, add_special_tokens=False).ids]
    for name, _, changed in settings_of(decoder, rows, 2):
        with changed():
            expected = torch.tensor(-log_likelihood(decoder, ids, 1) / len(TEXT)).exp().item()
        assert found[name] == pytest.approx(expected, rel=1e-5), name


PRINTED = (43.28, 24.91, 47.98, 51.38, 69, 51.59, 31.4, 72.52, 69.9, 54.22)
"""The baseline's accuracies in 2603.17771's Table 3, in percent, by the order of our columns."""


def test_the_mean_accuracy_is_the_papers():
    rows = [
        {"task": task, "metric": metric, "value": value / 100}
        for (task, metric, _), value in zip(ACCURACIES.values(), PRINTED, strict=True)
    ]
    (mean,) = capabilities.mean_accuracy(rows)
    assert 100 * mean["value"] == pytest.approx(51.62, abs=0.005)
    assert capabilities.mean_accuracy(rows[1:]) == []


def test_every_setting_has_columns_of_its_own():
    common = {"task": "wikitext", "metric": "word_perplexity"}
    rows = [common | {"setting": "full_precision", "value": 20.0}, common | {"setting": "gptq", "value": 21.0}]
    tables = {"capabilities": pl.DataFrame(rows)}
    found = {one.name: take(tables, one.taken) for one in EVERY_CAPABILITY}
    assert {name: value for name, value in found.items() if value is not None} == {"wikitext": 20, "wikitext_gptq": 21}
    shown = without_unasked(pl.DataFrame([found], schema=dict.fromkeys(found, pl.Float64)))
    assert shown.columns == ["wikitext", "wikitext_gptq"]


@pytest.fixture
def needles(monkeypatch) -> Path:
    """The harness's folder of RULER, with the words that it hides."""
    import lm_eval
    import nltk

    words = SimpleNamespace(RandomWord=lambda: SimpleNamespace(_categories=WORDS))
    monkeypatch.setitem(sys.modules, "wonderwords", words)
    monkeypatch.setattr(nltk, "download", lambda name: False)
    return Path(lm_eval.__file__).parent / "tasks/ruler"


def test_needles_are_hidden_in_texts_of_the_length_that_is_asked_for(place, needles, token_folder, monkeypatch, capsys):
    run = shutil.copytree(place / "run", place / "long")
    described = json.loads((run / "run.json").read_text())
    described["training"]["sequence_length"] = 700
    (run / "run.json").write_text(json.dumps(described))
    words = ["--run", run, "--tokenizer", token_folder.parent / "tokenizer.json", "--gpus", 0]

    def asked_for(length: int) -> int:
        named = {"tasks": ["niah_single_1"], "include_path": str(needles), "limit": 2, "context_lengths": [length]}
        words_of_it = ["--settings", json.dumps(named), "--output", place / "needles.parquet"]
        assert asked(monkeypatch, "tasks", *words_of_it[:2], "--output", place / "needles.json") == 0
        return asked(monkeypatch, "answer", *words, *words_of_it)

    assert asked_for(650) == 0
    (row,) = pl.read_parquet(place / "needles.parquet").to_dicts()
    assert (row["task"], row["metric"], row["samples"]) == ("niah_single_1", "650", 2) and 0 <= row["value"] <= 1
    assert asked_for(1200) == 1
    assert "makes texts of 1,200 tokens, and this model takes 700: name lengths up to that" in capsys.readouterr().err


def test_what_needles_lack_is_said_in_one_line(place, needles, monkeypatch, capsys):
    def said(task: str, length: int = 4096) -> str:
        named = {"tasks": [task], "include_path": str(needles), "context_lengths": [length]}
        assert asked(monkeypatch, "tasks", "--settings", json.dumps(named), "--output", place / "no.json") == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        return line

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # read from the environment at its import
    assert "are longer than capabilities.context_lengths: name greater" in said("niah_single_1", 150)
    assert "the task 'niah_single_2' cannot be loaded" in (line := said("niah_single_2")) and "can be reached" in line
    essays = {"text": ["A sentence. Another one. " * 2000]}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: essays)
    assert "nltk's data punkt_tab are not here" in said("niah_single_2")
    monkeypatch.setitem(sys.modules, "wonderwords", None)
    for name in [name for name in sys.modules if name.startswith("lm_eval.tasks.ruler")]:
        monkeypatch.delitem(sys.modules, name)
    assert "the package wonderwords is not installed: pip install wonderwords" in said("niah_single_1")


def test_what_cannot_be_asked_is_said_in_one_line(place, monkeypatch, capsys):
    def said(*tasks: str, **others: str) -> str:
        named = json.dumps(json.loads(settings(place, *tasks)) | others)
        assert asked(monkeypatch, "tasks", "--settings", named, "--output", place / "no.json") == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        return line

    assert "has no task 'tiny_choise': did you mean tiny_choice" in said("tiny_choise")
    assert "include_path = 'nowhere' is no folder" in said("tiny_choice", include_path="nowhere")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # read from the environment at its import
    (place / "tasks/remote.yaml").write_text(
        json.dumps(TASKS["tiny_choice"] | {"task": "remote", "dataset_path": "a/b"})
    )
    line = said("remote")
    assert "the task 'remote' cannot be loaded" in line and "where the network can be reached" in line
    monkeypatch.setattr(standard_tasks, "LIBRARIES", ("not_installed",))
    assert "not_installed is not installed" in said("tiny_choice") and not (place / "no.json").exists()
