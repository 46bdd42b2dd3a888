"""What a model can do, measured on models of which it is known: all, nothing, or exactly one thing."""

import json
import math
from dataclasses import replace

import models
import numpy as np
import pytest
import torch
from known_models import CERTAIN, KnownModel, copying, uniform

from spikesink.data.batches import TokenStream
from spikesink.measures.probes.ordinary_tokens import draw_distinct, ordinary_tokens
from spikesink.measures.questions.beyond_context import beyond_context
from spikesink.measures.questions.induction import induction, repeated_random_tokens
from spikesink.measures.questions.perplexity import perplexity
from spikesink.measures.questions.retrieval import distances, planted, retrieval
from spikesink.measures.subject import Subject

VOCABULARY = 50
ORDINARY = torch.arange(5, 45)


def subject(tmp_path, bos: str = "sequence", text: np.ndarray | None = None, **overrides) -> Subject:
    special = [{"id": 0, "special": True}, {"id": 3, "special": True}, {"id": 9, "special": False}]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": special}))
    text = np.random.default_rng(0).integers(1, 20, 3000) if text is None else text
    stream = TokenStream(text, bos, 1 if bos != "none" else None, models.VOCABULARY)
    return Subject(models.decoder(**overrides), 16, None, stream, tmp_path / "tokenizer.json", tmp_path, np.zeros(1))


def test_ordinary_tokens_occur_in_text_and_are_not_special(tmp_path):
    """BOS and special tokens would test something else, and ids that no text has were never trained."""
    assert ordinary_tokens(subject(tmp_path)).tolist() == [2, *range(4, 20)]


def test_random_tokens_are_distinct_ordinary_and_uniform():
    drawn = draw_distinct(ORDINARY, 2000, 10, torch.Generator().manual_seed(0))
    assert all(len(set(row)) == 10 for row in drawn.tolist())
    counts = torch.bincount(drawn.flatten(), minlength=VOCABULARY)
    assert counts[:5].sum() == counts[45:].sum() == 0
    assert counts[5:45].min() > 400 and counts[5:45].max() < 600, "500 each on average"


@pytest.mark.parametrize(("bos", "context", "width"), [(1, 16, 17), (1, 17, 17), (None, 16, 17 - 1), (None, 17, 18)])
def test_random_tokens_come_twice_within_the_context(bos, context, width):
    """After a BOS where training has one; beyond the trained context the test would be another."""
    rows = repeated_random_tokens(ORDINARY, 3, context, bos)
    start = int(bos is not None)
    assert rows.shape == (3, width) and width <= context + 1
    half = (width - start) // 2
    assert torch.equal(rows[:, start : start + half], rows[:, start + half :])
    assert start == 0 or (rows[:, 0] == bos).all()
    assert repeated_random_tokens(torch.tensor([4, 5, 6]), 3, context, bos).shape[1] == start + 6, (
        "few tokens, short copies"
    )


def test_a_copying_model_predicts_the_whole_second_copy_and_nothing_of_the_first():
    rows = repeated_random_tokens(ORDINARY, 8, 32, 1)
    table = induction(copying(VOCABULARY), rows, starts=True, batch_size=3)
    assert [(row["copy"], row["place"]) for row in table] == [
        (copy, place) for copy in (1, 2) for place in range(1, 16)
    ]
    for row in table:
        assert row["tokens"] == 8
        assert row["nll_nats"] == pytest.approx(0 if row["copy"] == 2 else 8 * math.log(VOCABULARY), abs=1e-4)
        assert row["copy"] == 1 or row["correct"] == 8
    assert sum(row["correct"] for row in table[:15]) == 0


def test_a_uniform_model_gains_nothing_from_the_first_copy():
    rows = repeated_random_tokens(ORDINARY, 8, 31, None)
    table = induction(uniform(VOCABULARY), rows, starts=False, batch_size=5)
    assert {row["copy"] for row in table} == {1, 2}
    assert all(row["nll_nats"] == pytest.approx(8 * math.log(VOCABULARY)) for row in table)


def test_the_loss_of_a_place_is_the_models_own_there():
    """Places and copies must be those of the tokens predicted, not of those read."""
    model, rows = models.decoder(), repeated_random_tokens(torch.arange(4, 30), 5, 16, 1)
    positions = perplexity(model, rows, 5)
    table = induction(model, rows, starts=True, batch_size=5)
    expected = [positions[place]["nll_nats"] for place in (*range(1, 8), *range(9, 16))]
    assert [row["nll_nats"] for row in table] == pytest.approx(expected)


def test_keys_and_values_stand_at_the_distances():
    """A value is so many tokens before where it is asked for, the place after the last token."""
    haystacks = torch.zeros(2, 20, dtype=torch.long)
    keys = torch.arange(10, 26).view(2, 4, 2)
    values = torch.arange(30, 38).view(2, 4)
    full = planted(haystacks, keys, values)
    assert distances(20) == [4, 8, 12, 16]
    for pair, distance in enumerate(distances(20)):
        assert torch.equal(full[:, 20 - distance], values[:, pair])
        assert torch.equal(full[:, 18 - distance : 20 - distance], keys[:, pair])
    assert (full == 0).sum() == 2 * (20 - 12), "all else is text"


@pytest.mark.parametrize("length", [*range(15, 24), 64, 1000])
def test_pairs_overlap_neither_each_other_nor_the_question_nor_position_0(length):
    found = distances(length)
    taken = {length - distance - shift for distance in found for shift in (0, 1, 2)}
    assert len(found) == 4 and len(taken) == 12 and min(taken) >= 1 and max(taken) < length - 2
    assert not distances(14)


def test_a_copying_model_finds_every_value_and_a_uniform_one_is_at_chance():
    haystacks = torch.full((6, 40), 2)
    table = retrieval(copying(VOCABULARY, context=2), haystacks, ORDINARY, batch_size=4)
    assert [(row["seed"], row["distance"]) for row in table] == [(s, d) for s in range(5) for d in (8, 16, 24, 32)]
    for row in table:
        assert row["correct"] == row["chosen"] == row["sequences"] == 6
        assert row["log_probability"] == pytest.approx(0, abs=1e-6)
        assert row["others_log_probability"] == pytest.approx(-CERTAIN)
    table = retrieval(uniform(VOCABULARY), haystacks, ORDINARY, batch_size=4)
    for name in ("log_probability", "others_log_probability"):
        assert all(row[name] == pytest.approx(-math.log(VOCABULARY)) for row in table)
    share = sum(row["chosen"] for row in table) / sum(row["sequences"] for row in table)
    assert share == 1 / 4 == 1 / table[0]["candidates"]


def test_a_model_that_takes_any_planted_value_is_no_better_than_chance():
    """One that sees which tokens are values, but not whose, must not pass for one that reads keys."""

    def nearest(tokens):
        found = torch.zeros(*tokens.shape, VOCABULARY)
        found[torch.arange(len(tokens)), -1, tokens[:, tokens.shape[1] - distances(tokens.shape[1])[0]]] = 50.0
        return found

    table = retrieval(KnownModel(nearest), torch.full((6, 40), 2), ORDINARY, batch_size=4)
    assert {(row["distance"], row["chosen"]) for row in table} >= {(8, 6)}
    assert sum(row["correct"] for row in table) == 5 * 6 == sum(row["sequences"] for row in table) / 4


def test_each_seed_plants_something_else_the_same_every_time():
    haystacks, model = torch.full((3, 20), 2), models.decoder()
    first, again = (retrieval(model, haystacks, torch.arange(4, 31), batch_size=3) for _ in range(2))
    assert first == again
    assert len({row["log_probability"] for row in first if row["distance"] == 4}) == 5


def test_what_does_not_fit_has_no_rows():
    assert not retrieval(uniform(VOCABULARY), torch.full((3, 14), 2), ORDINARY, batch_size=3)
    assert not retrieval(uniform(VOCABULARY), torch.full((3, 20), 2), ORDINARY[:11], batch_size=3)


def test_beyond_the_context_is_scored_by_quarters_of_a_context(tmp_path):
    """Known answer: the sums of the model's own losses by position."""
    one = subject(tmp_path)
    table = beyond_context(one, 1000, 8)
    positions = perplexity(one.model, one.rows(1000 // 64, 64), 8)
    assert [(row["first"], row["last"]) for row in table] == [(4 * part, 4 * part + 4) for part in range(16)]
    assert [row["contexts"] for row in table] == [1] * 4 + [2] * 4 + [4] * 8
    assert sum(row["nll_nats"] for row in table) == pytest.approx(sum(row["nll_nats"] for row in positions))
    assert table[5]["nll_nats"] == pytest.approx(sum(row["nll_nats"] for row in positions[20:24]))
    assert all(row["tokens"] == 4 * 15 for row in table)


def test_odd_contexts_are_cut_at_their_ends(tmp_path):
    """A part that began in one context and ended in the next would be of neither."""
    table = beyond_context(replace(subject(tmp_path), context=10), 1000, 8)
    assert [row["first"] for row in table][:9] == [0, 2, 5, 7, 10, 12, 15, 17, 20]
    assert table[-1]["last"] == 40


def test_a_table_over_positions_and_too_short_a_text_have_nothing_beyond(tmp_path):
    assert not beyond_context(subject(tmp_path, gate={"kind": "positional"}), 1000, 8)
    assert not beyond_context(subject(tmp_path, text=np.arange(60) % 20), 1000, 8)
