"""What norms make of spikes, and how queries and keys make sinks (2603.05498, Figs 5 and 6)."""

from collections.abc import Iterator

from spikesink.measures.questions.attention_distance import attention_distance
from spikesink.measures.questions.normalisation import normalisation, normalised_channels
from spikesink.measures.questions.sink_geometry import key_query_embedding, sink_geometry
from spikesink.measures.subject import Subject
from spikesink.study.settings import Measures


def answers(subject: Subject, settings: Measures) -> Iterator[tuple[str, list[dict]]]:
    model, batch_size, epsilon = subject.model, settings.batch_size, settings.sink_epsilon
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    channels = {"top_channels": settings.spike_channels, "batch_size": batch_size}
    yield "normalisation", normalisation(model, tokens, **channels)
    yield "normalised_channels", normalised_channels(model, tokens, **channels)
    yield "sink_geometry", sink_geometry(model, tokens, epsilon=epsilon, batch_size=batch_size)
    yield "key_query_embedding", key_query_embedding(model, tokens, epsilon=epsilon, batch_size=batch_size)
    yield "attention_distance", attention_distance(model, tokens, query_chunk=settings.chunk, batch_size=batch_size)
