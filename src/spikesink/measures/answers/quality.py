"""How good the model is."""

from collections.abc import Iterator

from spikesink.measures.questions.perplexity import perplexity
from spikesink.measures.subject import Subject
from spikesink.study.settings import Measures


def answers(subject: Subject, settings: Measures) -> Iterator[tuple[str, list[dict]]]:
    # A limit below one chunk still takes one: a perplexity of nothing is none.
    sequences = max(1, settings.perplexity_tokens // subject.context)
    yield "perplexity", perplexity(subject.model, subject.rows(sequences), settings.batch_size)
