"""Tokenizers lose nothing, are the same every time, and say what they lack."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tokenizers
from tokenizers import models

from spikesink.data import tokenizer
from spikesink.data.kinds.bigram_backcopy import sample_language
from spikesink.data.tokenizer import TokenizerError
from spikesink.study.settings import Tokenizer

DOCUMENTS = [
    "the cat sat on the mat and the dog sat on the cat; everybody was content. " * 3,
    "Ä new dögs' day, 2 cats.\n\n\tEnd",
] * 4
# Many pairs that are equally frequent, between which a careless trainer would choose by chance.
TIES = (
    Tokenizer(kind="trained", vocabulary=290, bos="none"),
    [chr(97 + number % 26) * 2 + " " + chr(97 + number * 7 % 26) * 3 for number in range(300)],
)
TRAINED = Tokenizer(kind="trained", vocabulary=300, bos="sequence")


def existing(path: Path, *, special: tuple[str, ...] = (), **vocabulary: int) -> Path:
    """A tokenizer.json as somebody else would have made it."""
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    made.add_special_tokens(list(special))
    made.save(str(path))
    return path


def test_training_gives_the_boundary_tokens_and_the_vocabulary_asked_for(tmp_path):
    loaded = tokenizer.build(TRAINED, DOCUMENTS, tmp_path / "deep" / "tokenizer.json")
    assert (loaded.bos.id, loaded.eos.id, loaded.size) == (0, 1, 300)
    again = tokenizer.load(tmp_path / "deep" / "tokenizer.json")
    assert (again.bos.id, again.eos.id, again.size) == (0, 1, 300)
    written = {path.name for path in (tmp_path / "deep").iterdir() if path.is_file()}
    assert written == {"tokenizer.json", "tokenizer_config.json"}


@pytest.mark.parametrize(
    "text", ["the cat sat", " leading, trailing \n", "new: é ß 漢字 🙂\x00\t\r\n", "a literal <bos> and <eos>", ""]
)
def test_decoding_gives_the_text_back(tmp_path, text):
    loaded = tokenizer.build(TRAINED, DOCUMENTS, tmp_path / "tokenizer.json")
    ids = loaded.tokenizer.encode(text, add_special_tokens=False).ids
    assert loaded.tokenizer.decode(ids, skip_special_tokens=False) == text
    assert not {0, 1} & set(ids), "only packing may place boundaries"


def test_training_is_the_same_in_every_process_and_with_any_number_of_threads(tmp_path):
    script = (
        "import sys; from spikesink.data import tokenizer; from spikesink.study.settings import Tokenizer\n"
        f"tokenizer.build({TIES[0]!r}, {TIES[1]!r}, sys.argv[1])"
    )
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "USE_TORCH": "0", "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "there")], env=environment, check=True)
    tokenizer.build(*TIES, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_characters_have_the_ids_of_the_synthetic_corpus(tmp_path):
    settings = Tokenizer(kind="characters", vocabulary=67, bos="document")
    loaded = tokenizer.build(settings, [], tmp_path / "tokenizer.json")
    characters = sample_language().characters
    assert (loaded.bos.id, loaded.eos.id, loaded.size) == (65, 66, 67)
    assert loaded.tokenizer.encode(characters, add_special_tokens=False).ids == list(range(65))
    assert loaded.tokenizer.decode(list(range(65))) == characters


def test_a_given_tokenizer_keeps_its_boundaries(tmp_path):
    names = ("<|begin_of_text|>", "<|end_of_text|>")
    source = existing(tmp_path / "given.json", special=names, **{"a": 0, names[0]: 1, names[1]: 2})
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": [7, 2]}))
    settings = Tokenizer(kind="file", name=str(source), vocabulary=3, bos="document", eos=True)
    loaded = tokenizer.build(settings, [], tmp_path / "tokenizer.json")
    assert (loaded.bos.id, loaded.eos.id, loaded.size) == (1, 2, 3)


def test_a_tokenizer_like_gpt2_has_an_eos_but_no_bos(tmp_path):
    given = existing(tmp_path / "given.json", special=("<|endoftext|>",), **{"a": 0, "<|endoftext|>": 50256})
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 50256}))
    source = str(given)
    common = {"kind": "file", "name": source, "vocabulary": 50257}
    loaded = tokenizer.build(Tokenizer(**common, bos="none", eos=True), [], tmp_path / "tokenizer.json")
    assert (loaded.bos.id, loaded.eos.id) == (None, 50256)
    with pytest.raises(TokenizerError, match=r"bos = 'sequence': the tokenizer declares no BOS .*: set bos: none"):
        tokenizer.build(Tokenizer(**common, bos="sequence"), [], tmp_path / "refused.json")
    assert not (tmp_path / "refused.json").exists()


def test_a_missing_eos_is_refused(tmp_path):
    source = existing(tmp_path / "given.json", a=0)
    with pytest.raises(TokenizerError, match=r"eos = true: .*: set eos: false"):
        settings = Tokenizer(kind="file", name=str(source), vocabulary=10, bos="none", eos=True)
        tokenizer.build(settings, [], tmp_path / "tokenizer.json")


def test_a_tokenizer_much_smaller_than_the_vocabulary_is_refused(tmp_path):
    """Most of the model's embedding would never be trained: a mistyped vocabulary, or too little text to learn it."""
    settings = Tokenizer(kind="trained", vocabulary=5000, bos="sequence")
    with pytest.raises(TokenizerError, match=r"vocabulary = 5000 is too large: the tokenizer has only \d+ ids"):
        tokenizer.build(settings, ["a few words are not enough for five thousand merges"], tmp_path / "tokenizer.json")


def test_a_trained_tokenizer_learns_from_as_many_documents_as_it_is_told(tmp_path):
    def read(limit, name):
        seen = []
        texts = (seen.append(text) or text for text in ["abab " * 50, "cdcd " * 50, "efef " * 50])
        tokenizer.build(Tokenizer(kind="trained", vocabulary=260, bos="none", documents=limit), texts, tmp_path / name)
        return len(seen)

    assert read(2, "two.json") == 2
    assert read(None, "all.json") == 3


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(tmp_path):
    """Counted by the largest id: an embedding is indexed by it, however many ids below are unused."""
    source = existing(tmp_path / "given.json", a=0, b=99)
    settings = Tokenizer(kind="file", name=str(source), vocabulary=99, bos="none")
    with pytest.raises(TokenizerError, match="vocabulary = 99 is too small: the tokenizer has 100 ids"):
        tokenizer.build(settings, [], tmp_path / "tokenizer.json")


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, content):
    path = tmp_path / "given.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TokenizerError, match=r"given\.json (does not exist|is not a tokenizer\.json)") as caught:
        tokenizer.load(path)
    assert "\n" not in str(caught.value)


def test_a_hub_tokenizer_needs_a_commit(tmp_path):
    settings = Tokenizer(kind="hub", name="some/model", revision="main", vocabulary=10, bos="none")
    with pytest.raises(TokenizerError, match="'main' of some/model can move: pin a commit"):
        tokenizer.build(settings, [], tmp_path / "tokenizer.json")
