"""What does a sliding window lose, and do the first tokens save it? Streaming eviction (StreamingLLM, 2309.17453)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from spikesink.measures.probes.replaced import replaced
from spikesink.measures.questions.perplexity import perplexity
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.model.rotary import rotary_tables, rotate
from spikesink.study.kinds import GATES
from spikesink.study.settings import Measures

GROUP = "consequences"
QUESTIONS = ("streaming",)
READS = ("consequence_tokens", "caches", "chunk", "batch_size")

CONTEXTS = 4
"""Streaming is measured on text of so many contexts."""


def answers(subject: Subject, settings: Measures) -> Answers:
    context = subject.context
    caches = settings.caches or tuple(size for size in (context // 4, context // 2) if size > 4)
    length = CONTEXTS * context
    rows = subject.rows(subject.sequences_in(settings.consequence_tokens, length), length)
    sizes = {"query_chunk": settings.chunk, "batch_size": settings.batch_size}
    yield "streaming", streaming(subject.model, rows, caches=caches, **sizes)


class Window(NamedTuple):
    """What a cache holds: ``size`` keys, the query's own among them, of which ``start`` are the first of the text."""

    size: int
    start: int
    chunk: int
    """Queries computed at a time."""


def cached_rows(
    model: Decoder, body: CausalAttention, window: Window, q_BNTH: Tensor, k_BKTH: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Attention on the keys in the cache, some queries at a time: (queries, the keys [J] that any of them sees, their
    weights [B, N, queries, J] in float32).

    Takes rotated queries and keys. Keys are renumbered inside the cache from 0, so that a query never stands beyond
    position size - 1. Rotary scores depend on distances alone: between recent tokens renumbering changes none, and to
    the first tokens it takes the query back to position size - 1. An extra key, which has no position, sees the query
    where the first tokens see it and is never evicted. A layer's own window goes on hiding what it hides.
    """
    q, k, length = q_BNTH.float(), body.per_query_head(k_BKTH.float()), q_BNTH.shape[2]
    extra = int(body.extra_key is not None)
    place = torch.arange(length, device=q.device)
    beyond = (place - extra - (window.size - 1)).clamp(min=0)
    cos, sin = rotary_tables(length, model.settings.attention, q.device, windowed=body.window is not None)
    back = rotate(q, cos[beyond], -sin[beyond])
    kept, recent = min(window.start + extra, length), window.size - window.start
    for first in range(0, length, window.chunk):
        last = min(first + window.chunk, length)
        oldest = max(kept, first - recent + 1)
        keys = torch.cat((place[:kept], place[oldest : max(last, oldest)]))
        to_first = back[:, :, first:last] @ k[:, :, :kept].transpose(-1, -2)
        to_recent = q[:, :, first:last] @ k[:, :, keys[kept:]].transpose(-1, -2)
        age = place[first:last, None] - keys
        hidden = (age < 0) | ((keys >= kept) & (age >= recent)) | (age >= (body.window or length))
        scores = (torch.cat((to_first, to_recent), dim=-1) * body.scale).masked_fill(hidden, float("-inf"))
        yield slice(first, last), keys, body.scores_to_weights(scores)


def attend(model: Decoder, body: CausalAttention, window: Window, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What ``body.attend`` gives, on the keys in the cache."""
    values = body.per_query_head(v.float())
    parts = [weights @ values[:, :, keys] for _, keys, weights in cached_rows(model, body, window, q, k)]
    return torch.cat(parts, dim=2).to(v.dtype)


def whole_map(model: Decoder, body: CausalAttention, window: Window, q: Tensor, k: Tensor) -> Tensor:
    """What ``body.weights`` gives, on the keys in the cache; only a softmax that forms its map asks for it."""
    whole = torch.zeros(*q.shape[:3], q.shape[2], device=q.device)
    for queries, keys, weights in cached_rows(model, body, window, q, k):
        whole[:, :, queries, keys] = weights
    return whole.to(q.dtype)


@contextmanager
def evicting(model: Decoder, window: Window) -> Iterator[None]:
    """While it is open, the model attends to the keys in its cache alone."""
    bodies = [module for module in model.modules() if isinstance(module, CausalAttention)]
    with (
        replaced(bodies, "attend", lambda body: partial(attend, model, body, window)),
        replaced(bodies, "weights", lambda body: partial(whole_map, model, body, window)),
    ):
        yield


@torch.no_grad()
def streaming(
    model: Decoder,
    rows: Tensor,
    *,
    batch_size: int,
    caches: Sequence[int],
    starts: Sequence[int] = (0, 1, 4),
    query_chunk: int = 256,
) -> list[dict]:
    """One row per cache size, number of first tokens kept and position, over held-out rows [n, T + 1] (2309.17453).

    A query attends to at most ``cache`` keys, its own among them: the first ``start`` tokens of the sequence, a BOS
    among them where there is one, and the last cache - start. Positions are numbered inside the cache. Keys and values
    are those computed when their token came, as in a real cache. T must be larger than the caches.

    cache: keys in the cache; start: how many of them are the first tokens; 0 is the plain window. The rows with cache =
        T and start = 0 evict nothing and show what the whole context gives, beyond the trained length where T is.
    position: 0-based; tokens: how many tokens were scored there; nll_nats: their summed negative log-likelihood in
        nats.

    StreamingLLM's own cache holds its keys beside the query's, one more than here. There are no rows for a positional
    gate: its table knows absolute positions, which a cache renumbers. Memory: batch_size * heads * query_chunk * (cache
    + query_chunk) floats. Raises ValueError for a start that leaves no recent token.
    """
    if GATES[model.settings.gate.kind].per_position:
        return []
    table = [{"cache": rows.shape[1] - 1, "start": 0, **row} for row in perplexity(model, rows, batch_size)]
    for cache, start in ((cache, start) for cache in caches for start in starts):
        if start >= cache:
            raise ValueError(f"start = {start} of a cache of {cache} tokens leaves no recent one: keep fewer")
        with evicting(model, Window(cache, start, query_chunk)):
            table += [{"cache": cache, "start": start, **row} for row in perplexity(model, rows, batch_size)]
    return table
