"""Batches are a pure function of (seed, step), and a damaged token file never reaches a model."""

import json
from pathlib import Path

import numpy as np
import pytest
from fresh_python import loaded_by

from spikesink.data import batches
from spikesink.data.batches import TokenError, TokenStream, batch
from spikesink.runs.json_file import sum_of
from spikesink.runs.sums import file_sum
from spikesink.study.settings import Optimiser, Schedule, Training


def stream_of(count: int, bos: str = "none", bos_id: int | None = None) -> TokenStream:
    """A stream whose token at position p is p + 100."""
    return TokenStream(tokens=np.arange(100, 100 + count, dtype=np.uint16), bos=bos, bos_id=bos_id, vocabulary=60000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokens = np.arange(50, dtype="<u2")
    (tmp_path / "train.bin").write_bytes(tokens.tobytes())
    entry = {"file": "train.bin", "bytes": 100, "tokens": 50, "sha256": file_sum(tmp_path / "train.bin")}
    index = {"format": 1, "dtype": "<u2", "vocabulary": 64, "bos": "none", "bos_id": None, "splits": {"train": entry}}
    (tmp_path / "tokens.json").write_text(json.dumps(index))
    return tmp_path


def test_rows_without_bos_overlap_by_the_token_that_is_target_and_then_input():
    rows = stream_of(9).sequences(np.array([0, 1]), 4)
    assert rows.tolist() == [[100, 101, 102, 103, 104], [104, 105, 106, 107, 108]]


def test_rows_with_sequence_bos_start_with_it_and_use_every_token_once():
    rows = stream_of(8, "sequence", 7).sequences(np.array([0, 1]), 4)
    assert rows.tolist() == [[7, 100, 101, 102, 103], [7, 104, 105, 106, 107]]
    assert rows.dtype == np.int64


@pytest.mark.parametrize(
    ("count", "bos", "expected"),
    [(8, "none", 1), (9, "none", 2), (8, "sequence", 2), (7, "sequence", 1), (0, "none", 0)],
)
def test_number_of_sequences_never_reads_past_the_end(count, bos, expected):
    stream = stream_of(count, bos, 7)
    assert stream.number_of_sequences(4) == expected
    if expected:
        stream.sequences(np.arange(expected), 4)


def test_known_answer_batch():
    """Changes only if the data order of every published run changes."""
    order = np.random.default_rng([3, 0]).permutation(5)
    rows = batch(stream_of(21), seed=3, step=1, batch_size=2, sequence_length=4)
    assert rows[:, 0].tolist() == (100 + 4 * order[2:4]).tolist() == [104, 112]


def test_a_batch_depends_on_seed_and_step_only():
    def at(seed, step):
        return batch(stream_of(400), seed=seed, step=step, batch_size=4, sequence_length=8)

    straight = [at(0, step) for step in range(30)]
    for step in (29, 3, 17):  # as after a resume: other order, cold cache
        batches.permutation.cache_clear()
        assert np.array_equal(at(0, step), straight[step])
    assert not np.array_equal(at(1, 0), straight[0])
    assert not np.array_equal(straight[0], straight[1])


def test_every_epoch_shows_each_sequence_once_in_a_new_order():
    stream, size = stream_of(41), 3  # 10 sequences: batches of 3 straddle epochs
    first = np.concatenate(
        [batch(stream, seed=5, step=step, batch_size=size, sequence_length=4)[:, 0] for step in range(10)]
    )
    epochs = first.reshape(3, 10)
    for epoch in epochs:
        assert sorted(epoch) == list(range(100, 140, 4))
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_run_on_less_text_sees_the_same_few_sequences_again_and_again():
    """Sequences from all over the text, in a new order every time, and others with another seed."""
    stream = stream_of(401)  # 100 sequences

    def seen(seed):
        steps = [batch(stream, seed=seed, step=step, batch_size=4, sequence_length=4, distinct=8) for step in range(6)]
        return np.concatenate([rows[:, 0] for rows in steps]).reshape(3, 8)

    first, second, third = seen(0)
    assert sorted(first) == sorted(second) == sorted(third) and len(set(first)) == 8
    assert first.tolist() != second.tolist()
    assert max(first) - min(first) > 200, "drawn from all of the text, not its first part"
    assert set(seen(1)[0]) != set(first)


def test_all_sequences_as_distinct_ones_are_the_whole_text_in_the_same_order():
    options = {"seed": 2, "step": 3, "batch_size": 4, "sequence_length": 4}
    assert np.array_equal(batch(stream_of(41), **options, distinct=10), batch(stream_of(41), **options))


def test_fewer_sequences_than_a_run_is_to_see_are_refused():
    with pytest.raises(TokenError, match=r"10 sequences of 4 tokens, and distinct_share asks for 11 different"):
        batch(stream_of(41), seed=0, step=0, batch_size=1, sequence_length=4, distinct=11)


def test_a_share_of_the_sequences_is_a_share_of_steps_times_batch():
    training = {"steps": 700, "sequence_length": 64, "batch_size": 32, "schedule": Schedule(warmup_steps=1)}
    assert Training(**training, optimiser=Optimiser(lr=1.0), distinct_share=0.02).distinct_sequences == 448
    assert Training(**training, optimiser=Optimiser(lr=1.0)).distinct_sequences is None


def test_a_stream_shorter_than_one_sequence_is_refused():
    with pytest.raises(TokenError, match=r"4 tokens.*sequence_length = 4"):
        batch(stream_of(4), seed=0, step=0, batch_size=1, sequence_length=4)


def test_open_reads_what_was_written(folder):
    stream = TokenStream.open(folder, "train")
    assert stream.tokens.tolist() == list(range(50))
    assert (stream.bos, stream.bos_id, stream.vocabulary) == ("none", None, 64)


def test_a_truncated_file_is_refused(folder):
    content = (folder / "train.bin").read_bytes()
    (folder / "train.bin").write_bytes(content[:-2])
    with pytest.raises(TokenError, match=r"train\.bin has 98 bytes, its index says 100: delete"):
        TokenStream.open(folder, "train", verify=False)


def test_a_flipped_bit_is_refused(folder):
    content = bytearray((folder / "train.bin").read_bytes())
    content[31] ^= 4
    (folder / "train.bin").write_bytes(content)
    with pytest.raises(TokenError, match=r"train\.bin is damaged"):
        TokenStream.open(folder, "train")


@pytest.mark.parametrize("name", ["train.bin", "tokens.json"])
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(TokenError, match=f"{name} is missing"):
        TokenStream.open(folder, "train")


def test_an_index_that_says_something_else_than_it_did_is_refused(folder):
    """Its values would be used without a word: another BOS, fewer ids."""
    index = json.loads((folder / "tokens.json").read_text())
    index["sum"] = sum_of(index)
    (folder / "tokens.json").write_text(json.dumps(index))
    assert len(TokenStream.open(folder, "train").tokens) == 50
    (folder / "tokens.json").write_text(json.dumps(index | {"vocabulary": index["vocabulary"] + 1}))
    with pytest.raises(TokenError, match=r"tokens\.json is damaged, it is not what its own sum says: delete"):
        TokenStream.open(folder, "train")


@pytest.mark.parametrize("key", ["splits", "dtype", "bos", "vocabulary"])
@pytest.mark.parametrize("value", [None, [1]])
def test_an_index_without_a_key_or_with_another_type_is_refused(folder, key, value):
    index = json.loads((folder / "tokens.json").read_text())
    (folder / "tokens.json").write_text(json.dumps(index | {key: value}))
    with pytest.raises(TokenError, match=f"tokens.json has no '{key}', or something else in its place: delete"):
        TokenStream.open(folder, "train")


@pytest.mark.parametrize("entry", [None, [], {}, {"file": "../train.bin", "bytes": 100, "sha256": ""}])
def test_an_entry_that_describes_no_file_of_the_folder_is_refused(folder, entry):
    index = json.loads((folder / "tokens.json").read_text())
    (folder / "tokens.json").write_text(json.dumps(index | {"splits": {"train": entry}}))
    with pytest.raises(TokenError, match=r"has no splits\.train\.file|outside its folder"):
        TokenStream.open(folder, "train")


def test_a_sequence_needs_its_bos_and_a_language_its_counts(folder):
    """An older index lacks them: rows would begin with nothing, and the oracle's loss would be of another text."""
    index = json.loads((folder / "tokens.json").read_text())
    without = {key: value for key, value in index.items() if key != "bos_id"}
    language = {"triggers": [1], "bigrams": [[1, 0], [0, 1]]}
    for content, said in (
        (without | {"bos": "sequence"}, "has no bos_id"),
        (index | {"language": {"triggers": [1]}}, r"does not describe its language \(KeyError\('bigrams'\)\)"),
        (index | {"language": {**language, "bigrams": [[1], [1, 2]]}}, "does not describe its language"),
    ):
        (folder / "tokens.json").write_text(json.dumps(content))
        with pytest.raises(TokenError, match=rf"tokens\.json {said}.*delete"):
            TokenStream.open(folder, "train")
    (folder / "tokens.json").write_text(json.dumps(without | {"language": language}))
    assert TokenStream.open(folder, "train").bos_id is None


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}'])
def test_an_unreadable_index_is_refused(folder, content):
    (folder / "tokens.json").write_text(content)
    with pytest.raises(TokenError, match=r"tokens\.json is not"):
        TokenStream.open(folder, "train")


def test_an_unknown_split_is_refused(folder):
    with pytest.raises(TokenError, match="no split 'test'"):
        TokenStream.open(folder, "test")


def test_batches_need_numpy_only():
    """Otherwise a bare GPU machine needs datasets and tokenizers to train."""
    others = ("datasets", "tokenizers", "torch", "polars", "pyarrow", "pydantic", "yaml")
    assert loaded_by("spikesink.data.batches", ("numpy", *others)) == ["numpy"]


def test_training_asks_for_its_distinct_sequences():
    """Otherwise the variants on less text would be the baseline under another name."""
    from spikesink.training.data_module import StepBatches

    optimiser, schedule = Optimiser(lr=1.0), Schedule(warmup_steps=1)
    settings = {"steps": 20, "sequence_length": 4, "batch_size": 4, "optimiser": optimiser, "schedule": schedule}
    rows = np.concatenate(list(StepBatches(stream_of(401), Training(**settings, distinct_share=0.1), 0, 0)))
    assert len(rows) == 80 and len(set(rows[:, 0].tolist())) == 8
