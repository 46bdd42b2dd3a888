"""What is held out: the right share of the text, drawn from all over it, and never what is trained on."""

import itertools
import json
import random
from pathlib import Path

import pyarrow.parquet
import pytest

from spikesink.data import corpora
from spikesink.data.__main__ import main
from spikesink.data.errors import CorpusError
from spikesink.data.held_out import drawn
from spikesink.data.kinds.embedded import SAMPLE
from spikesink.data.pieces import pieces
from spikesink.study.settings import Corpus


def split(corpus: Corpus) -> tuple[list[str], list[str]]:
    """The documents that are trained on, and those that are held out."""
    kept: tuple[list[str], list[str]] = [], []
    for texts, held_out in corpora.split_batches(corpus):
        for text, is_held_out in zip(texts, held_out, strict=True):
            kept[is_held_out].append(text)
    return kept


def book(paragraphs: int) -> str:
    return "".join(f"Paragraph {number} of the book. " * 12 + "\n\n" for number in range(paragraphs))


def lognormal_texts(count: int) -> list[str]:
    """Texts whose lengths differ by factors of hundreds, as those of the web do."""
    lengths = random.Random(1)
    return [f"{number} " + "x" * int(lengths.lognormvariate(5, 1.5)) for number in range(count)]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5, 0.9])
def test_the_share_is_of_the_text_and_not_of_the_documents(share):
    held_out = [(len(text), is_held_out) for text, is_held_out in drawn(lognormal_texts(4000), share)]
    whole, longest = sum(length for length, _ in held_out), max(length for length, _ in held_out)
    part = sum(length for length, is_held_out in held_out if is_held_out)
    assert abs(part - share * whole) <= longest
    assert abs(part / whole - share) < 0.02


def test_long_texts_are_held_out_as_often_as_short_ones():
    """A rule that fills the share with whatever fits would hold out short texts alone."""
    texts = ["a" * (1000 if number % 2 else 10) for number in range(20000)]
    random.Random(2).shuffle(texts)
    held_out = [len(text) for text, is_held_out in drawn(texts, 0.05) if is_held_out]
    assert abs(held_out.count(1000) / len(held_out) - 0.5) < 0.05


def test_held_out_texts_come_from_everywhere_and_are_the_same_every_time():
    texts = [f"document {number:05}" for number in range(2000)]
    held_out = [number for number, (_, is_held_out) in enumerate(drawn(texts, 0.05)) if is_held_out]
    assert held_out == [number for number, (_, is_held_out) in enumerate(drawn(texts, 0.05)) if is_held_out]
    for first in range(0, 2000, 200):
        assert 7 <= sum(first <= number < first + 200 for number in held_out) <= 13
    gaps = {after - before for before, after in itertools.pairwise(held_out)}
    assert len(gaps) > 3, "every twentieth would hold out all of a corpus's Mondays"


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
@pytest.mark.parametrize(
    "texts",
    [["a", "b"], ["long " * 900, "b"], ["a", "long " * 900], ["", "a", "", "b", ""]],
    ids=["short", "long first", "long last", "empty between"],
)
def test_of_two_texts_one_is_held_out_and_one_is_not(texts, share):
    found = list(drawn(texts, share))
    assert [text for text, _ in found] == texts
    assert sorted(is_held_out for text, is_held_out in found if text) == [False, True]


@pytest.mark.parametrize("texts", [[], ["a"], ["", "a"], [""]])
def test_a_single_text_is_not_held_out(texts):
    assert list(drawn(texts, 0.5)) == [(text, False) for text in texts]


def test_the_embedded_sample_is_split_as_it_was():
    """Published results rest on it."""
    texts = pyarrow.parquet.read_table(SAMPLE)["text"].to_pylist()
    training, held_out = split(Corpus(kind="embedded"))
    assert held_out == texts[::20]
    assert training == [text for number, text in enumerate(texts) if number % 20]


def test_a_single_long_txt_is_cut_at_blank_lines_and_both_splits_hold_text(tmp_path):
    text = book(400)
    (tmp_path / "book.txt").write_text(text)
    corpus = Corpus(kind="files", files=(str(tmp_path / "book.txt"),))
    training, held_out = split(corpus)
    assert sum(map(len, training)) + sum(map(len, held_out)) == len(text)
    assert 0.03 < sum(map(len, held_out)) / len(text) < 0.07
    assert all(piece in text and piece.endswith("\n\n") for piece in [*training, *held_out])


@pytest.mark.parametrize(
    "text",
    ["", "short\n\ntext", book(40), book(40).replace("\n", "\r\n"), "line\n" * 9000, "no end " * 9000],
    ids=["empty", "short", "book", "CRLF", "lines", "no line ends"],
)
def test_cutting_loses_no_character_and_a_short_text_is_one_document(text):
    documents = pieces(text, None)
    assert "".join(documents) == text and documents
    assert (len(documents) == 1) == (len(text) < 2000 or "\n" not in text)
    assert all(2000 <= len(document) <= 8100 for document in documents[:-1])


@pytest.mark.parametrize(
    ("separator", "text", "documents"),
    [
        ("<|endoftext|>", "a\n\nb<|endoftext|>c<|endoftext|>", ["a\n\nb", "c"]),
        ("\n\n", "a\n\nb\nc\n\n\n\nd", ["a", "b\nc", "d"]),
        ("\n\n", "a\r\n\r\nb", ["a", "b"]),
        ("\r\n---\r\n", "a\n---\nb", ["a", "b"]),
        (".*", "a.*b", ["a", "b"]),
        ("", "a\n\nb" * 9000, ["a\n\nb" * 9000]),
        ("|", " | ", [" | "]),
    ],
    ids=["token", "blank line", "CRLF text", "CRLF separator", "pattern", "none", "nothing between"],
)
def test_a_separator_is_taken_as_it_stands(separator, text, documents):
    assert pieces(text, separator) == documents


def test_a_separator_of_the_config_cuts_the_file(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"poem {number}\n%" for number in range(40)))
    training, held_out = split(Corpus(kind="files", files=(str(tmp_path / "a.txt"),), document_separator="\n%\n"))
    assert len(training) + len(held_out) == 40 and 1 <= len(held_out) <= 4


def test_validation_files_are_held_out_and_nothing_else_is(tmp_path):
    for name in ("train", "valid"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": f"{name} {n}"}) + "\n" for n in range(30)))
    train, valid = (str(tmp_path / f"{name}.jsonl") for name in ("train", "valid"))
    corpus = Corpus(kind="files", files=(train,), validation_files=(valid,), documents=20)
    assert split(corpus) == ([f"train {n}" for n in range(20)], [f"valid {n}" for n in range(30)])
    described = corpora.describe(corpus)
    assert [Path(file["name"]).name for file in described["files"]] == ["train.jsonl", "valid.jsonl"]


@pytest.mark.parametrize(
    "names",
    [
        ("train.txt", "valid.txt"),
        ("wiki.train.raw.txt", "wiki.test.raw.txt"),
        ("/data/test_corpus/train/a.jsonl", "/data/test_corpus/val/a.jsonl"),
        ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
    ],
)
def test_a_file_for_validation_beside_files_for_training_is_refused(names):
    with pytest.raises(ValueError, match=r"files names '.*' beside files for training.*under validation_files"):
        Corpus(kind="files", files=names)
    assert Corpus(kind="files", files=names, validation_files=()).files == names
    assert Corpus(kind="files", files=names[:1], validation_files=names[1:]).files == names[:1]


@pytest.mark.parametrize(
    "names", [("test.txt",), ("a/test/1.txt", "a/test/2.txt"), ("training_test.txt", "train.txt"), ("a.txt", "dev.txt")]
)
def test_names_that_contradict_nothing_are_read(names):
    assert Corpus(kind="files", files=names).files == names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kind": "files", "files": ("a.txt",), "validation_files": ("a.txt",)},
            r"= \['a.txt'\] is among",
        ),
        ({"kind": "embedded", "validation_files": ("a.txt",)}, r"validation_files = \['a.txt'\] is not read by kind"),
        ({"kind": "embedded", "document_separator": "%"}, "document_separator = '%' is not read by kind 'embedded'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Corpus(**settings)


def test_a_single_document_is_refused_by_the_first_step_with_the_reason(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("one short text")
    settings = {
        "corpus": {"kind": "files", "files": [str(tmp_path / "a.txt")]},
        "tokenizer": {"kind": "trained", "vocabulary": 300, "bos": "none"},
    }
    assert main(["corpus", "--settings", json.dumps(settings), "--output", str(tmp_path / "corpus.json")]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    for part in ("is a single document", "a.txt must hold at least 2", "document_separator", "validation_files"):
        assert part in printed


def test_an_empty_corpus_is_said_with_its_file_and_what_to_do(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(CorpusError, match=r"a\.jsonl holds no document: name files that hold text under corpus\.files"):
        corpora.documents(Corpus(kind="files", files=(str(tmp_path / "a.jsonl"),)))
