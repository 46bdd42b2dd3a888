"""Does the model solve Bigram-Backcopy, and which heads rest where they have nothing to do? (Guo et al., 2410.13835)

After a trigger the token before it comes again; after any other token the next one is drawn from that token's bigrams.
Who knows both rules, the oracle, loses nothing after a trigger, and after another token the bigram's own entropy.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikesink.data.batches import SyntheticLanguage
from spikesink.measures.probes.attention_rows import attention_rows
from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("backcopy", "backcopy_heads")
READS = ("perplexity_tokens", "sequences", "batch_size", "chunk")

TRIGGER, OTHER = "trigger", "other"
QUERIES = {"bos_at_trigger": TRIGGER, "bos_at_other": OTHER, "previous_at_trigger": TRIGGER}
"""The tokens whose attention each mean is over."""


def answers(subject: Subject, settings: Measures) -> Answers:
    """Both tables are empty where the held-out text is not Bigram-Backcopy."""
    scored, sequences = settings.perplexity_tokens, settings.sequences
    batch_size, chunk = settings.batch_size, settings.chunk
    language, bos_id = subject.stream.language, subject.stream.bos_id
    losses, heads = [], []
    if language is not None:
        rows = subject.rows(subject.sequences_in(scored))
        losses = backcopy(subject.model, rows, language, batch_size)
        if bos_id is not None:
            heads = backcopy_heads(subject.model, rows[:sequences, :-1], language, bos_id, batch_size, chunk)
    yield "backcopy", losses
    yield "backcopy_heads", heads


def kinds_of(rows: Tensor, language: SyntheticLanguage) -> dict[str, Tensor]:
    """For rows [n, T + 1], masks [n, T] of the places after which a rule says what comes.

    ``trigger``: the token is a trigger and the one before it is in the row and no BOS. ``other``: it is another
    character. Both need a character as the next token: a BOS, and what follows one, is of neither kind.
    """
    characters = rows < len(language.bigrams)
    is_trigger = torch.isin(rows, torch.tensor(language.triggers))
    before = F.pad(characters[:, :-2], (1, 0))
    here, following = characters[:, :-1], characters[:, 1:]
    trigger = is_trigger[:, :-1]
    return {TRIGGER: trigger & before & following, OTHER: here & ~trigger & following}


def oracle_nll(rows: Tensor, language: SyntheticLanguage) -> Tensor:
    """Negative log-likelihood [n, T] in nats of the next character under the bigrams of each character."""
    counts = np.maximum(language.bigrams, 1e-300)
    table = torch.from_numpy(-np.log(counts / language.bigrams.sum(axis=1, keepdims=True)))
    here, following = (part.clamp(max=len(table) - 1) for part in (rows[:, :-1], rows[:, 1:]))
    return table[here, following]


@torch.no_grad()
def backcopy(model: Decoder, rows: Tensor, language: SyntheticLanguage, batch_size: int) -> list[dict]:
    """One row per kind of token, over held-out rows [n, T + 1].

    kind: trigger or other, of the token after which one is predicted; tokens: how many were scored; nll_nats: their
        summed negative log-likelihood in nats; oracle_nats: the oracle's on the same tokens, 0 after triggers. Its mean
        after other tokens is an estimate of the bigrams' conditional entropy without that part of the noise which the
        model shares.
    """
    sums = {kind: [0, 0.0, 0.0] for kind in (TRIGGER, OTHER)}
    for batch in rows.split(batch_size):
        logits = model(batch[:, :-1].to(model.device)).float()
        nll = F.cross_entropy(logits.transpose(1, 2), batch[:, 1:].to(model.device), reduction="none").double().cpu()
        oracle = oracle_nll(batch, language)
        for kind, mask in kinds_of(batch, language).items():
            known = 0.0 if kind == TRIGGER else oracle[mask].sum().item()
            for place, value in enumerate((int(mask.sum()), nll[mask].sum().item(), known)):
                sums[kind][place] += value
    return [
        {"kind": kind, "tokens": tokens, "nll_nats": nll, "oracle_nats": oracle}
        for kind, (tokens, nll, oracle) in sums.items()
    ]


@torch.no_grad()
def backcopy_heads(
    model: Decoder, tokens: Tensor, language: SyntheticLanguage, bos_id: int, batch_size: int, chunk: int = 512
) -> list[dict]:
    """One row per attention block and head, over those of the sequences [n, T] that begin with the BOS.

    bos_at_trigger, bos_at_other: mean attention on position 0, the BOS, of queries at triggers and at other characters;
        previous_at_trigger: mean attention of queries at triggers on the token before, which they are to copy.
    A head that is active at triggers and dormant elsewhere has bos_at_other near 1 and bos_at_trigger near 0.
    """
    tokens = tokens[tokens[:, 0] == bos_id]
    sums: dict[tuple[int, str], Tensor] = {}
    counts = dict.fromkeys(QUERIES, 0)
    for batch in tokens.split(batch_size) if len(tokens) else ():
        masks = kinds_of(F.pad(batch, (0, 1)), language)  # what comes after the last token does not matter here
        for name, kind in QUERIES.items():
            counts[name] += int(masks[kind].sum())
        for number, block, h, context in block_inputs(model, batch.to(model.device)):
            if not isinstance(block.body, CausalAttention):
                continue
            for first, rows in attention_rows(block.body, block.pre_norm(h), context, chunk):
                on_bos, on_previous = rows[..., 0], F.pad(rows, (1, 0)).diagonal(first, -2, -1)
                for name, kind in QUERIES.items():
                    weights = on_previous if name == "previous_at_trigger" else on_bos
                    mask = masks[kind][:, None, first : first + weights.shape[-1]].to(weights.device)
                    sums[number, name] = sums.get((number, name), 0) + (weights * mask).double().sum(dim=(0, 2)).cpu()
    return [
        {"block": block, "head": head}
        | {name: sums[block, name][head].item() / counts[name] if counts[name] else None for name in QUERIES}
        for block in dict.fromkeys(block for block, _ in sums)
        for head in range(len(sums[block, "bos_at_other"]))
    ]
