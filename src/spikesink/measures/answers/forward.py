"""Where attention goes and how large activations are."""

from collections.abc import Iterator

from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.subject import Subject
from spikesink.study.settings import Measures


def answers(subject: Subject, settings: Measures) -> Iterator[tuple[str, list[dict]]]:
    model, batch_size = subject.model, settings.batch_size
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    yield "attention", attention_sinks(model, tokens, epsilon=settings.sink_epsilon, batch_size=batch_size)
    yield "activations", activations(model, tokens, batch_size=batch_size)
