"""Where do learned valves close? V-scale's theta by layer and head (2603.17771, Fig 13)."""

import math

from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.model.valves import AttentionValve
from spikesink.study.settings import Measures

GROUP = "gradients"
QUESTIONS = ("valve_strength",)
READS = ()


def answers(subject: Subject, settings: Measures) -> Answers:
    yield "valve_strength", valve_strength(subject.model)


def valve_strength(model: Decoder) -> list[dict]:
    """One row per valve and key-value head (2603.17771, Fig 13); no rows for a model without valves. Needs no tokens.

    block: 1-based; layer, head: from 0; path: value or key; kind: the valve's kind.
    theta: learned logarithm of the factor on C, one per key-value head; None where C is fixed, as it always is where
        the valve leaves the forward pass as it is.
    initial_c: C at theta = 0; c: the threshold in force, initial_c exp(theta). Vectors whose squared norm is far below
        c are contracted, and so is their gradient.
    """
    table = []
    for number, block in enumerate(model.blocks, start=1):
        if not isinstance(block.body, CausalAttention):
            continue
        for path, valve in (("value", block.body.value_valve), ("key", block.body.key_valve)):
            if not isinstance(valve, AttentionValve):
                continue
            heads = block.body.kv_heads
            thetas = [None] * heads if valve.theta is None else valve.theta.tolist()
            for head, theta in enumerate(thetas):
                table.append(
                    {
                        "block": number,
                        "layer": (number - 1) // 2,
                        "head": head,
                        "path": path,
                        "kind": valve.kind,
                        "theta": theta,
                        "c": valve.initial_c * math.exp(theta or 0.0),
                        "initial_c": valve.initial_c,
                    }
                )
    return table
