"""What a person gives a job by hand: a fault in it is one line that says which option, what value, what to do."""

import json
import sys

import pytest

from spikesink.measures.__main__ import main as measure
from spikesink.training.__main__ import main as train

SETTINGS = {
    **dict.fromkeys(("study", "scale", "ablation", "variant"), "a"),
    "seed": 0,
    "tokenizer": {"vocabulary": 8, "bos": "none"},
    "model": {},
    "training": {"steps": 2, "sequence_length": 8, "optimiser": {}},
}
REMEDY = "give the run.json of a run, or its text"


def said(capsys, monkeypatch, main, *words: str) -> str:
    """What a command prints when it is given something wrong."""
    monkeypatch.setattr(sys, "argv", ["command", *words])
    try:
        assert main() == 1
    except SystemExit as end:  # by argparse
        assert end.code == 2
    return capsys.readouterr().err.strip().split("\n")[-1]


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ("{", "error: --run: not valid JSON"),
        (json.dumps({"seed": 1}), f"error: --run: has no 'study': {REMEDY}"),
        (json.dumps(SETTINGS | {"seed": "1"}), f"error: --run: seed = '1' is no whole number: {REMEDY}"),
        (
            json.dumps(SETTINGS | {"tokenizer": {"bos": "none"}}),
            f"error: --run: has no 'tokenizer.vocabulary': {REMEDY}",
        ),
        (json.dumps(SETTINGS | {"training": {"steps": 2}}), "error: --run: has no 'training.sequence_length'"),
        ("nowhere.json", "error: nowhere.json: cannot be read"),
    ],
)
def test_a_run_that_cannot_be_trained_is_one_line(capsys, monkeypatch, tmp_path, run, line):
    folders = ["--tokens", str(tmp_path), "--output", str(tmp_path / "run"), "--checkpoints", str(tmp_path / "kept")]
    assert said(capsys, monkeypatch, train, "--run", run, *folders).startswith(line)


def test_a_file_that_is_no_run_is_named(capsys, monkeypatch, tmp_path):
    file = tmp_path / "list.json"
    file.write_text("[]")
    folders = ["--tokens", str(tmp_path), "--output", str(tmp_path / "run"), "--checkpoints", str(tmp_path / "kept")]
    line = f"error: {file}: holds no JSON object: {REMEDY}"
    assert said(capsys, monkeypatch, train, "--run", str(file), *folders) == line


@pytest.mark.parametrize("option", ["--threads", "--nodes", "--processes"])
def test_no_thread_node_or_process_is_refused(capsys, monkeypatch, option):
    words = ["--run", "{}", "--tokens", "t", "--output", "o", "--checkpoints", "c", option, "0"]
    assert said(capsys, monkeypatch, train, *words).endswith(f"argument {option}: '0' is no whole number from 1 on")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("{", "error: --settings: not valid JSON"),
        ("[]", "error: --settings: holds no JSON object: give the measures section as JSON"),
        ('{"sinks": 1}', "error: Measures has no key 'sinks'"),
    ],
)
def test_settings_of_a_measure_that_are_none_are_one_line(capsys, monkeypatch, tmp_path, settings, line):
    words = [
        "forward",
        "--pretrained",
        str(tmp_path / "pretrained.json"),
        "--tokens",
        str(tmp_path),
        "--settings",
        settings,
    ]
    assert said(capsys, monkeypatch, measure, *words).startswith(line)
