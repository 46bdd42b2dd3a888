"""Sizes of a run in closed form: parameters, training FLOPs, GPU memory, disk. No model is built, no torch imported.

Parameters are exact and FLOPs follow a stated convention; memory and disk are estimates. Letters as in the model: D
d_model, N query heads, K key-value heads, H head dimension, T positions, V vocabulary.
"""

from spikesink.study.settings import Model, Training

CHECKPOINTS = 3  # at most at a time: two are kept while the next is written


def widths(model: Model) -> tuple[int, int]:
    """Width N H of all queries together and K H of all keys, or all values, together."""
    shape = model.attention
    return shape.heads * shape.head_dim, shape.key_value_heads * shape.head_dim


def attentions_per_layer(model: Model) -> int:
    return 2 if model.feed_forward.kind == "attention" else 1


# Parameters


def parameters(model: Model, vocabulary: int, positions: int) -> int:
    """Trained parameters; ``positions`` is the context, which a positional gate has a table for."""
    d = model.d_model
    norms = {"rms": d, "sandwich": 2 * d, "sandwich_qk": d, "dyt": d + 1}[model.norm.kind]  # of one block
    layer = attention_parameters(model, positions) + second_branch_parameters(model, positions) + 2 * norms
    embeddings = vocabulary * d * (1 if model.tied_embeddings else 2)
    return embeddings + model.layers * layer + valve_parameters(model) + d


def attention_parameters(model: Model, positions: int) -> int:
    """Of one attention branch without its valves: projections, biases, norms, sink logits, extra key and gate."""
    shape = model.attention
    queries, keys = widths(model)
    count = 2 * model.d_model * (queries + keys)
    if shape.qkv_bias:
        count += queries + 2 * keys
    if model.norm.kind == "sandwich_qk":
        count += queries + keys
    elif shape.qk_norm:
        count += 2 * shape.head_dim
    if shape.softmax == "sink_logit":
        count += shape.heads
    count += {"none": 0, "key_bias": keys, "key_value_bias": 2 * keys}[shape.extra_key]
    return count + gate_parameters(model, positions)


def second_branch_parameters(model: Model, positions: int) -> int:
    """Of the branch in the feed-forward place of one layer (2603.05498 Table 4)."""
    d, kind, width = model.d_model, model.feed_forward.kind, model.feed_forward.width
    if kind == "attention":
        return attention_parameters(model, positions)
    return {"swiglu": 3 * d * width, "gelu": 2 * d * width, "linear": d * d}[kind]


def gate_values(model: Model) -> tuple[int, int]:
    """Width of what one attention branch's gate acts on, and how many values the gate has for a token."""
    shape, gate = model.attention, model.gate
    heads = shape.heads if gate.at == "output" else shape.key_value_heads
    width = heads * shape.head_dim
    return width, {"channel": width, "head": heads, "single": 1}[gate.per]


def gate_parameters(model: Model, positions: int) -> int:
    """Of one attention branch's gate (2603.05498 Table 7)."""
    kind, head_dim = model.gate.kind, model.attention.head_dim
    width, values = gate_values(model)
    if kind in ("conditional", "token_embedding"):
        return model.d_model * values
    if kind == "value_state":  # per channel or head: one projection that all heads share
        return {"channel": head_dim * head_dim, "head": head_dim, "single": width}[model.gate.per]
    return {"none": 0, "unconditional": values, "positional": positions * values}[kind]


def valve_parameters(model: Model) -> int:
    """Learned thresholds of all value and key valves: one per key-value head of each attention branch that has one."""
    count = 0
    for valve in (model.value_valve, model.key_valve):
        if valve.kind in ("v_scale", "v_scale_forward_only") and valve.c == "learned":
            layers = model.layers if valve.layers is None else len(set(valve.layers))
            count += layers * attentions_per_layer(model) * model.attention.key_value_heads
    return count


# Computation


def flops_per_token(model: Model, vocabulary: int, positions: int, window: tuple[int, int] | None = None) -> float:
    """Training FLOPs per token of the context, averaged over a sequence of ``positions`` tokens.

    6 per matrix weight that multiplies a token's activations (2 forward, 4 backward), output head included, embedding
    lookup not; with a loss window [first, last) only those positions go through the head. Scores and mixing add
    12 N H per attention branch and visible key, as in PaLM (2204.02311, appendix B), which counts all T keys; here
    they are T / 2, the mean number that a causal mask leaves. As there, element-wise work and what activation
    checkpointing computes a second time do not count.
    """
    first, last = window or (0, positions)
    head = vocabulary * model.d_model * (last - first) / positions
    queries, _ = widths(model)
    attention = 12 * model.layers * attentions_per_layer(model) * queries * positions / 2
    return 6 * (multiplied_weights(model) + head) + attention


def multiplied_weights(model: Model) -> int:
    """Weights of the layers' matrices that multiply a token's activations, counted as often as they are used."""
    queries, keys = widths(model)
    attention = 2 * model.d_model * (queries + keys)
    if model.gate.kind in ("conditional", "token_embedding"):
        attention += gate_parameters(model, positions=0)
    if model.gate.kind == "value_state":  # every head uses the shared projection
        attention += keys * (model.attention.head_dim if model.gate.per == "channel" else 1)
    if model.feed_forward.kind == "attention":
        return model.layers * 2 * attention
    return model.layers * (attention + second_branch_parameters(model, positions=0))


def training_tokens(training: Training) -> int:
    """Tokens of context that a run reads."""
    return training.steps * training.batch_size * training.sequence_length


def training_flops(model: Model, vocabulary: int, training: Training) -> float:
    per_token = flops_per_token(model, vocabulary, training.sequence_length, training.loss_window)
    return per_token * training_tokens(training)


# Memory and disk


def micro_batch(training: Training, devices: int) -> int:
    """Sequences per device and forward pass: the largest divisor of a device's share that micro_batch_size allows.

    As in training, devices that cannot have equal shares of batch_size are a ValueError.
    """
    share, rest = divmod(training.batch_size, devices)
    if rest or not share:
        raise ValueError(f"training.batch_size = {training.batch_size} cannot be shared equally by {devices} devices")
    limit = min(training.micro_batch_size or share, share)
    return next(size for size in range(limit, 0, -1) if share % size == 0)


def state_bytes(training: Training) -> int:
    """Bytes per parameter of float32 weights and optimiser state: AdamW has two moments, SGD one."""
    return 12 if training.optimiser.kind == "adamw" else 8


def weights_bytes(model: Model, vocabulary: int, positions: int) -> int:
    """Disk that a finished run keeps: its weights in float32."""
    return 4 * parameters(model, vocabulary, positions)


def checkpoint_bytes(model: Model, vocabulary: int, training: Training) -> int:
    """Disk that a run needs on top while it trains: its checkpoints, weights and optimiser state."""
    return CHECKPOINTS * state_bytes(training) * parameters(model, vocabulary, training.sequence_length)


def memory_bytes(model: Model, vocabulary: int, training: Training, devices: int) -> float:
    """Estimate of the most memory that tensors take on one GPU.

    ``held_bytes``, what the backward pass needs of one micro-batch, and the logits. The CUDA context, buffers of
    libraries and memory that the allocator cannot use come on top: one or two GiB.
    """
    sequences = micro_batch(training, devices)
    tokens = sequences * training.sequence_length
    held = held_bytes(model, vocabulary, training, devices)
    attention, second = (branch * tokens for branch in branch_bytes(model, training))
    logits = logits_bytes(vocabulary, training, sequences)
    if training.activation_checkpointing:  # the input of every block, and the inside of one or the logits
        return held + 2 * model.layers * 4 * model.d_model * tokens + max(attention, second, logits)
    return held + model.layers * (attention + second) + logits


def held_bytes(model: Model, vocabulary: int, training: Training, devices: int) -> float:
    """Weights, gradients and optimiser state in float32, and a copy of the weights where bfloat16 computes.

    Under fsdp the devices share the former, and instead of the copy each has gathered the head, the block at work and
    the next one, and the gradient of one block.
    """
    count = parameters(model, vocabulary, training.sequence_length)
    state = (state_bytes(training) + 4) * count
    size = compute_bytes(training)
    if training.strategy != "fsdp":
        return state + (size * count if size < 4 else 0)
    positions = training.sequence_length
    block = max(attention_parameters(model, positions), second_branch_parameters(model, positions))
    return state / devices + size * (vocabulary * model.d_model + 2 * block) + 4 * block


def compute_bytes(training: Training) -> int:
    """Of a number in the precision that a GPU computes matrix products in."""
    return 4 if training.precision == "float32" else 2


def branch_bytes(model: Model, training: Training) -> tuple[float, float]:
    """Bytes per token that autograd keeps of one layer's attention branch and of its second branch.

    In the computing precision: queries, keys, values and what they mix to; a gate and what it leaves; 4 widths of
    SwiGLU's hidden layer or 2 of GELU's. Around every block 4 D for its input and 8 D per norm on the residual stream,
    in float32. Softpick keeps 17 bytes of every entry of its map beside the weight, other attention keeps no map.
    torch.compile computes what is cheap again: 3 widths of SwiGLU, one D per norm in the computing precision, two
    entries of softpick's map. The counts are those of PyTorch's saved tensors, which a test compares.
    """
    size, compiled = compute_bytes(training), training.compile
    shape, kind = model.attention, model.norm.kind
    queries, keys = widths(model)
    norm = size if compiled else 8
    around = model.d_model * (4 + norm * (2 if kind == "sandwich" else 1))
    attention = around + size * (2 * queries + 2 * keys)
    if (kind == "sandwich_qk" or shape.qk_norm) and not compiled:
        attention += norm * (queries + keys)
    if model.gate.kind != "none":
        attention += size * sum(gate_values(model))
    valves = sum(valve.kind != "none" for valve in (model.value_valve, model.key_valve))
    attention += (size if compiled else 4) * keys * valves
    if shape.softmax == "softpick":
        attention += (2 * size if compiled else 17 + size) * shape.heads * training.sequence_length
    if model.feed_forward.kind == "attention":
        return attention, attention
    hidden = {"swiglu": 3 if compiled else 4, "gelu": 2, "linear": 0}[model.feed_forward.kind]
    return attention, around + size * hidden * model.feed_forward.width


def logits_bytes(vocabulary: int, training: Training, sequences: int) -> int:
    """Bytes of the logits that exist at a time: as computed, in float32 and, for the gradient, as log-probabilities."""
    first, last = training.loss_window or (0, training.sequence_length)
    together = sequences * (last - first)
    if training.loss_chunk is not None:
        together = min(together, training.loss_chunk)
    return together * vocabulary * (8 if training.precision == "float32" else 10)
