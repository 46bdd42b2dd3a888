"""Sizes of a run in closed form: parameters, training FLOPs, disk. No model is built and no torch imported.

Parameters are exact, FLOPs follow a stated convention, disk is an estimate. What each kind of a part needs is in
spikesink.study.kinds. Letters as in the model: D d_model, N query heads, K key-value heads, H head dimension, T
positions, V vocabulary.
"""

from collections.abc import Callable
from typing import NamedTuple

from spikesink.study.kinds import EXTRA_KEYS, FEED_FORWARDS, NORM_PARAMETERS, NORMS, OPTIMISERS, SOFTMAX, VALVES, Kinds
from spikesink.study.settings import Model, Training

CHECKPOINTS = 3
"""The most checkpoints of a run at a time: two are kept while the next is written."""


def widths(model: Model) -> tuple[int, int]:
    """Width N H of all queries together and K H of all keys, or all values, together."""
    shape = model.attention
    return shape.heads * shape.head_dim, shape.key_value_heads * shape.head_dim


def attentions_per_layer(model: Model) -> int:
    """Attention branches of a layer: a second one may stand in the place of the feed-forward branch."""
    return 2 if model.feed_forward.kind == "attention" else 1


def parameters(model: Model, vocabulary: int, positions: int) -> int:
    """Number of trained parameters; ``positions`` is the context, for which a positional gate has a table."""
    attention, second = attention_parameters(model, positions), second_branch_parameters(model, positions)
    layer = attention + second + 2 * branch_norm_parameters(model)
    embeddings = vocabulary * model.d_model * (1 if model.tied_embeddings else 2)
    final_norm = NORM_PARAMETERS["rms"](model.d_model)
    return embeddings + model.layers * layer + valve_parameters(model) + final_norm


def branch_norm_parameters(model: Model) -> int:
    """Parameters of the norms on the residual stream around one branch."""
    return sum(NORM_PARAMETERS[norm](model.d_model) for norm in stream_norms(model))


def stream_norms(model: Model) -> list[str]:
    """The norms on the residual stream before and after one branch and on its residual sum."""
    places = NORMS[model.norm.kind]
    return [norm for norm in (places.before, places.after, places.sum) if norm is not None]


def attention_parameters(model: Model, positions: int) -> int:
    """Parameters of one attention branch without valves: projections, biases, norms, sink logits, extra key, gate."""
    shape = model.attention
    queries, keys = widths(model)
    count = 2 * model.d_model * (queries + keys)
    if shape.qkv_bias:
        count += queries + 2 * keys
    whole = NORMS[model.norm.kind].queries_keys
    if whole is not None:
        count += NORM_PARAMETERS[whole](queries) + NORM_PARAMETERS[whole](keys)
    if shape.qk_norm:
        count += 2 * NORM_PARAMETERS["rms"](shape.head_dim)
    if SOFTMAX[shape.softmax].head_logit:
        count += shape.heads
    count += EXTRA_KEYS[shape.extra_key] * keys
    return count + gate_parameters(model, positions)


def second_branch_parameters(model: Model, positions: int) -> int:
    """Parameters of the branch in the feed-forward place of one layer (2603.05498 Table 4)."""
    if model.feed_forward.kind == "attention":
        return attention_parameters(model, positions)
    return FEED_FORWARDS[model.feed_forward.kind].parameters(model.d_model, model.feed_forward.width)


def gate_widths(model: Model) -> tuple[int, int]:
    """Width of what one attention branch's gate acts on, and how many values the gate has for a token."""
    shape, gate = model.attention, model.gate
    heads = shape.heads if gate.at == "output" else shape.key_value_heads
    width = heads * shape.head_dim
    return width, {"channel": width, "head": heads, "single": 1}[gate.per]


class GateSize(NamedTuple):
    """Size of one attention branch's gate."""

    parameters: Callable[[Model, int], int]
    """Number of trained parameters, from the model and the context."""
    multiplied: Callable[[Model], int] = lambda model: 0
    """Weights that multiply a token's activations, counted as often as they are used."""


def projection(model: Model, positions: int = 0) -> int:
    """Weights of a gate's projection from d_model to its values."""
    _, values = gate_widths(model)
    return model.d_model * values


def shared_projection(model: Model, positions: int = 0) -> int:
    """Weights of a gate's projection from the values: one for all heads, or from all heads to a single value."""
    width, _ = gate_widths(model)
    head_dim = model.attention.head_dim
    return {"channel": head_dim * head_dim, "head": head_dim, "single": width}[model.gate.per]


def shared_projection_used(model: Model) -> int:
    """The same, counted once for every head that uses it."""
    _, keys = widths(model)
    return keys * (model.attention.head_dim if model.gate.per == "channel" else 1)


GATE_SIZES = Kinds(
    "gate.kind",
    __name__,
    {
        "none": GateSize(lambda model, positions: 0),
        "conditional": GateSize(projection, projection),
        "unconditional": GateSize(lambda model, positions: gate_widths(model)[1]),
        "positional": GateSize(lambda model, positions: positions * gate_widths(model)[1]),
        "token_embedding": GateSize(projection, projection),
        "value_state": GateSize(shared_projection, shared_projection_used),
    },
)


def gate_parameters(model: Model, positions: int) -> int:
    """Parameters of one attention branch's gate (2603.05498 Table 7)."""
    return GATE_SIZES[model.gate.kind].parameters(model, positions)


def valve_parameters(model: Model) -> int:
    """Learned thresholds of all value and key valves: one per key-value head of each attention branch that has one."""
    count = 0
    for valve in (model.value_valve, model.key_valve):
        if VALVES[valve.kind].learns_threshold and valve.c == "learned":
            layers = model.layers if valve.layers is None else len(set(valve.layers))
            count += layers * attentions_per_layer(model) * model.attention.key_value_heads
    return count


def flops_per_token(model: Model, vocabulary: int, positions: int, window: tuple[int, int] | None = None) -> float:
    """Training FLOPs per token of the context, averaged over a sequence of ``positions`` tokens.

    6 per matrix weight that multiplies a token's activations (2 forward, 4 backward), output head included, embedding
    lookup not; with a loss window [first, last) only those positions go through the head. Scores and mixing add
    12 N H per attention branch and visible key, as in PaLM (2204.02311, appendix B), which counts all T keys; here
    they are T / 2, the mean number that a causal mask leaves, or what a sliding window leaves of them. As there,
    element-wise work and what activation checkpointing computes a second time do not count.
    """
    first, last = window or (0, positions)
    head = vocabulary * model.d_model * (last - first) / positions
    queries, _ = widths(model)
    keys = sum(mean_keys(model.attention.window_in(layer), positions) for layer in range(model.layers))
    attention = 12 * attentions_per_layer(model) * queries * keys
    return 6 * (multiplied_weights(model) + head) + attention


def mean_keys(window: int | None, positions: int) -> float:
    """Keys that a query sees, averaged over a context, where all of them see half of it without a window."""
    seen = min(window or positions, positions)
    return seen - seen**2 / (2 * positions)


def multiplied_weights(model: Model) -> int:
    """Weights of the layers' matrices that multiply a token's activations, counted as often as they are used."""
    queries, keys = widths(model)
    attention = 2 * model.d_model * (queries + keys) + GATE_SIZES[model.gate.kind].multiplied(model)
    if model.feed_forward.kind == "attention":
        return model.layers * 2 * attention
    return model.layers * (attention + second_branch_parameters(model, positions=0))


def training_tokens(training: Training) -> int:
    """Tokens of context that a run reads."""
    return training.steps * training.batch_size * training.sequence_length


def training_flops(model: Model, vocabulary: int, training: Training) -> float:
    per_token = flops_per_token(model, vocabulary, training.sequence_length, training.loss_window)
    return per_token * training_tokens(training)


def hidden_matrix_parameters(model: Model) -> int:
    """Weights of the matrices inside the layers, which an optimiser may treat apart."""
    queries, keys = widths(model)
    attention = 2 * model.d_model * (queries + keys)
    if GATE_SIZES[model.gate.kind].multiplied(model):
        attention += gate_parameters(model, positions=0)
    if model.feed_forward.kind == "attention":
        return model.layers * 2 * attention
    return model.layers * (attention + second_branch_parameters(model, positions=0))


def state_bytes(model: Model, vocabulary: int, training: Training) -> int:
    """Bytes of float32 weights and optimiser state."""
    count, matrices = parameters(model, vocabulary, training.sequence_length), hidden_matrix_parameters(model)
    optimiser = OPTIMISERS[training.optimiser.kind]
    return 4 * (count + optimiser.moments * (count - matrices) + optimiser.matrix_moments * matrices)


def weights_bytes(model: Model, vocabulary: int, positions: int) -> int:
    """Disk that a finished run keeps: its weights in float32."""
    return 4 * parameters(model, vocabulary, positions)


def checkpoint_bytes(model: Model, vocabulary: int, training: Training) -> int:
    """Disk that a run needs on top while it trains: its checkpoints, weights and optimiser state."""
    return CHECKPOINTS * state_bytes(model, vocabulary, training)
