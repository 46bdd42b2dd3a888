"""Does the model continue what it has seen once? The second half of repeated random tokens (Olsson et al., 2209.11895).

Random tokens cannot be predicted, unless they come again: a head that finds the earlier copy of the present token and
looks at what followed it, an induction head, predicts every token of the second copy.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from spikesink.measures.probes.observe import over_positions
from spikesink.measures.probes.ordinary_tokens import draw_distinct, ordinary_tokens
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("induction",)
READS = ("ability_sequences", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    rows = repeated_random_tokens(
        ordinary_tokens(subject), settings.ability_sequences, subject.context, subject.stream.bos_id
    )
    yield (
        "induction",
        induction(subject.model, rows, starts=subject.stream.bos_id is not None, batch_size=settings.batch_size),
    )


def repeated_random_tokens(ordinary: Tensor, sequences: int, context: int, bos_id: int | None, seed: int = 0) -> Tensor:
    """Sequences [n, T + 1], T at most the context: the BOS where training has one, random tokens, the same again.

    No token comes twice in a copy, so the token before is enough to find the place in the first copy. With few ordinary
    tokens the copies are short.
    """
    start = int(bos_id is not None)
    length = min((context + 1 - start) // 2, len(ordinary))
    copy = draw_distinct(ordinary, sequences, length, torch.Generator().manual_seed(seed))
    bos = torch.full((sequences, start), bos_id or 0)
    return torch.cat((bos, copy, copy), dim=1)


def loss_and_choice(logits_PV: Tensor, targets_P: Tensor) -> Tensor:
    """The loss in nats, and 1 where the target is the first choice: [P, 2]."""
    loss = F.cross_entropy(logits_PV, targets_P, reduction="none")
    return torch.stack((loss, logits_PV.argmax(dim=-1) == targets_P), dim=-1)


@torch.no_grad()
def induction(model: Decoder, rows: Tensor, *, starts: bool, batch_size: int) -> list[dict]:
    """One row per copy and place in it, over rows [n, T + 1] as ``repeated_random_tokens`` gives; ``starts``: with BOS.

    copy: 1 or 2; place: from 1, because nothing announces the first token of a copy; tokens: how many were scored;
        nll_nats: their summed negative log-likelihood in nats; correct: how many of them were the model's first choice.
    """
    start = int(starts)
    length = (rows.shape[1] - start) // 2
    nll, correct = torch.zeros(rows.shape[1] - 1, dtype=torch.float64), torch.zeros(rows.shape[1] - 1, dtype=torch.long)
    for batch in rows.split(batch_size):
        scored_BT2 = over_positions(model, batch, loss_and_choice).double().cpu()
        nll += scored_BT2[..., 0].sum(dim=0)
        correct += scored_BT2[..., 1].long().sum(dim=0)
    table = []
    for copy in (1, 2):
        for place in range(1, length):
            scored = start + (copy - 1) * length + place - 1
            counts = {"nll_nats": nll[scored].item(), "correct": correct[scored].item()}
            table.append({"copy": copy, "place": place, "tokens": len(rows), **counts})
    return table
