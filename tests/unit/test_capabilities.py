"""lm-evaluation-harness finds in an export what the decoder says, for a variant that transformers has no class for."""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path

import polars as pl
import pytest
import torch
from models import model_settings, shaken
from safetensors.torch import save_file

from spikesink.data import tokenizer as data_tokenizer
from spikesink.measures import capabilities
from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.study.settings import Capabilities

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
    return capabilities.harness(options, Capabilities(batch_size=2), place / "work")


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
        start = [texts.bos_id, *encode(before)]
        ids = [texts.bos_id, *encode(before + after)]
        assert ids[: len(start)] == start, "the prompt's tokens are those of the whole"
        assert found == pytest.approx(log_likelihood(decoder, ids, len(start)), abs=1e-4)
    (found,) = harness.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (TEXT,), 0)])
    assert found == pytest.approx(log_likelihood(decoder, [texts.bos_id, *encode(TEXT)], 1), abs=1e-4)


def test_answers_of_unequal_prompts_are_those_of_each_alone(harness, decoder, texts):
    from lm_eval.api.instance import Instance

    prompts, options = ["A", "To be, or not to be", "In the beginning"], {"until": ["\x00"], "max_gen_toks": 4}
    requests = [Instance("generate_until", {}, (prompt, options), number) for number, prompt in enumerate(prompts)]
    for prompt, found in zip(prompts, harness.generate_until(requests), strict=True):
        ids = [texts.bos_id, *texts.tokenizer.encode(prompt, add_special_tokens=False).ids]
        for _ in range(4):
            ids.append(int(decoder(torch.tensor([ids]))[0, -1].argmax()))
        assert found == texts.tokenizer.decode(ids[-4:])


def asked(monkeypatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["capabilities", *map(str, words)])
    return capabilities.main()


def settings(place: Path, *tasks: str) -> str:
    return json.dumps({"tasks": tasks, "include_path": str(place / "tasks"), "batch_size": 2})


def test_a_run_is_given_the_tasks_of_a_folder(place, decoder, texts, token_folder, monkeypatch, capsys):
    """From the command line, offline: accuracy and perplexity are those of our own log-likelihoods."""
    out, named = place / "measures/capabilities.parquet", settings(place, *TASKS)
    assert asked(monkeypatch, "tasks", "--settings", named, "--output", place / "tasks.json") == 0
    assert json.loads((place / "tasks.json").read_text())["tasks"] == {"tiny_choice": 1.0, "tiny_text": 1.0}
    words = ["--run", place / "run", "--tokenizer", token_folder.parent / "tokenizer.json", "--gpus", 0]
    assert asked(monkeypatch, "answer", *words, "--settings", named, "--output", out) == 0
    assert "loglikelihood" in capsys.readouterr().err, "progress is shown"
    rows = {(row["task"], row["metric"]): row for row in pl.read_parquet(out).to_dicts()}
    encode = lambda text: [texts.bos_id, *texts.tokenizer.encode(text, add_special_tokens=False).ids]  # noqa: E731
    right = 0
    for doc in CHOICES:
        start = len(encode(doc["question"]))
        scores = [log_likelihood(decoder, encode(doc["question"] + choice), start) for choice in doc["choices"]]
        right += max(range(len(scores)), key=scores.__getitem__) == doc["answer"]
    assert rows["tiny_choice", "acc"]["value"] == right / len(CHOICES) and rows["tiny_choice", "acc"]["samples"] == 2
    by_byte = torch.tensor(-log_likelihood(decoder, encode(TEXT), 1) / len(TEXT)).exp().item()
    assert rows["tiny_text", "byte_perplexity"]["value"] == pytest.approx(by_byte, rel=1e-4)


def test_what_cannot_be_asked_is_said_in_one_line(place, monkeypatch, capsys):
    def said(*tasks: str, **others: str) -> str:
        named = json.dumps(json.loads(settings(place, *tasks)) | others)
        assert asked(monkeypatch, "tasks", "--settings", named, "--output", place / "no.json") == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        return line

    assert "has no task 'tiny_choise': did you mean tiny_choice" in said("tiny_choise")
    assert "include_path = 'nowhere' is no folder" in said("tiny_choice", include_path="nowhere")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    (place / "tasks/remote.yaml").write_text(
        json.dumps(TASKS["tiny_choice"] | {"task": "remote", "dataset_path": "a/b"})
    )
    line = said("remote")
    assert "the task 'remote' cannot be loaded" in line and "where the hub can be reached" in line
    monkeypatch.setattr(capabilities, "LIBRARIES", ("not_installed",))
    assert "not_installed is not installed" in said("tiny_choice") and not (place / "no.json").exists()
