"""How massive activations come about (2603.05498 section 3)."""

from collections.abc import Iterator

from spikesink.measures.probes.spikes import SpikeRule
from spikesink.measures.probes.token_ids import token_ids
from spikesink.measures.questions.alignment import amplifier_alignment, silu_identity
from spikesink.measures.questions.amplifier import amplifier_norms, amplifier_spectrum
from spikesink.measures.questions.amplifier_inputs import delimiter_probe, first_token_value_output
from spikesink.measures.questions.lifecycle import lifecycle, spike_channels, spike_tokens
from spikesink.measures.questions.vocabulary_probe import vocabulary_probe
from spikesink.measures.subject import Subject
from spikesink.study.settings import Measures


def answers(subject: Subject, settings: Measures) -> Iterator[tuple[str, list[dict]]]:
    model, channels, chunk = subject.model, settings.spike_channels, settings.chunk
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    rule = SpikeRule(settings.spike_magnitude, settings.spike_over_median, settings.step_share)
    common = {"rule": rule, "batch_size": settings.batch_size}
    delimiters = token_ids(subject.tokenizer, settings.delimiters)
    yield "lifecycle", lifecycle(model, tokens, **common)
    yield "spike_channels", spike_channels(model, tokens, **common)
    yield "spike_tokens", spike_tokens(model, tokens, **common)
    yield "vocabulary_probe", vocabulary_probe(model, rule=rule)
    yield "delimiter_probe", delimiter_probe(model, tokens, delimiters=delimiters, chunk=chunk, **common)
    yield "first_token_value_output", first_token_value_output(model, tokens, **common)
    yield "amplifier_norms", amplifier_norms(model, chunk=chunk)
    yield "amplifier_spectrum", amplifier_spectrum(model, tokens, channels=channels, **common)
    yield "amplifier_alignment", amplifier_alignment(model, tokens, channels=channels, **common)
    yield "silu_identity", silu_identity(model, tokens, **common)
