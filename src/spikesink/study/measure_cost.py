"""Estimate of what measuring a model costs, from its settings. No model is built and no torch imported."""

from typing import NamedTuple

from spikesink.study.settings import Measures, Model
from spikesink.study.sizes import flops_per_token, parameters, widths

AFFECTS_RESULTS = False

MOST_SEQUENCES, MOST_ROWS = 32, 512
"""More sequences, or rows of an attention map, at a time are no faster."""
SHORT = ("spikes", "geometry")
"""Groups that are measured on sequences of ``sink_tokens`` alone; the others take the context too."""
BACKWARD = ("gradients", "consequences", "dynamics")
"""Groups that take gradients."""
FLOAT = 4
MAPS = 4
"""So often the rows of an attention map exist at a time: scores, weights, and what is computed from them."""
LOGITS, LIBRARIES = 4 * 2**25, 3 * 2**27
"""Bytes of logits and of what is computed from them at a time on a CPU, and of Python with its libraries."""


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
    maps = MAPS * model.attention.heads * rows if group in ("forward", *SHORT, "consequences") else 0
    kept = model.layers * (14 * width + 4 * queries + 4 * keys + 4 * hidden) if group in BACKWARD else 0
    return FLOAT * length * (forward + maps + kept)


def sequences_together(model: Model, group: str, measures: Measures, context: int, free: float) -> int:
    """How many sequences fit into ``free`` bytes at a time; at least one."""
    return int(max(1, min(MOST_SEQUENCES, free // sequence_bytes(model, group, measures, context))))


def rows_together(model: Model, length: int, sequences: int, free: float) -> int:
    """How many rows of the attention maps of so many sequences fit into ``free`` bytes; at least 16."""
    row = MAPS * FLOAT * sequences * model.attention.heads * length
    return int(max(16, min(MOST_ROWS, free // row)))


SPIKE_PASSES, GEOMETRY_PASSES, FORWARD_PASSES = 5, 6, 4
RETRIEVALS, INDUCTIONS, CONTEXTS, CACHES, QUANTISATIONS, INTERVENTIONS = 20, 1, 4, 7, 8, 11
"""How often the questions of a group pass their text through a model."""


class Work(NamedTuple):
    """Tokens that pass through a model while a group's questions are answered."""

    blocks: int
    """Through the blocks."""
    head: int = 0
    """Of these, through the output head."""
    backward: int = 0
    """Of these, back again, through blocks and head."""


def work(
    group: str, measures: Measures, context: int, vocabulary: int, snapshots: int = 0, *, bos: str = "none"
) -> Work:
    """What a group of questions asks of a model, to the nearest of its large parts.

    Where every sequence begins with a BOS, interventions are asked of the text with it and without it.
    """
    short = measures.sequences * measures.sink_tokens
    abilities, scored = measures.ability_sequences * context, max(measures.consequence_tokens, context)
    calibration, gradients = measures.calibration_sequences * context, measures.gradient_sequences * context
    perplexity, beyond = measures.perplexity_tokens, max(measures.perplexity_tokens // CONTEXTS, CONTEXTS * context)
    if group == "forward":
        course = snapshots * measures.sequences * context
        scores = perplexity + beyond + INDUCTIONS * abilities + QUANTISATIONS * scored + course
        edited = RETRIEVALS * abilities + QUANTISATIONS * calibration
        return Work(scores + edited + FORWARD_PASSES * short + 2 * snapshots * short, scores)
    if group == "spikes":
        probed = min(vocabulary, measures.vocabulary_tokens or vocabulary)
        return Work(SPIKE_PASSES * short + probed)
    if group == "geometry":
        return Work(GEOMETRY_PASSES * short)
    if group == "gradients":
        return Work(4 * gradients, 3 * gradients, 3 * gradients)
    if group == "consequences":
        interventions = INTERVENTIONS * (2 if bos == "sequence" else 1)
        edited = interventions * (scored + min(gradients, scored))
        streamed = CACHES * max(scored, CONTEXTS * context)
        return Work(edited + streamed, edited + streamed, interventions * min(gradients, scored))
    return Work(4 * snapshots * gradients, 2 * snapshots * gradients, 2 * snapshots * gradients)


def flops(model: Model, done: Work, context: int, vocabulary: int) -> float:
    """2 per matrix weight and token forward, and as many for the gradient of the activations alone."""
    head = 2 * vocabulary * model.d_model
    blocks = flops_per_token(model, 0, context) / 3
    return blocks * (done.blocks + done.backward) + head * (done.head + done.backward)


def peak_bytes(model: Model, group: str, measures: Measures, context: int, vocabulary: int, free: float) -> float:
    """Most memory of a job: the weights in float32, what is at work at a time, logits, and the libraries."""
    sequences = measures.batch_size or sequences_together(model, group, measures, context, free)
    weights = FLOAT * parameters(model, vocabulary, context)
    return weights + sequences * sequence_bytes(model, group, measures, context) + LOGITS + LIBRARIES
