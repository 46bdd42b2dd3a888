"""The packed stream holds exactly the documents, with boundaries where the BOS policy puts them."""

import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from spikesink.data import corpora, packing, tokenizer
from spikesink.data.batches import TokenError, TokenStream
from spikesink.data.enough import VARIABLE
from spikesink.data.readers import CorpusError
from spikesink.data.tokenizer import TokenizerError
from spikesink.runs.sums import file_sum
from spikesink.study.settings import Corpus, Tokenizer

TEXTS = [f"document {number} ends here.\n" * (1 + number % 3) for number in range(10)]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> tuple[Corpus, Path]:
    folder = tmp_path_factory.mktemp("source")
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    settings = Tokenizer(kind="trained", vocabulary=280, bos="none")
    tokenizer.build(settings, TEXTS, folder / "tokenizer.json")
    return Corpus(kind="files", files=(str(path),), validation_share=0.2), folder / "tokenizer.json"


def settings(bos: str, eos: bool = False, vocabulary: int = 280) -> Tokenizer:
    return Tokenizer(kind="trained", vocabulary=vocabulary, bos=bos, eos=eos)


def held_out_and_not(corpus: Corpus) -> dict[str, list[str]]:
    """The texts of both splits, neither of them empty."""
    kept = {"validation": [], "train": []}
    for texts, held_out in corpora.split_batches(corpus):
        for text, is_held_out in zip(texts, held_out, strict=True):
            kept["validation" if is_held_out else "train"].append(text)
    assert all(kept.values()) and sorted([*kept["validation"], *kept["train"]]) == sorted(TEXTS)
    return kept


@pytest.mark.parametrize("bos", ["document", "sequence", "none"])
@pytest.mark.parametrize("eos", [True, False])
def test_boundaries(source, tmp_path, bos, eos):
    corpus, tokenizer_path = source
    index = packing.pack(corpus, settings(bos, eos), tokenizer_path, tmp_path)
    encode = tokenizer.load(tokenizer_path).tokenizer.encode
    before, after = [0] * (bos == "document"), [1] * eos
    for split, kept in held_out_and_not(corpus).items():
        documents = [before + encode(text).ids + after for text in kept]
        stream = TokenStream.open(tmp_path, split)
        assert stream.tokens.tolist() == list(itertools.chain(*documents))
        assert stream.bos == bos
        assert stream.bos_id == (None if bos == "none" else 0)
        entry = index["splits"][split]
        starts = np.load(tmp_path / entry["document_starts"])
        assert file_sum(tmp_path / entry["document_starts"]) == entry["document_starts_sha256"]
        assert starts.tolist() == np.cumsum([0, *map(len, documents)])[:-1].tolist()
        assert entry["tokens"] == len(stream.tokens)
        assert entry["documents"] == len(kept)
        assert entry["text_bytes"] == sum(len(text.encode()) for text in kept)
    assert (index["bos"], index["eos"], index["eos_id"]) == (bos, eos, 1 if eos else None)


def test_a_sequence_bos_reaches_the_model_but_not_the_stream(source, tmp_path):
    packing.pack(source[0], settings("sequence"), source[1], tmp_path)
    stream = TokenStream.open(tmp_path, "train")
    rows = stream.sequences(np.arange(stream.number_of_sequences(8)), 8)
    assert (rows[:, 0] == 0).all()
    assert (rows[:, 1:] != 0).all()
    assert rows[:, 1:].ravel().tolist() == stream.tokens[: rows[:, 1:].size].tolist()


def test_the_index_identifies_everything(source, tmp_path):
    index = packing.pack(source[0], settings("none"), source[1], tmp_path)
    assert index == json.loads((tmp_path / "tokens.json").read_text())
    assert index["tokenizer_sha256"] == hashlib.sha256(source[1].read_bytes()).hexdigest()
    for entry in index["splits"].values():
        content = (tmp_path / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content) == 2 * entry["tokens"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["tokens.json", "train.bin", "train_documents.npy", "validation.bin", "validation_documents.npy"]
    )


@pytest.mark.parametrize(("vocabulary", "dtype"), [(2**16, "<u2"), (2**16 + 1, "<u4")])
def test_ids_are_stored_wide_enough(source, tmp_path, vocabulary, dtype):
    assert packing.pack(source[0], settings("none", vocabulary=vocabulary), source[1], tmp_path)["dtype"] == dtype
    assert TokenStream.open(tmp_path, "train").tokens.dtype == np.dtype(dtype)


def test_packing_twice_gives_the_same_bytes(source, tmp_path):
    for name in ("a", "b"):
        packing.pack(source[0], settings("document", True), source[1], tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_failure_leaves_no_stream_that_looks_complete(source, tmp_path):
    packing.pack(source[0], settings("none"), source[1], tmp_path)
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "a"}\n{"text": "b"}\n{"text')
    with pytest.raises(CorpusError, match="line 3"):
        packing.pack(Corpus(kind="files", files=(str(broken),)), settings("none"), source[1], tmp_path)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(TokenError, match="pack the tokens first"):
        TokenStream.open(tmp_path, "train")


def test_a_single_document_cannot_be_split(source, tmp_path):
    corpus = Corpus(kind="files", files=source[0].files, documents=1)
    with pytest.raises(CorpusError, match=r"validation split is empty: .*texts\.jsonl must hold at least 2"):
        packing.pack(corpus, settings("none"), source[1], tmp_path)


def test_the_one_long_document_is_not_held_out_unseen(source, tmp_path):
    """Of two documents the last is held out: here it is nearly all of the text."""
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "short"}\n{"text": "%s"}\n' % ("long " * 100))
    corpus = Corpus(kind="files", files=(str(path),))
    refused = r"500 of 505 bytes of text are held out, with validation_share = 0\.05: the documents of .* too unequal"
    with pytest.raises(CorpusError, match=refused):
        packing.pack(corpus, settings("none"), source[1], tmp_path)
    assert packing.pack(replace(corpus, validation_share=0.9), settings("none"), source[1], tmp_path)


@pytest.mark.parametrize("by_bytes", [True, False])
def test_a_tokenizer_that_leaves_letters_out_is_refused(tmp_path, by_bytes):
    """A BPE that was trained without the alphabet of bytes: letters that it has not seen would vanish from the text."""
    learned = tokenizers.Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if by_bytes else None
    learned.train_from_iterator(["some text"], trainers.BpeTrainer(show_progress=False))
    learned.save(str(tmp_path / "tokenizer.json"))
    path = tmp_path / "texts.jsonl"
    corpus, vocabulary = Corpus(kind="files", files=(str(path),)), learned.get_vocab_size()
    own = Tokenizer(kind="file", name=str(tmp_path / "tokenizer.json"), vocabulary=vocabulary, bos="none")
    path.write_text('{"text": "some text"}\n{"text": "some more text"}\n')
    with pytest.raises(TokenizerError, match=r"would leave 'r' out of document 1 of .*texts\.jsonl: .* kind 'trained'"):
        packing.pack(corpus, own, own.name, tmp_path)
    path.write_text('{"text": "some text"}\n{"text": "text some"}\n')
    assert packing.pack(corpus, own, own.name, tmp_path)["splits"]["train"]["tokens"]


def test_a_tokenizer_that_does_not_fit_the_settings_is_refused(source, tmp_path):
    with pytest.raises(TokenizerError, match="vocabulary = 260 is too small"):
        packing.pack(source[0], settings("none", vocabulary=260), source[1], tmp_path)


def test_characters_do_not_encode_other_text(source, tmp_path):
    characters = Tokenizer(kind="characters", vocabulary=67, bos="document")
    tokenizer.build(characters, [], tmp_path / "tokenizer.json")
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "none"}\n{"text": "caf\\u00e9"}\n')
    with pytest.raises(TokenizerError, match="reads only the synthetic corpus"):
        packing.pack(Corpus(kind="files", files=(str(path),)), characters, tmp_path / "tokenizer.json", tmp_path)


def test_a_document_that_cannot_be_encoded_is_named_by_its_place_in_its_file(tmp_path):
    characters = Tokenizer(kind="characters", vocabulary=67, bos="document")
    tokenizer.build(characters, [], tmp_path / "tokenizer.json")
    train, held_out = tmp_path / "t.jsonl", tmp_path / "v.jsonl"
    corpus = Corpus(kind="files", files=(str(train),), validation_files=(str(held_out),))

    def named(trained: list[str], validation: list[str]) -> str:
        for path, texts in ((train, trained), (held_out, validation)):
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        with pytest.raises(TokenizerError) as error:
            packing.pack(corpus, characters, tmp_path / "tokenizer.json", tmp_path)
        return str(error.value)

    assert f"document 1 of {held_out} (" in named(["none"] * 300, ["none", "café"])
    assert f"document 257 of {train} (" in named(["none"] * 257 + ["café"], ["none"])


def test_a_synthetic_document_is_one_training_row(tmp_path):
    corpus = Corpus(kind="bigram_backcopy", synthetic_tokens=6400, synthetic_length=64)
    characters = Tokenizer(kind="characters", vocabulary=67, bos="document")
    tokenizer.build(characters, [], tmp_path / "tokenizer.json")
    packing.pack(corpus, characters, tmp_path / "tokenizer.json", tmp_path)
    stream = TokenStream.open(tmp_path, "train")
    assert (stream.sequences(np.arange(stream.number_of_sequences(64)), 64)[:, 0] == 65).all()
    assert (stream.tokens == 65).sum() * 64 == len(stream.tokens) == 95 * 64


def test_files_of_held_out_text_that_are_too_short_are_refused_when_they_are_packed(source, tmp_path, monkeypatch):
    """Runs of days would end before a measure finds that it has no text."""
    short = tmp_path / "held_out.jsonl"
    short.write_text(json.dumps({"text": TEXTS[0]}) + "\n")
    corpus = replace(source[0], validation_files=(str(short),))
    folder = tmp_path / "results/tiny/data/tokens"
    needs = {"results/tiny/data/tokens": {"validation": [500, "measures.sink_tokens = 499"]}}
    monkeypatch.setenv(VARIABLE, json.dumps(needs))
    refusal = (
        r"the validation split has \d+ tokens, and measures\.sink_tokens = 499 needs 500: .*validation_files of the"
    )
    with pytest.raises(TokenError, match=refusal):
        packing.pack(corpus, settings("none"), source[1], folder)
    assert not (folder / "tokens.json").exists()
    short.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS * 10))
    assert packing.pack(corpus, settings("none"), source[1], folder)["splits"]["validation"]["tokens"] >= 500
