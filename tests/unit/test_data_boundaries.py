"""A variant with another BOS trains on the same text, from the one packed corpus."""

import json
from dataclasses import asdict

import models
import numpy as np
import pytest
from safetensors.torch import save_file

from spikesink.data import tokenizer
from spikesink.data.batches import TokenError, TokenStream
from spikesink.data.boundaries import open_with_bos, with_bos
from spikesink.data.drawn_rows import documents_of_targets
from spikesink.data.packing import pack
from spikesink.measures.loading import trained_subject
from spikesink.measures.probes.ordinary_tokens import ordinary_tokens
from spikesink.runs.sums import file_sum
from spikesink.study.settings import Corpus, Tokenizer, Training, build
from spikesink.training.task import stream_of

BOS = 7
DOCUMENTS = ([10, 11, 12], [20], [], [40, 41])
"""The third document has no token."""


def packed(bos: str) -> tuple[TokenStream, np.ndarray]:
    """What packing DOCUMENTS with this BOS gives, and where documents start."""
    parts = [[BOS, *tokens] if bos == "document" else list(tokens) for tokens in DOCUMENTS]
    starts = np.cumsum([0, *map(len, parts[:-1])])
    tokens = np.array([token for part in parts for token in part], dtype=np.uint16)
    return TokenStream(tokens, bos, None if bos == "none" else BOS, vocabulary=60), starts


@pytest.mark.parametrize("have", ["sequence", "document"])
@pytest.mark.parametrize("want", ["sequence", "document", "none"])
def test_text_with_another_bos_is_the_text_packed_with_that_bos(have, want):
    """Else a variant without a BOS would still see one, or miss a token behind it."""
    found, starts = with_bos(*packed(have), want)
    expected, expected_starts = packed(want)
    assert len(found.tokens) == len(expected.tokens)
    assert found.tokens[np.arange(len(found.tokens))].tolist() == expected.tokens.tolist()
    assert starts.tolist() == expected_starts.tolist()
    assert (found.bos, found.bos_id) == (expected.bos, expected.bos_id)
    places = np.arange(found.number_of_sequences(2))
    assert found.sequences(places, 2).tolist() == expected.sequences(places, 2).tolist()
    assert (
        documents_of_targets(found, starts, places, 2).tolist()
        == documents_of_targets(expected, expected_starts, places, 2).tolist()
    )


def test_without_a_wish_the_text_stays_as_it_is_packed():
    stream, starts = packed("document")
    assert with_bos(stream, starts, None) == (stream, starts)
    assert with_bos(stream, starts, "document")[0] is stream


def test_a_bos_that_was_not_packed_is_refused():
    with pytest.raises(TokenError, match=r"training\.bos = 'document', and the text was packed without a BOS: set"):
        with_bos(*packed("none"), "document")


def test_training_and_measures_see_the_same_bos(tmp_path):
    """Else a model that never saw a BOS would be measured behind one."""
    tokens = np.arange(10, 60, dtype="<u2")
    splits = {}
    for split in ("train", "validation"):
        (tmp_path / f"{split}.bin").write_bytes(tokens.tobytes())
        np.save(tmp_path / f"{split}.npy", np.array([0, 30], dtype=np.uint64))
        digest = file_sum(tmp_path / f"{split}.bin")
        splits[split] = {"file": f"{split}.bin", "bytes": 100, "sha256": digest, "document_starts": f"{split}.npy"}
    index = {"format": 1, "dtype": "<u2", "vocabulary": models.VOCABULARY, "bos": "sequence", "bos_id": BOS}
    (tmp_path / "tokens.json").write_text(json.dumps(index | {"splits": splits}))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": [{"id": BOS, "special": True}]}))
    for bos, first in ((None, BOS), ("none", 10), ("document", BOS)):
        plain = {"steps": 2, "sequence_length": 8, "batch_size": 2, "bos": bos}
        plain |= {"optimiser": {"lr": 0.1}, "schedule": {"warmup_steps": 1}}
        assert stream_of(tmp_path, build(Training, plain)).sequences(np.array([0]), 8)[0, 0] == first
        model, run = models.decoder(), tmp_path / f"run_{bos}"
        run.mkdir()
        save_file(model.state_dict(), run / "model.safetensors")
        settings = {"tokenizer": {"vocabulary": models.VOCABULARY}, "model": asdict(model.settings), "training": plain}
        (run / "run.json").write_text(json.dumps(settings))
        subject = trained_subject(run, tmp_path, tmp_path / "tokenizer.json", "cpu")
        assert subject.stream.sequences(np.array([0]), 8)[0, 0] == first
        assert subject.document_starts.tolist() == ([0, 31] if bos == "document" else [0, 30])
        assert ordinary_tokens(subject).tolist() == list(range(10, 60))


def test_packed_files_are_read_with_another_bos_and_damaged_starts_are_refused(tmp_path):
    """A wrong start would put a BOS into the middle of a document."""
    texts = [f"document {number} ends here. " * (1 + number % 3) for number in range(10)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    corpus = Corpus(kind="files", files=(str(tmp_path / "texts.jsonl"),), validation_share=0.4)
    for bos in ("sequence", "document"):
        settings = Tokenizer(kind="trained", vocabulary=280, bos=bos)
        tokenizer.build(settings, texts, tmp_path / "tokenizer.json")
        pack(corpus, settings, tmp_path / "tokenizer.json", tmp_path / bos)
    found, starts = open_with_bos(tmp_path / "sequence", "validation", "document")
    expected, expected_starts = open_with_bos(tmp_path / "document", "validation", None)
    assert found.tokens[np.arange(len(expected.tokens))].tolist() == expected.tokens.tolist()
    assert starts.tolist() == expected_starts.tolist()
    path = tmp_path / "sequence/validation_documents.npy"
    np.save(path, np.load(path) + np.uint64(1))
    with pytest.raises(TokenError, match=r"validation_documents\.npy is damaged, its sha256 differs from the index"):
        open_with_bos(tmp_path / "sequence", "validation", "document")
