"""A run in the format of its own, for variants that no architecture of transformers has."""

from dataclasses import asdict
from typing import Any

from spikesink import __version__
from spikesink.pretrained.own_code import MODELLING
from spikesink.study.settings import Model
from spikesink.study.sizes import attentions_per_layer

ARCHITECTURE = "SpikesinkForCausalLM"
PREFIX = "decoder."
"""Of the weights' names."""


def own_config(settings: Model, vocabulary: int, positions: int) -> dict[str, Any]:
    """The content of config.json. transformers builds the model from ``settings``; its caches read the other sizes."""
    module = MODELLING.rsplit(".", 1)[-1]
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "spikesink",
        "auto_map": {
            "AutoConfig": f"{module}.SpikesinkConfig",
            "AutoModelForCausalLM": f"{module}.{ARCHITECTURE}",
        },
        "spikesink_version": __version__,
        "settings": asdict(settings),
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "num_hidden_layers": settings.layers * attentions_per_layer(settings),
        "hidden_size": settings.d_model,
        "num_attention_heads": settings.attention.heads,
        "num_key_value_heads": settings.attention.key_value_heads,
        "tie_word_embeddings": False,  # the decoder ties them itself
        "dtype": "float32",
    }
