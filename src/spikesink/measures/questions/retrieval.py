"""Does the model find a value by its key in its context? Needles among text (2603.17771's multi-key needles, in small).

The haystack is held-out text. Four pairs of a key and a value, random tokens, are planted in it at set distances from
its end; the last tokens repeat one of the keys. The other three pairs are distractors.
"""

import torch
from torch import Tensor

from spikesink.measures.probes.ordinary_tokens import draw_distinct, ordinary_tokens
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("retrieval",)
READS = ("ability_sequences", "batch_size")

PAIRS = 4
"""Pairs of key and value in a sequence, at one to four fifths of the context from its end."""
KEY = 2
"""Tokens of a key; a value is one token."""


def answers(subject: Subject, settings: Measures) -> Answers:
    haystacks = subject.rows(settings.ability_sequences)[:, :-1]
    yield "retrieval", retrieval(subject.model, haystacks, ordinary_tokens(subject), batch_size=settings.batch_size)


def distances(length: int) -> list[int]:
    """Tokens from a planted value to where it is asked for, in so long a sequence; none where pairs do not fit."""
    fifth = length // (PAIRS + 1)
    return [length * pair // (PAIRS + 1) for pair in range(1, PAIRS + 1)] if fifth > KEY else []


def planted(haystacks: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The haystacks [n, T] with keys [n, PAIRS, KEY] and values [n, PAIRS] at their distances."""
    full, length = haystacks.clone(), haystacks.shape[1]
    for pair, distance in enumerate(distances(length)):
        full[:, length - distance - KEY : length - distance] = keys[:, pair]
        full[:, length - distance] = values[:, pair]
    return full


@torch.no_grad()
def retrieval(model: Decoder, haystacks: Tensor, ordinary: Tensor, *, batch_size: int, seeds: int = 5) -> list[dict]:
    """One row per seed of the planting and distance, over haystacks [n, T] and random tokens of ``ordinary``.

    seed: from 0; distance: tokens from the value to where it is asked for, in all ``distances`` of T.
    sequences: n; correct: in how many the value was the model's first choice; chosen: in how many it was likelier than
        the values of the other pairs; candidates: how many values that are, so that chance is 1 / candidates;
        log_probability: of the value, in nats, mean over sequences; chance is -log of the vocabulary;
        others_log_probability: of the other pairs' values, mean over these too. Their difference is 0 at chance,
        however rare the tokens are.

    Too short a context, or too few tokens to draw from, has no rows.
    """
    sequences, length = haystacks.shape
    drawn = PAIRS * (KEY + 1)
    if not distances(length) or len(ordinary) < drawn:
        return []
    table = []
    for seed in range(seeds):
        tokens = draw_distinct(ordinary, sequences, drawn, torch.Generator().manual_seed(seed))
        keys, values = tokens[:, : PAIRS * KEY].unflatten(1, (PAIRS, KEY)), tokens[:, PAIRS * KEY :]
        full = planted(haystacks, keys, values)
        for pair, distance in enumerate(distances(length)):
            asked = torch.cat((full[:, :-KEY], keys[:, pair]), dim=1)
            found = [
                model(batch.to(model.device), window=(length - 1, length))[:, 0].float().log_softmax(dim=-1).cpu()
                for batch in asked.split(batch_size)
            ]
            log_probabilities = torch.cat(found)
            of_values = log_probabilities.gather(1, values).double()
            own = of_values[:, pair]
            table.append(
                {
                    "seed": seed,
                    "distance": distance,
                    "sequences": sequences,
                    "correct": (log_probabilities.argmax(dim=1) == values[:, pair]).sum().item(),
                    "chosen": (of_values.argmax(dim=1) == pair).sum().item(),
                    "candidates": PAIRS,
                    "log_probability": own.mean().item(),
                    "others_log_probability": ((of_values.sum(dim=1) - own) / (PAIRS - 1)).mean().item(),
                }
            )
    return table
