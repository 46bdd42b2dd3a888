"""Estimate of the memory that training a run takes on one GPU. No model is built and no torch imported."""

from spikesink.study.kinds import FEED_FORWARDS, NORMS, SOFTMAX
from spikesink.study.micro_batch import micro_batch
from spikesink.study.settings import Model, Training
from spikesink.study.sizes import (
    attention_parameters,
    gate_widths,
    parameters,
    second_branch_parameters,
    state_bytes,
    stream_norms,
    widths,
)


def memory_bytes(model: Model, vocabulary: int, training: Training, devices: int) -> float:
    """Estimate of the most memory that tensors take on one GPU, for ``devices`` of them.

    The sum of ``held_bytes``, of what the backward pass needs of one micro-batch, and of the logits. On top come the
    CUDA context, buffers of libraries and memory that the allocator cannot use: one or two GiB. Raises ValueError for a
    kind of a part that spikesink.study.kinds does not know.
    """
    sequences = micro_batch(training, devices)
    tokens = sequences * training.sequence_length
    held = held_bytes(model, vocabulary, training, devices)
    attention, second = (branch * tokens for branch in branch_bytes(model, training))
    logits = logits_bytes(vocabulary, training, sequences)
    if training.activation_checkpointing:  # the input of every block, and the inside of one or the logits
        inputs = 2 * model.layers * stream_bytes(training) * model.d_model * tokens
        return held + inputs + max(attention, second, logits)
    return held + model.layers * (attention + second) + logits


def held_bytes(model: Model, vocabulary: int, training: Training, devices: int) -> float:
    """Weights, gradients and optimiser state in float32, and a copy of the weights where bfloat16 computes.

    Under fsdp the devices share weights, gradients and optimiser state. Instead of the copy, each device has gathered
    the head, the block at work, the next block, and the gradient of one block.
    """
    count = parameters(model, vocabulary, training.sequence_length)
    state = state_bytes(model, vocabulary, training) + 4 * count
    size = compute_bytes(training)
    if training.strategy != "fsdp":
        return state + (size * count if size < 4 else 0)
    positions = training.sequence_length
    block = max(attention_parameters(model, positions), second_branch_parameters(model, positions))
    return state / devices + size * (vocabulary * model.d_model + 2 * block) + 4 * block


def compute_bytes(training: Training) -> int:
    """Bytes of a number in the precision in which a GPU computes matrix products."""
    return 4 if training.precision == "float32" else 2


def stream_bytes(training: Training) -> int:
    """Bytes of a number of the residual stream."""
    return 4 if training.residual == "float32" else 2


def branch_bytes(model: Model, training: Training) -> tuple[float, float]:
    """Bytes per token that autograd keeps of one layer's attention branch and of its second branch.

    In the computing precision: queries, keys, values and what they mix to; a gate and what it leaves; the hidden widths
    of the feed-forward branch. Around every block D for its input, in the precision of the residual stream, and 8 D
    per norm on the stream, in float32. A softmax that forms its map keeps every entry of it, other attention keeps no
    map. torch.compile computes what is cheap again: one D per norm and two entries of a map, in the computing
    precision. The counts are those of PyTorch's saved tensors, which a test compares.
    """
    size, compiled = compute_bytes(training), training.compile
    shape, places, softmax = model.attention, NORMS[model.norm.kind], SOFTMAX[model.attention.softmax]
    queries, keys = widths(model)
    norm = size if compiled else 8
    around = model.d_model * (stream_bytes(training) + norm * len(stream_norms(model)))
    attention = around + size * (2 * queries + 2 * keys)
    if (places.queries_keys is not None or shape.qk_norm) and not compiled:
        attention += norm * (queries + keys)
    if model.gate.kind != "none":
        attention += size * sum(gate_widths(model))
    valves = sum(valve.kind != "none" for valve in (model.value_valve, model.key_valve))
    attention += (size if compiled else 4) * keys * valves
    if softmax.forms_map:
        attention += (2 * size if compiled else softmax.map_bytes + size) * shape.heads * training.sequence_length
    if model.feed_forward.kind == "attention":
        return attention, attention
    second = FEED_FORWARDS[model.feed_forward.kind]
    hidden = second.kept_widths_compiled if compiled else second.kept_widths
    return attention, around + size * hidden * model.feed_forward.width


def logits_bytes(vocabulary: int, training: Training, sequences: int) -> int:
    """Bytes of the logits that exist at a time.

    In the loss's precision: log-probabilities, their gradient, and that of the logits. A decoder that is compiled whole
    computes these from the logits as it needs them, but it keeps the logits of all chunks, in the computing precision.
    """
    first, last = training.loss_window or (0, training.sequence_length)
    together = sequences * (last - first)
    if training.compile and training.strategy != "fsdp" and not training.activation_checkpointing:
        return together * vocabulary * compute_bytes(training)
    if training.loss_chunk is not None:
        together = min(together, training.loss_chunk)
    return together * vocabulary * 3 * stream_bytes(training)
