"""Bigram-Backcopy follows its rule, and nothing but its rule."""

import numpy as np
import pytest

from spikesink.data import corpora
from spikesink.data.kinds import bigram_backcopy
from spikesink.study.settings import Corpus


@pytest.fixture(scope="module")
def counts() -> bigram_backcopy.Language:
    return bigram_backcopy.sample_language()


def test_counts_of_a_text_small_enough_to_check_by_hand():
    counts = bigram_backcopy.language(["aab", "ba"])
    assert counts.characters == "ab"
    assert counts.unigrams.tolist() == [3, 2]
    assert counts.bigrams.tolist() == [[1, 1], [1, 0]]  # "b" and "b" in two documents are no pair


def test_the_alphabet_is_65_characters_and_the_triggers_are_the_most_frequent(counts):
    assert len(set(counts.characters)) == 65
    assert [counts.characters[index] for index in counts.triggers(3)] == [" ", "e", "t"]
    assert (counts.bigrams.sum(axis=1) > 0).all()


def test_after_a_trigger_comes_the_character_before_it(counts):
    symbols = bigram_backcopy.sample(counts, np.random.default_rng(1), documents=300, length=255, triggers=3)
    is_trigger = np.isin(symbols, counts.triggers(3))
    assert not is_trigger[:, 0].any()
    inner = is_trigger[:, 1:-1]
    assert 0.1 < inner.mean() < 0.4
    assert (symbols[:, 2:][inner] == symbols[:, :-2][inner]).all()
    # Without the rule the copy would be a coincidence.
    assert (symbols[:, 2:][~inner] == symbols[:, :-2][~inner]).mean() < 0.3


def test_elsewhere_characters_follow_the_bigram_distribution(counts):
    symbols = bigram_backcopy.sample(counts, np.random.default_rng(1), documents=3000, length=255, triggers=3)
    source = counts.characters.index("h")
    following = symbols[:, 1:][symbols[:, :-1] == source]
    measured = np.bincount(following, minlength=65) / len(following)
    expected = counts.bigrams[source] / counts.bigrams[source].sum()
    assert len(following) > 10_000
    assert np.abs(measured - expected).max() < 0.02


def test_the_first_character_follows_the_unigram_distribution_without_triggers(counts):
    symbols = bigram_backcopy.sample(counts, np.random.default_rng(1), documents=20_000, length=1, triggers=3)
    expected = counts.unigrams.astype(float)
    expected[counts.triggers(3)] = 0
    measured = np.bincount(symbols[:, 0], minlength=65) / 20_000
    assert np.abs(measured - expected / expected.sum()).max() < 0.02


def test_documents_leave_room_for_the_bos_and_are_the_same_every_time():
    corpus = Corpus(kind="bigram_backcopy", synthetic_tokens=64_000, synthetic_length=64)
    first, second = ([row["text"] for row in corpora.documents(corpus)] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first) == 1000
    assert {len(text) for text in first} == {63}


@pytest.mark.parametrize(
    ("setting", "message"), [({"synthetic_triggers": 65}, "at most 64"), ({"synthetic_length": 1}, "at least 2")]
)
def test_settings_that_leave_nothing_to_draw_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Corpus(kind="bigram_backcopy", **setting)
