"""Unit tests share helpers as plain modules beside them."""

import json
import sys
from pathlib import Path

import pytest
import torch

from spikesink.data.__main__ import main

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
    told, corpus, tokenizer = ["--settings", json.dumps(settings)], folder / "corpus.json", folder / "tokenizer.json"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("HF_HUB_OFFLINE", "1"), ("USE_TORCH", "0")):  # as the step sets them for its process
            patch.setenv(name, value)
        for step, *options in (
            ("corpus", "--output", corpus),
            ("tokenizer", "--corpus", corpus, "--output", tokenizer),
            ("tokens", "--corpus", corpus, "--tokenizer", tokenizer, "--output", folder / "tokens"),
        ):
            assert main([step, *told, *map(str, options)]) == 0
    return folder / "tokens"
