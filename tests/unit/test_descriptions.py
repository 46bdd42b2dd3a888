"""What an older version or somebody else has written about texts and models is used, or refused in one line."""

import hashlib
import json

import pytest
from odd_json import odd

from spikesink.data.__main__ import tokenizer_of_pretrained
from spikesink.data.corpora import described_files, local_sources
from spikesink.measures.loading import pretrained_subject
from spikesink.pretrained.card import text_licence
from spikesink.runs.json_file import read_json
from spikesink.runs.json_kinds import CORPUS
from spikesink.study.settings import Corpus, Pretrained
from spikesink.tables.collecting.published_models import published_models
from spikesink.workflow.measure_plan import described_model

DIGEST = "a" * 64
TOKENIZER = {"kind": "file", "name": "tokenizer.json", "digest": DIGEST, "beside": {"config.json": DIGEST}}
TEXT = {"kind": "files", "dataset": None, "revision": None, "documents": None, "tokenizer": TOKENIZER}
TEXT |= {"files": [{"name": "a.txt", "bytes": 1, "digest": DIGEST}]}
MODEL = {"source": "a/b", "revision": "c", "packages": ["p"], "folder": "gone", "architecture": "LlamaForCausalLM"}
MODEL |= {"parameters": 1, "vocabulary": 9, "positions": 8, "stored_as": "float32", "dequantised": False, "context": 8}
MODEL |= {"tokenizer": "gone/tokenizer.json", "bos": "none", "bos_token": None, "converted_by": {"gguf": "1"}}
MODEL |= {"files": {"config.json": {"bytes": 1, "digest": DIGEST}}}
CORPUS_READERS = (
    lambda path: described_files(Corpus(kind="files", files=("a.txt",)), read_json(path, "again", CORPUS)),
    lambda path: local_sources(read_json(path, "again", CORPUS)),
    text_licence,
)
MODEL_READERS = (
    tokenizer_of_pretrained,
    lambda path: published_models({"m": path}),
    lambda path: described_model(str(path), Pretrained(source="a/b", revision="c", bos="none", context=8)),
    lambda path: pretrained_subject(path, path.with_name("tokens"), "cpu"),
)


@pytest.fixture
def path(tmp_path):
    """Where the description lies, beside packed tokens."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "validation.bin").write_bytes(b"\0\0")
    entry = {"file": "validation.bin", "bytes": 2, "sha256": hashlib.sha256(b"\0\0").hexdigest()}
    index = {"format": 1, "dtype": "<u2", "vocabulary": 9, "bos": "none", "splits": {"validation": entry}}
    (tokens / "tokens.json").write_text(json.dumps(index))
    return tmp_path / "described.json"


@pytest.mark.parametrize(
    ("document", "readers", "needed"),
    [
        (TEXT, CORPUS_READERS, {"kind", "files", "files[0].digest", "files[0].name", "tokenizer.beside"}),
        (MODEL, MODEL_READERS, {"source", "folder", "tokenizer", "bos", "vocabulary", "parameters", "context"}),
    ],
    ids=["text", "model"],
)
def test_an_odd_description_is_used_or_refused_in_one_line(path, document, readers, needed):
    """A key that is not there was a KeyError, without the file's name."""
    named = set()
    for where, content in odd(document):
        path.write_text(json.dumps(content))
        for read in readers:
            try:
                read(path)
            except ValueError as error:
                assert "\n" not in str(error), where
                named |= {key for key in needed if f"described.json: has no {key!r}" in str(error)}
                named |= {key for key in needed if f"described.json: {key} = 'None' is no" in str(error)}
    assert named == needed
