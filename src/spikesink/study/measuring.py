"""Estimate of the memory that measuring a model takes, from its settings. No model is built and no torch imported."""

from spikesink.study.settings import Measures, Model
from spikesink.study.sizes import widths

AFFECTS_RESULTS = False

MOST_SEQUENCES, MOST_ROWS = 32, 512
"""More sequences, or rows of an attention map, at a time are no faster."""
SHORT = ("spikes", "geometry")
"""Groups that are measured on sequences of ``sink_tokens`` alone; the others take the context too."""
BACKWARD = ("gradients", "consequences", "dynamics")
"""Groups that take gradients."""
FLOAT = 4


def length_of(group: str, measures: Measures, context: int) -> int:
    """The length in tokens of most sequences that a group is measured on."""
    return measures.sink_tokens if group in SHORT else context


def sequence_bytes(model: Model, group: str, measures: Measures, context: int) -> int:
    """Bytes that one sequence takes at most while the questions of a group are answered, without logits.

    Forward: the stream in several copies, and what the larger branch holds. Backward: of every layer what autograd
    keeps (the stream three times and a branch's inside, for both branches) and the gradients that are looked at.
    """
    queries, keys = widths(model)
    width, hidden = model.d_model, model.feed_forward.width
    length = length_of(group, measures, context)
    forward = 8 * width + max(3 * hidden, 3 * (queries + 2 * keys))
    rows = min(measures.chunk or 64, length)
    maps = 4 * model.attention.heads * rows if group in ("forward", *SHORT, "consequences") else 0
    kept = model.layers * (14 * width + 4 * queries + 4 * keys + 4 * hidden) if group in BACKWARD else 0
    return FLOAT * length * (forward + maps + kept)


def sequences_together(model: Model, group: str, measures: Measures, context: int, free: float) -> int:
    """How many sequences fit into ``free`` bytes at a time; at least one."""
    return int(max(1, min(MOST_SEQUENCES, free // sequence_bytes(model, group, measures, context))))


def rows_together(model: Model, length: int, sequences: int, free: float) -> int:
    """How many rows of the attention maps of so many sequences fit into an eighth of ``free`` bytes; at least 16."""
    row = 4 * FLOAT * sequences * model.attention.heads * length
    return int(max(16, min(MOST_ROWS, free / 8 // row)))
