"""What the tensors of our decoder are called in Hugging Face Llama and Qwen checkpoints."""

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
OUTSIDE_LAYERS = {"embedding.weight": EMBEDDING, "norm.weight": "model.norm.weight", "head.weight": HEAD}
ATTENTION = {
    "pre_norm": "input_layernorm",
    "body.q": "self_attn.q_proj",
    "body.k": "self_attn.k_proj",
    "body.v": "self_attn.v_proj",
    "body.o": "self_attn.o_proj",
    "body.q_norm": "self_attn.q_norm",
    "body.k_norm": "self_attn.k_norm",
}
FEED_FORWARD = {
    "pre_norm": "post_attention_layernorm",  # named for where it stands: it is the norm before the feed-forward branch
    "body.gate": "mlp.gate_proj",
    "body.up": "mlp.up_proj",
    "body.down": "mlp.down_proj",
}


def hub_name(name: str) -> str:
    """What our tensor ``name`` is called in a checkpoint. A layer there is two blocks here.

    Raises KeyError for a part that these checkpoints do not have.
    """
    if name in OUTSIDE_LAYERS:
        return OUTSIDE_LAYERS[name]
    _, block, rest = name.split(".", 2)
    part, kind = rest.rsplit(".", 1)
    layer, is_second = divmod(int(block), 2)
    return f"model.layers.{layer}.{(FEED_FORWARD if is_second else ATTENTION)[part]}.{kind}"


def output_bias(layer: int) -> str:
    """What the bias after the output projection is called in a checkpoint; our decoder has none."""
    return f"model.layers.{layer}.{ATTENTION['body.o']}.bias"
