"""Held-out rows are a draw over the whole text, the same for every measure, and every token has its document."""

import json

import numpy as np
import pytest

from spikesink.data.batches import TokenError, TokenStream
from spikesink.data.drawn_rows import document_starts, documents_of_targets, drawn_places, held_out_rows
from spikesink.runs.sums import file_sum


def stream_of(count: int, bos: str = "none", bos_id: int | None = None) -> TokenStream:
    """A stream whose token at position p is p + 100."""
    return TokenStream(tokens=np.arange(100, 100 + count, dtype=np.uint16), bos=bos, bos_id=bos_id, vocabulary=60000)


def test_the_first_text_is_not_preferred():
    """In the order of the stream, a hundred sequences of a thousand would all be from the first tenth of the text."""
    places = drawn_places(stream_of(4001), 4, 100)
    assert len(set(places.tolist())) == 100
    tenths = np.bincount(places // 100, minlength=10)
    assert tenths.min() >= 3 and tenths.max() <= 20


def test_fewer_rows_are_the_first_of_more_and_all_rows_are_each_row_once():
    """So a study with a larger limit adds text and takes none away."""
    stream = stream_of(41)
    assert np.array_equal(drawn_places(stream, 4, 3), drawn_places(stream, 4, 7)[:3])
    assert sorted(drawn_places(stream, 4, 99).tolist()) == list(range(10))
    assert sorted(held_out_rows(stream, 4, 99)[:, 0].tolist()) == list(range(100, 140, 4))


def test_known_answer_draw():
    """Changes only if every published measure changes."""
    assert drawn_places(stream_of(41), 4, 4).tolist() == np.random.default_rng(0).permutation(10)[:4].tolist()


@pytest.mark.parametrize(("bos", "offset"), [("none", 1), ("document", 1), ("sequence", 0)])
def test_every_target_has_its_document(bos, offset):
    """Behind a BOS of the sequence the first target is the row's first token of the stream, else the second."""
    stream, starts = stream_of(21, bos, 7), np.array([0, 6, 7, 15])
    places = np.array([2, 0])
    rows = stream.sequences(places, 4)
    expected = [[sum(start <= token - 100 for start in starts) - 1 for token in row[1:]] for row in rows]
    assert documents_of_targets(stream, starts, places, 4).tolist() == expected
    assert rows[0, 1] == 108 + offset


def test_starts_of_documents_that_were_not_written_so_are_refused(tmp_path):
    """They decide which tokens count as one document, and nothing else would show that they are wrong."""
    path = tmp_path / "validation_documents.npy"
    np.save(path, np.array([0, 6, 7], dtype=np.uint64))
    entry = {"document_starts": path.name, "document_starts_sha256": file_sum(path)}
    index = {"format": 1, "dtype": "<u2", "vocabulary": 9, "bos": "none", "splits": {"validation": entry}}
    (tmp_path / "tokens.json").write_text(json.dumps(index))
    assert document_starts(tmp_path, "validation").tolist() == [0, 6, 7]
    np.save(path, np.array([0, 5, 7], dtype=np.uint64))
    with pytest.raises(TokenError, match=r"validation_documents\.npy is damaged.* first with the target .*npy$"):
        document_starts(tmp_path, "validation")
    path.unlink()
    with pytest.raises(TokenError, match=r"validation_documents\.npy cannot be read \(No such file"):
        document_starts(tmp_path, "validation")


@pytest.mark.parametrize("entry", [{}, {"document_starts": None}, {"document_starts": "../starts.npy"}])
def test_an_index_that_names_no_starts_is_refused(tmp_path, entry):
    """One of an older version, or of somebody else."""
    index = {"format": 1, "dtype": "<u2", "vocabulary": 9, "bos": "none", "splits": {"validation": entry}}
    (tmp_path / "tokens.json").write_text(json.dumps(index))
    np.save(tmp_path.parent / "starts.npy", np.array([0]))
    with pytest.raises(TokenError, match=r"has no splits\.validation\.document_starts|outside its folder"):
        document_starts(tmp_path, "validation")
    with pytest.raises(TokenError, match="has no split 'train': it has validation"):
        document_starts(tmp_path, "train")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array"])
def test_starts_without_a_sum_that_are_no_array_are_refused(tmp_path, content):
    """Those of an older index have no sum."""
    entry = {"document_starts": "validation_documents.npy"}
    index = {"format": 1, "dtype": "<u2", "vocabulary": 9, "bos": "none", "splits": {"validation": entry}}
    (tmp_path / "tokens.json").write_text(json.dumps(index))
    (tmp_path / "validation_documents.npy").write_bytes(content)
    with pytest.raises(TokenError, match=r"validation_documents\.npy cannot be read .*delete"):
        document_starts(tmp_path, "validation")


def test_a_text_shorter_than_one_sequence_is_refused():
    with pytest.raises(TokenError, match="3 tokens"):
        held_out_rows(stream_of(3), 4, 1)
