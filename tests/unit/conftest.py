"""Unit tests share helpers as plain modules beside them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Every test draws the same random numbers whatever ran before it in its process."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def token_folder(tmp_path_factory) -> Path:
    """Packed tokens of a few embedded documents, made by the real data step."""
    folder = tmp_path_factory.mktemp("data")
    settings = {
        "corpus": {"kind": "embedded", "documents": 30, "validation_share": 0.2},
        "tokenizer": {"kind": "trained", "vocabulary": 300, "bos": "sequence"},
    }
    steps = {
        "corpus": ["--output", folder / "corpus.json"],
        "tokenizer": ["--corpus", folder / "corpus.json", "--output", folder / "tokenizer.json"],
        "tokens": [
            "--corpus",
            folder / "corpus.json",
            "--tokenizer",
            folder / "tokenizer.json",
            "--output",
            folder / "tokens",
        ],
    }
    for step, options in steps.items():
        command = [sys.executable, "-m", "spikesink.data", step, "--settings", json.dumps(settings), *map(str, options)]
        subprocess.run(command, check=True, timeout=120)
    return folder / "tokens"
