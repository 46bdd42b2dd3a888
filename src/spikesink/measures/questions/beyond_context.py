"""How well does the model predict text beyond its trained context?"""

from itertools import pairwise

from spikesink.measures.questions.perplexity import perplexity
from spikesink.measures.subject import Answers, Subject
from spikesink.study.kinds import GATES, SOFTMAX
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("beyond_context",)
READS = ("perplexity_tokens", "batch_size")

CONTEXTS = 4
"""Length of the text, in trained contexts."""
PARTS = 4
"""Parts of a context, each with a row."""


def answers(subject: Subject, settings: Measures) -> Answers:
    yield "beyond_context", beyond_context(subject, settings.perplexity_tokens // CONTEXTS, settings.batch_size)


def beyond_context(subject: Subject, tokens: int, batch_size: int) -> list[dict]:
    """One row per quarter of a context, over at most so many held-out tokens in sequences of four contexts.

    first: position from 0; last: the position after the quarter; contexts: of the trained length, up to which the
        row's stretch reaches, 1, 2 or 4; tokens: how many were scored; nll_nats: their summed negative log-likelihood
        in nats.

    There are no rows for a positional gate, whose table ends with the context, and none where the held-out text is
    shorter than one such sequence.
    """
    model, context = subject.model, subject.context
    length = CONTEXTS * context
    if GATES[model.settings.gate.kind].per_position or not subject.stream.number_of_sequences(length):
        return []
    rows = subject.rows(subject.sequences_in(tokens, length), length)
    # As much text in a batch as elsewhere; a map that is formed whole grows with the square of the length.
    share = CONTEXTS**2 if SOFTMAX[model.settings.attention.softmax].forms_map else CONTEXTS
    positions = perplexity(model, rows, max(1, batch_size // share))
    table = []
    for first, last in pairwise(dict.fromkeys(context * part // PARTS for part in range(PARTS * CONTEXTS + 1))):
        counts = {name: sum(row[name] for row in positions[first:last]) for name in ("tokens", "nll_nats")}
        contexts = next(number for number in (1, 2, 4) if first < number * context)
        table.append({"first": first, "last": last, "contexts": contexts, **counts})
    return table
