"""How well does the model predict held-out text? (2603.05498 App A)"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from spikesink.data.drawn_rows import DRAW_SEED
from spikesink.measures.probes.observe import over_positions
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("perplexity", "document_perplexity")
READS = ("perplexity_tokens", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    sequences = subject.sequences_in(settings.perplexity_tokens)
    losses_NT = losses(subject.model, subject.rows(sequences), settings.batch_size)
    yield "perplexity", [row | {"draw_seed": DRAW_SEED} for row in by_position(losses_NT)]
    yield "document_perplexity", by_document(losses_NT, subject.documents(sequences))


@torch.no_grad()
def losses(model: Decoder, rows: Tensor, batch_size: int) -> Tensor:
    """The negative log-likelihood in nats of every target of rows [n, T + 1]: [n, T], float64."""
    score = partial(F.cross_entropy, reduction="none")
    return torch.cat([over_positions(model, batch, score).double().cpu() for batch in rows.split(batch_size)])


def perplexity(model: Decoder, rows: Tensor, batch_size: int) -> list[dict]:
    """``by_position`` of the losses of a model over held-out rows [n, T + 1]."""
    return by_position(losses(model, rows, batch_size))


def by_position(losses_NT: Tensor) -> list[dict]:
    """One row per position over held-out rows of the model's context (2603.05498 App A).

    position: 0-based; tokens: how many tokens were scored there; nll_nats: their summed negative log-likelihood in
        nats.

    The perplexity is exp(sum of nll_nats / sum of tokens). Separate positions also give it for a loss window alone.
    draw_seed: the seed by which the rows were drawn from the held-out text.
    """
    total = losses_NT.sum(dim=0).tolist()
    return [{"position": position, "tokens": len(losses_NT), "nll_nats": nll} for position, nll in enumerate(total)]


def by_document(losses_NT: Tensor, documents_NT: Tensor) -> list[dict]:
    """One row per held-out document of which a token was scored.

    document: its number in the held-out text, from 0; tokens, nll_nats: as in ``by_position``.
    """
    numbers, places = documents_NT.flatten().unique(return_inverse=True)
    nll = torch.zeros(len(numbers), dtype=torch.float64).index_add_(0, places, losses_NT.flatten())
    tokens = places.bincount(minlength=len(numbers))
    return [
        {"document": document, "tokens": count, "nll_nats": total}
        for document, count, total in zip(numbers.tolist(), tokens.tolist(), nll.tolist(), strict=True)
    ]


def mean_nll(model: Decoder, rows: Tensor, batch_size: int) -> float:
    """Negative log-likelihood per token in nats over rows [n, T + 1]."""
    positions = perplexity(model, rows, batch_size)
    return sum(row["nll_nats"] for row in positions) / sum(row["tokens"] for row in positions)
