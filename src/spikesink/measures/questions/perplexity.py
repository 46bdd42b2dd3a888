"""How well does the model predict held-out text? (2603.05498 App A)"""

import torch
from torch import Tensor
from torch.nn import functional as F

from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "quality"
QUESTIONS = ("perplexity",)
READS = ("perplexity_tokens", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    rows = subject.rows(subject.sequences_in(settings.perplexity_tokens))
    yield "perplexity", perplexity(subject.model, rows, settings.batch_size)


@torch.no_grad()
def perplexity(model: Decoder, rows: Tensor, batch_size: int) -> list[dict]:
    """One row per position over held-out rows [n, T + 1], chunks of the model's context (2603.05498 App A).

    position: 0-based; tokens: how many tokens were scored there; nll_nats: their summed negative log-likelihood in
        nats.

    The perplexity is exp(sum of nll_nats / sum of tokens). Separate positions also give it for a loss window alone.
    """
    device = model.device
    total = torch.zeros(rows.shape[1] - 1, dtype=torch.float64)
    for batch in rows.split(batch_size):
        batch = batch.to(device)
        logits = model(batch[:, :-1]).float()
        losses = F.cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none")
        total += losses.double().sum(dim=0).cpu()
    return [{"position": position, "tokens": len(rows), "nll_nats": nll} for position, nll in enumerate(total.tolist())]


def mean_nll(model: Decoder, rows: Tensor, batch_size: int) -> float:
    """Negative log-likelihood per token in nats over rows [n, T + 1]."""
    positions = perplexity(model, rows, batch_size)
    return sum(row["nll_nats"] for row in positions) / sum(row["tokens"] for row in positions)
