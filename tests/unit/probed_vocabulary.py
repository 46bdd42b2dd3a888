"""The rows of the two questions that watch a pass of the vocabulary, each asked alone."""

from torch import Tensor

from spikesink.measures.probes.first_token import FirstToken
from spikesink.measures.probes.spikes import SpikeRule
from spikesink.measures.probes.vocabulary import VOCABULARY_BATCH, pass_alone
from spikesink.measures.questions.vocabulary_probe import Largest
from spikesink.model.decoder import Decoder


def vocabulary_probe(
    model: Decoder, medians: Tensor, *, rule: SpikeRule, batch_size: int = VOCABULARY_BATCH, most: int | None = None
) -> list[dict]:
    largest = Largest(model, most)
    pass_alone(model, largest.ids, (largest,), batch_size)
    return largest.rows(medians, rule)


def first_token_value_output(
    model: Decoder, tokens: Tensor, *, rule: SpikeRule, batch_size: int = VOCABULARY_BATCH, most: int | None = None
) -> list[dict]:
    first = FirstToken(model, tokens, rule=rule, batch_size=32, most=most)
    pass_alone(model, first.ids, (first,), batch_size)
    return first.rows()
