"""A published model is measured on held-out text in its own tokens."""

import json
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from spikesink.data.__main__ import main
from spikesink.data.batches import TokenError, TokenStream
from spikesink.measures.probes.token_ids import byte_level, token_ids

DELIMITERS = (".", ",", "\n", "é", "nowhere")
DOCUMENTS = [f"document {number}, of twenty.\n" for number in range(20)]


def tokenizer_file(folder: Path, vocabulary: dict | list, **others: dict) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({"model": {"vocab": vocabulary}} | others), encoding="utf-8")
    return path


def test_delimiters_are_found_in_a_byte_level_vocabulary(tmp_path):
    """There a line break is Ċ and é is Ã©; the character é is a byte that is no text, so nothing is found for it."""
    tokenizer = byte_level_tokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    expected = [tokenizer.encode(text).ids for text in DELIMITERS[:3]]
    assert [[found] for found in token_ids(tmp_path / "tokenizer.json", DELIMITERS)] == expected
    splitters = [{"type": "Split"}, {"type": "ByteLevel"}]
    path = tokenizer_file(
        tmp_path, {"é": 2, "Ã©": 3, "Ċ": 1, ".": 0}, pre_tokenizer={"type": "Sequence", "pretokenizers": splitters}
    )
    assert token_ids(path, DELIMITERS) == [0, 1, 3]


def test_the_byte_level_alphabet_is_that_of_the_tokenizers_library():
    assert {byte_level(byte) for byte in range(256)} == set(pre_tokenizers.ByteLevel.alphabet())
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for character in "\n\té¶\u00ad ":
        ((spelled, _),) = splitter.pre_tokenize_str(character)
        assert spelled == "".join(map(byte_level, character.encode()))


def test_delimiters_are_found_in_a_sentencepiece_vocabulary(tmp_path):
    """Its bytes have names, and its words begin with a bar: the delimiter itself is meant, wherever both stand."""
    vocabulary = {"<s>": 1, "<0x0A>": 13, "▁,": 20, ",": 21, ".": 22, "é": 30, "Ã©": 31, "Ċ": 32}
    assert token_ids(tokenizer_file(tmp_path, vocabulary, decoder=None), DELIMITERS) == [22, 21, 13, 30]


def test_delimiters_are_found_in_a_unigram_vocabulary(tmp_path):
    """There ids are places in a list, and 0 is one like any other."""
    pieces = [[".", -1.0], ["<unk>", 0.0], ["\n", -3.5], ["é", -9.0]]
    assert token_ids(tokenizer_file(tmp_path, pieces), DELIMITERS) == [0, 2, 3]


@pytest.mark.parametrize("text", ["{", "[]", '{"model": {}}', '{"model": {"vocab": [1]}}'])
def test_a_file_without_a_vocabulary_is_one_line(tmp_path, text):
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"tokenizer.json is not a tokenizer.json that can be read: .*"):
        token_ids(path, DELIMITERS)
    with pytest.raises(OSError, match="absent"):
        token_ids(tmp_path / "absent", DELIMITERS)


def byte_level_tokenizer() -> tokenizers.Tokenizer:
    """Like Llama's: <s> and </s>, and merges that the study's tokenizer does not have."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=262, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["document"] * 9, trainer)
    return made


@pytest.fixture
def corpus(tmp_path) -> str:
    """Settings of twenty documents, of which a fifth is held out, described in corpus.json; without a tokenizer."""
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS))
    settings = {"kind": "files", "files": [str(tmp_path / "text.jsonl")], "validation_share": 0.2}
    trained = {"kind": "trained", "vocabulary": 300, "bos": "none"}
    described = ["--settings", json.dumps({"corpus": settings, "tokenizer": trained})]
    assert main(["corpus", *described, "--output", str(tmp_path / "corpus.json")]) == 0
    return json.dumps({"corpus": settings})


def pack(folder: Path, settings: str, **described: object) -> int:
    """Pack the text of a model that pretrained.json describes; the exit status."""
    byte_level_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"bos_token": "<s>", "eos_token": {"content": "</s>"}}')
    description = {"source": "a/b", "folder": str(folder), "parameters": 1, "context": 32, "bos": "sequence"}
    description |= {"tokenizer": str(folder / "tokenizer.json"), "vocabulary": 262} | described
    (folder / "pretrained.json").write_text(json.dumps(description))
    options = ["--settings", settings, "--corpus", folder / "corpus.json", "--pretrained", folder / "pretrained.json"]
    return main(["tokens", *map(str, options), "--output", str(folder / "tokens")])


@pytest.mark.parametrize(("bos", "bos_id"), [("sequence", 0), ("none", None)])
def test_only_held_out_text_is_packed_in_the_models_tokens(tmp_path, corpus, bos, bos_id):
    """Training text is not held out, and ids of another tokenizer would mean nothing to the model."""
    assert pack(tmp_path, corpus, bos=bos, vocabulary=300) == 0
    stream = TokenStream.open(tmp_path / "tokens", "validation")
    assert (stream.bos, stream.bos_id, stream.vocabulary) == (bos, bos_id, 300)
    text = byte_level_tokenizer().decode(stream.tokens.tolist())
    held_out = [document for document in DOCUMENTS if document in text]
    assert 3 <= len(held_out) <= 5, "a fifth of twenty documents"
    assert text == "".join(held_out)
    assert not (tmp_path / "tokens/train.bin").exists()
    with pytest.raises(TokenError, match="has no split 'train': it has validation"):
        TokenStream.open(tmp_path / "tokens", "train")


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"vocabulary": 200}, "vocabulary = 200 is too small: document "),
        ({"tokenizer": "absent.json"}, "absent.json does not exist"),
        ({"tokenizer": None}, "pretrained.json: tokenizer = 'None' is no line of text: delete "),
    ],
)
def test_a_tokenizer_that_does_not_fit_is_one_line(tmp_path, corpus, capsys, described, message):
    assert pack(tmp_path, corpus, **described) == 1
    printed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(printed) == 1
    assert message in printed[0]
