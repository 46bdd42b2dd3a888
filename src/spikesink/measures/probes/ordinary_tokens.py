"""Tokens that stand for nothing: what random sequences and planted keys are made of."""

import json

import numpy as np
import torch
from torch import Tensor

from spikesink.measures.subject import Subject

SAMPLE = 2**20
"""Tokens of the held-out text that are looked through."""


def ordinary_tokens(subject: Subject) -> Tensor:
    """Ids [n] that occur in the held-out text and are no special tokens of the tokenizer, such as BOS and EOS.

    Ids that no text has, the rest of a vocabulary, were never trained: no model knows them.
    """
    tokens = subject.stream.tokens
    found = set(np.unique(tokens[np.arange(min(SAMPLE, len(tokens)))]).tolist())
    added = json.loads(subject.tokenizer.read_text(encoding="utf-8")).get("added_tokens") or ()
    special = {token["id"] for token in added if token.get("special")} | {subject.stream.bos_id}
    return torch.tensor(sorted(found - special), dtype=torch.long)


def draw_distinct(ordinary: Tensor, sequences: int, number: int, generator: torch.Generator) -> Tensor:
    """Random ids [sequences, number], no two alike in a row."""
    order = torch.rand(sequences, len(ordinary), generator=generator).topk(number, dim=1).indices
    return ordinary[order]
