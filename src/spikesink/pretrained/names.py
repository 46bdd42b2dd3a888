"""What the tensors of our decoder are called in a Hugging Face checkpoint."""

from spikesink.pretrained.architectures import Architecture

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
OUTSIDE_LAYERS = {"embedding.weight": EMBEDDING, "norm.weight": "model.norm.weight", "head.weight": HEAD}


def hub_name(name: str, architecture: Architecture) -> str:
    """What our tensor ``name`` is called in a checkpoint. A layer there is two blocks here.

    Raises KeyError for a part that these checkpoints do not have.
    """
    if name in OUTSIDE_LAYERS:
        return OUTSIDE_LAYERS[name]
    _, block, rest = name.split(".", 2)
    part, kind = rest.rsplit(".", 1)
    layer, is_second = divmod(int(block), 2)
    return f"model.layers.{layer}.{(architecture.second if is_second else architecture.attention)[part]}.{kind}"


def output_bias(layer: int, architecture: Architecture) -> str:
    """What the bias after the output projection is called in a checkpoint; our decoder has none."""
    return f"model.layers.{layer}.{architecture.attention['body.o']}.bias"
