"""A kind that counting, building, exporting or measuring does not know is refused there, never taken for another."""

import typing
from dataclasses import replace

import models
import pytest

from spikesink.data.corpora import describe, documents
from spikesink.data.kinds import KINDS
from spikesink.measures.probes.amplifier import amplifier_of
from spikesink.measures.questions.normalisation import normalisation, normalised_channels
from spikesink.measures.questions.reshaping import reshaping
from spikesink.model.decoder import Decoder
from spikesink.model.extra_key import ExtraKey
from spikesink.model.feed_forward import BUILDERS as FEED_FORWARD_BUILDERS
from spikesink.model.gates import AttentionGate
from spikesink.model.norms import BUILDERS as NORM_BUILDERS
from spikesink.model.norms import AnyNorm, initial_norm
from spikesink.model.softmax import FORMED
from spikesink.model.valves import AttentionValve
from spikesink.pretrained.formats import PretrainedError, to_config
from spikesink.study import kinds
from spikesink.study.memory import memory_bytes
from spikesink.study.settings import (
    Attention,
    Corpus,
    FeedForward,
    Gate,
    Model,
    Norm,
    Optimiser,
    Training,
    Valve,
    build,
)
from spikesink.study.sizes import flops_per_token, parameters
from spikesink.training.optimiser import BUILDERS as OPTIMISER_BUILDERS

TRAINING = build(
    Training,
    {
        "steps": 1,
        "sequence_length": 8,
        "batch_size": 1,
        "optimiser": {"lr": 1.0},
        "schedule": {"warmup_steps": 0},
    },
)


class ToyNorm(AnyNorm):
    """A norm that says nothing to measures."""

    def forward(self, x):
        return x


def with_kind(part: str, **changes: str) -> Model:
    """The baseline with a kind that no table has; dataclasses check none, the study's checks stand before them."""
    settings = models.model_settings()
    return replace(settings, **{part: replace(getattr(settings, part), **changes)})


UNKNOWN = {
    "norm": with_kind("norm", kind="toy"),
    "softmax": with_kind("attention", softmax="toy"),
    "extra_key": with_kind("attention", extra_key="toy"),
    "feed_forward": with_kind("feed_forward", kind="toy"),
    "gate": with_kind("gate", kind="toy"),
    "value_valve": with_kind("value_valve", kind="toy"),
}


@pytest.mark.parametrize("part", UNKNOWN)
def test_an_unknown_kind_is_counted_nowhere(part):
    """A table of sizes that took it for another kind would plan a study that does not fit its GPU."""
    for count in (
        lambda: parameters(UNKNOWN[part], models.VOCABULARY, 8),
        lambda: memory_bytes(UNKNOWN[part], models.VOCABULARY, TRAINING, 1),
    ):
        with pytest.raises(ValueError, match="'toy' is unknown in"):
            count()
    if part in ("feed_forward", "gate"):
        with pytest.raises(ValueError, match="'toy' is unknown in"):
            flops_per_token(UNKNOWN[part], models.VOCABULARY, 8)


@pytest.mark.parametrize("part", UNKNOWN)
def test_an_unknown_kind_is_not_built(part):
    with pytest.raises(ValueError, match="toy"):
        Decoder(UNKNOWN[part], vocabulary=models.VOCABULARY, positions=8)


@pytest.mark.parametrize("part", UNKNOWN)
def test_an_unknown_kind_is_not_exported(part):
    """A checkpoint that leaves it out would load and compute something else."""
    with pytest.raises(PretrainedError, match=r"model\.\w+\.\w+ = 'toy'"):
        to_config(UNKNOWN[part], models.VOCABULARY, 8)


def test_a_norm_without_initial_values_is_not_initialised():
    with pytest.raises(ValueError, match="'offset' is unknown in"):
        initial_norm(Norm(), "offset", models.torch.Size([4]), is_attention=True)


def test_a_norm_that_says_nothing_is_not_measured():
    """Reported as a model without a norm it would stand in the wrong row of every table."""
    model, tokens = models.decoder(), models.tokens(length=9)
    for block in model.blocks:
        block.pre_norm = ToyNorm()
    for measure in (
        lambda: normalisation(model, tokens, batch_size=2),
        lambda: normalised_channels(model, tokens, batch_size=2),
        lambda: reshaping(model, tokens, batch_size=2),
        lambda: amplifier_of(model.blocks[1]),
    ):
        with pytest.raises((NotImplementedError, AttributeError)):
            measure()


def test_a_softmax_that_no_fused_kernel_computes_must_say_so(monkeypatch):
    """Training would compute plain softmax while measures report the other one."""
    monkeypatch.setitem(kinds.SOFTMAX, "toy", kinds.Softmax())
    monkeypatch.setitem(FORMED, "toy", lambda scores: scores)
    with pytest.raises(ValueError, match="'toy' forms its map"):
        Decoder(UNKNOWN["softmax"], vocabulary=models.VOCABULARY, positions=8)
    monkeypatch.setitem(kinds.SOFTMAX, "toy", kinds.Softmax(map_bytes=4))
    Decoder(UNKNOWN["softmax"], vocabulary=models.VOCABULARY, positions=8)


def choices(settings: type, name: str) -> set[str]:
    return set(typing.get_args(typing.get_type_hints(settings)[name]))


def test_every_table_has_every_kind_that_the_settings_allow():
    """And none that they refuse: such a kind could not be chosen."""
    assert choices(Norm, "kind") == set(kinds.NORMS)
    assert choices(Attention, "softmax") == set(kinds.SOFTMAX)
    assert {kind for kind, facts in kinds.SOFTMAX.items() if facts.forms_map} == set(FORMED)
    assert choices(Attention, "extra_key") == set(kinds.EXTRA_KEYS)
    assert choices(FeedForward, "kind") == {*kinds.FEED_FORWARDS, "attention"}
    assert set(kinds.FEED_FORWARDS) == set(FEED_FORWARD_BUILDERS)
    assert choices(Gate, "kind") == set(kinds.GATES)
    assert choices(Valve, "kind") == set(kinds.VALVES)
    assert choices(Optimiser, "kind") == set(kinds.OPTIMISERS) == set(OPTIMISER_BUILDERS)
    assert choices(Corpus, "kind") == set(KINDS)
    assert set(kinds.NORM_PARAMETERS) == set(NORM_BUILDERS)
    assert {norm for places in kinds.NORMS.values() for norm in places} - {None} <= set(NORM_BUILDERS)


def test_parts_refuse_kinds_by_name():
    with pytest.raises(ValueError, match=r"gate.kind = 'toy'"):
        AttentionGate(Gate(kind="toy"), d_model=4, heads=1, head_dim=4, positions=2)
    with pytest.raises(ValueError, match="valve kind = 'toy'"):
        AttentionValve(Valve(kind="toy"), d_model=4, heads=1, head_dim=4, std=1.0)
    with pytest.raises(ValueError, match="'toy' is unknown in"):
        ExtraKey(Attention(heads=1, head_dim=2, softmax="toy"))


def test_a_corpus_of_an_unknown_kind_is_not_read():
    corpus = Corpus(kind="toy")
    for read in (documents, describe):
        with pytest.raises(ValueError, match=r"corpus.kind = 'toy' is unknown in"):
            read(corpus)


def test_a_new_kind_of_corpus_does_not_ignore_files():
    """Only hub and files read them: the files of any other kind would be named and never seen."""
    with pytest.raises(ValueError, match="is not read by kind 'toy'"):
        Corpus(kind="toy", files=("text.jsonl",))
