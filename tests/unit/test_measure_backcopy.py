"""Bigram-Backcopy: an oracle has no excess risk, and heads that are planted active or dormant are found so."""

import math
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from known_models import oracle, uniform
from test_measures import blank_embeddings, plant_sink, silent

from spikesink.data.batches import SyntheticLanguage, TokenStream
from spikesink.data.kinds.bigram_backcopy import Language, sample
from spikesink.data.packing import pack
from spikesink.data.tokenizer import build as build_tokenizer
from spikesink.measures.questions.backcopy import backcopy, backcopy_heads, kinds_of, oracle_nll
from spikesink.study.settings import Corpus, Tokenizer

COUNTS = np.random.default_rng(0).integers(0, 9, (12, 12))
LANGUAGE = SyntheticLanguage((3, 7), COUNTS)
BOS, VOCABULARY = 12, 14


def rows(documents: int = 8, length: int = 30) -> torch.Tensor:
    """Documents of the language after a BOS, with the next document's BOS."""
    unigrams = np.ones(12, dtype=np.int64)
    unigrams[[3, 7]] = 5, 4  # the most frequent are the triggers
    symbols = sample(Language("abcdefghijkl", unigrams, COUNTS), np.random.default_rng(1), documents, length, 2)
    bos = np.full((documents, 1), BOS)
    return torch.from_numpy(np.concatenate((bos, symbols, bos), axis=1))


def test_the_kinds_are_those_of_the_rules():
    """BOS a 3(trigger) a b BOS: the first trigger copies a; a trigger right after a BOS has nothing to copy."""
    row = torch.tensor([[BOS, 1, 3, 1, 2, BOS, 7, 5, 5]])
    kinds = kinds_of(row, LANGUAGE)
    assert kinds["trigger"].tolist() == [[False, False, True, False, False, False, False, False]]
    assert kinds["other"].tolist() == [[False, True, False, True, False, False, False, True]]
    assert kinds_of(torch.tensor([[3, 1, 2]]), LANGUAGE)["trigger"].tolist() == [[False, False]], (
        "what it copies is not seen"
    )


def test_the_oracle_has_no_excess_risk():
    """On trigger tokens its loss is 0, on others that of the bigrams: the same as the oracle that the measure knows."""
    trigger, other = backcopy(oracle(LANGUAGE.triggers, COUNTS, VOCABULARY), rows(), LANGUAGE, 3)
    assert (trigger["kind"], other["kind"]) == ("trigger", "other")
    assert trigger["tokens"] > 20 and other["tokens"] > 100
    assert trigger["oracle_nats"] == 0 and trigger["nll_nats"] == pytest.approx(0, abs=1e-6)
    assert other["nll_nats"] == pytest.approx(other["oracle_nats"], rel=1e-5)


def test_a_uniform_model_loses_the_logarithm_of_the_vocabulary():
    for row in backcopy(uniform(VOCABULARY), rows(), LANGUAGE, 8):
        assert row["nll_nats"] == pytest.approx(row["tokens"] * math.log(VOCABULARY), rel=1e-5)


def test_the_oracles_loss_is_the_conditional_entropy_on_average():
    """The excess is over that entropy, which 2410.13835 subtracts."""
    many = rows(3000, 20)
    mask = kinds_of(many, LANGUAGE)["other"]
    found = oracle_nll(many, LANGUAGE)[mask].mean().item()
    shares = COUNTS / COUNTS.sum(axis=1, keepdims=True)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)
    here = torch.bincount(many[:, :-1][mask], minlength=12).numpy()
    assert found == pytest.approx((here * entropy[:12]).sum() / here.sum(), rel=0.01)


def test_a_head_that_rests_on_the_bos_and_one_that_does_not():
    """Head 2 of the second layer attends to the BOS whatever the query; all others attend uniformly."""
    model = silent()
    blank_embeddings(model)
    plant_sink(model, layer=1, head=2, token=BOS, strength=6.0)
    tokens = rows()[:, :-1]
    found = backcopy_heads(model, tokens, LANGUAGE, BOS, 3)
    assert [(row["block"], row["head"]) for row in found] == [(block, head) for block in (1, 3) for head in range(4)]
    for row in found:
        if (row["block"], row["head"]) == (3, 2):
            assert row["bos_at_trigger"] > 0.8 and row["bos_at_other"] > 0.8 and row["previous_at_trigger"] < 0.1
        else:
            places = torch.arange(1.0, 32)
            mask = kinds_of(torch.nn.functional.pad(tokens, (0, 1)), LANGUAGE)["trigger"]
            uniform_share = (mask / places).sum().item() / mask.sum().item()
            assert row["bos_at_trigger"] == pytest.approx(uniform_share, rel=1e-4)
            assert row["previous_at_trigger"] == pytest.approx(uniform_share, rel=1e-4)
    assert not backcopy_heads(model, tokens[:, 1:], LANGUAGE, BOS, 3), "no sequence begins with the BOS"


def test_the_packed_text_says_its_rules_and_no_other_text_does(tmp_path: Path, token_folder):
    """The measure knows them from the text that it scores; other text is not measured."""
    corpus = Corpus(kind="bigram_backcopy", synthetic_tokens=4000, synthetic_length=40)
    settings = Tokenizer(kind="characters", vocabulary=67, bos="document")
    build_tokenizer(settings, (), tmp_path / "tokenizer.json")
    pack(corpus, settings, tmp_path / "tokenizer.json", tmp_path / "tokens")
    stream = TokenStream.open(tmp_path / "tokens", "validation")
    assert len(stream.language.triggers) == 3 and stream.language.bigrams.shape == (65, 65)
    text = torch.from_numpy(stream.sequences(np.arange(4), 40))
    trigger = kinds_of(text, stream.language)["trigger"]
    assert trigger.any() and (text[:, 1:][trigger] == torch.roll(text, 1, 1)[:, :-1][trigger]).all()
    assert TokenStream.open(token_folder, "validation").language is None
    (_, other) = backcopy(oracle(stream.language.triggers, stream.language.bigrams, 67), text, stream.language, 5)
    assert other["nll_nats"] == pytest.approx(other["oracle_nats"], rel=1e-4)


@pytest.mark.parametrize("name", ["attention_only", "grouped_query", "softpick", "sink_logit"])
def test_every_attention_has_its_heads(name):
    model = models.decoder(**models.VARIANTS[name])
    found = backcopy_heads(model, rows()[:, :-1], LANGUAGE, BOS, 3)
    blocks = (1, 2, 3, 4) if name == "attention_only" else (1, 3)
    assert [(row["block"], row["head"]) for row in found] == [(block, head) for block in blocks for head in range(4)]
    assert all(0 <= row["bos_at_other"] <= 1 for row in found)
