"""How good is a model at the later snapshots of its training, and how strong are its sinks and its spike by then?

Variants learn at different speeds. What one lacks at the last step may only come later, so tables compare variants at
equal loss too: each at the step where it predicts as well as the worse of the two does in the end.
"""

from copy import deepcopy

from torch import Tensor

from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.perplexity import losses
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.model.trained import load_snapshots
from spikesink.runs.folder import snapshots
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("course",)
READS = ("sink_epsilon", "sink_tokens", "sequences", "batch_size", "chunk")

EARLIEST = 8
"""Snapshots of the first eighth of the steps are left out: no variant is as bad in the end."""
FEWER = 2
"""measures.sequences are divided by this, because every run has many snapshots."""


def answers(subject: Subject, settings: Measures) -> Answers:
    """The table is empty where the run kept no snapshots."""
    rows = []
    if steps := list(snapshots(subject.snapshots)):
        count = max(1, settings.sequences // FEWER)
        text, tokens = subject.rows(count), subject.tokens(count, settings.sink_tokens)
        other = deepcopy(subject.model)  # it takes the weights of every snapshot; other questions want the last ones
        for step, model in load_snapshots(subject.snapshots, other, first=steps[-1] / EARLIEST):
            rows.append({"step": step} | at_snapshot(model, text, tokens, settings))
    yield "course", rows


def at_snapshot(model: Decoder, rows: Tensor, tokens: Tensor, settings: Measures) -> dict:
    """A model's loss on held-out rows [n, T + 1], and its sinks and spike on sequences [n, T'] of token ids.

    step (of the question): optimiser steps. loss: mean negative log-likelihood in nats of all targets of the rows.
    sink_share: as in the question attention, mean over heads; sink_mass: mean attention on position 0, mean over heads.
    spike: the largest |h| over all hidden states; spike_over_median: over the median |h| of the ordinary tokens of its
        state; spike_over_elsewhere: the largest |h| at position 0 over that at later positions.
    """
    batch_size = settings.batch_size
    heads = attention_sinks(model, tokens, epsilon=settings.sink_epsilon, batch_size=batch_size, chunk=settings.chunk)
    states = activations(model, tokens, batch_size=batch_size)
    peak = max(states, key=lambda row: row["maximum"])
    at_0, later = (max(row[name] for row in states) for name in ("maximum_token0", "maximum_later"))
    return {
        "loss": losses(model, rows, batch_size).mean().item(),
        "sink_share": sum(row["sink_share"] for row in heads) / len(heads),
        "sink_mass": sum(row["sink_mass"] for row in heads) / len(heads),
        "spike": peak["maximum"],
        "spike_over_median": peak["maximum"] / peak["ordinary_median"] if peak["ordinary_median"] else None,
        "spike_over_elsewhere": at_0 / later if later else None,
    }
