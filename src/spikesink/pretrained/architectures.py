"""The architectures whose checkpoints can be read: what each has that its config.json does not say, and its names.

They follow the modelling files of transformers 5. All become settings of the one decoder. What has no setting, because
it changes no result, is undone when the weights are read (spikesink.pretrained.conversion).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

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
FUSED = {"body.gate": "mlp.gate_up_proj", "body.up": "mlp.gate_up_proj"}


class Architecture(NamedTuple):
    """One architecture of transformers. The defaults are those of Llama."""

    model_type: str
    norm: str = "rms"
    """Our norm.kind."""
    qk_norm: bool = False
    """Whether every head's queries and keys are normalised."""
    qkv_bias: bool = False
    """Whether queries, keys and values always have a bias; else attention_bias says it."""
    attention_bias: bool = False
    """What it says where config.json lacks it."""
    output_bias: bool = True
    """Whether attention_bias puts one after the output projection too."""
    feed_forward: str = "swiglu"
    """Our feed_forward.kind."""
    head_dim: bool = True
    """Whether head_dim follows from the other sizes where config.json lacks it."""
    key_value_heads: bool = False
    """Whether there are as many key-value heads as heads where config.json lacks them."""
    rotary_share: float | None = None
    """Share of a head's channels that rotate where config.json says none; None: all, and it must not say another."""
    rotary_neighbours: bool = False
    """Whether channels 2i and 2i + 1 rotate together, instead of i and i + half."""
    windows: str | None = None
    """Which layers have sliding windows: all or pattern; None: none, and config.json must not switch them on."""
    theta: float = 10_000.0
    """Base of the rotary frequencies where config.json says none."""
    tied: bool = False
    """Whether the head is tied where config.json says nothing."""
    scaled_embeddings: bool = False
    """Whether embeddings enter the stream times sqrt(d_model)."""
    gain_offset: float = 0.0
    """What a norm adds to its stored weight: Gemma's gain is 1 + w."""
    attention: Mapping[str, str] = ATTENTION
    """The checkpoint's name of each of our parts in a layer's attention block."""
    second: Mapping[str, str] = FEED_FORWARD
    """The same in its feed-forward block. Two of our parts with one name are stored as one tensor, in this order."""
    reads: frozenset[str] = frozenset()
    """Further keys of config.json that are read."""
    fixed: Mapping[str, tuple[Any, ...]] = {}
    """Further keys, or other values of them, with the values that the decoder computes."""
    ignores: frozenset[str] = frozenset()
    """Further keys that change nothing."""


SWITCH = frozenset({"sliding_window", "max_window_layers"})
"""Keys that mean nothing in Qwen while use_sliding_window is off; Llama has no such switch."""

ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama", key_value_heads=True),
    "Qwen2ForCausalLM": Architecture("qwen2", qkv_bias=True, output_bias=False, ignores=SWITCH),
    "Qwen3ForCausalLM": Architecture("qwen3", qk_norm=True, head_dim=False, ignores=SWITCH),
    "MistralForCausalLM": Architecture(
        "mistral",
        windows="all",
        reads=frozenset({"sliding_window"}),
        fixed={"attention_bias": (False, None), "layer_types": (None,)},  # of these two it reads neither
    ),
    "GlmForCausalLM": Architecture(
        "glm",
        attention_bias=True,
        output_bias=False,
        head_dim=False,
        rotary_share=0.5,
        rotary_neighbours=True,
        second=FEED_FORWARD | FUSED,
    ),
    "Glm4ForCausalLM": Architecture(
        "glm4",
        attention_bias=True,
        norm="sandwich",
        output_bias=False,
        head_dim=False,
        rotary_share=0.5,
        rotary_neighbours=True,
        attention=ATTENTION | {"post_norm": "post_self_attn_layernorm"},
        second=FEED_FORWARD | FUSED | {"post_norm": "post_mlp_layernorm"},
    ),
    "Olmo2ForCausalLM": Architecture(
        "olmo2",
        norm="sandwich_qk",
        key_value_heads=True,
        attention=ATTENTION | {"post_norm": "post_attention_layernorm"},
        second=FEED_FORWARD | {"post_norm": "post_feedforward_layernorm"},
    ),
    "Gemma3ForCausalLM": Architecture(
        "gemma3_text",
        norm="sandwich",
        qk_norm=True,
        feed_forward="geglu",
        head_dim=False,
        windows="pattern",
        theta=1_000_000.0,
        tied=True,
        scaled_embeddings=True,
        gain_offset=1.0,
        attention=ATTENTION | {"post_norm": "post_attention_layernorm"},
        second=FEED_FORWARD | {"pre_norm": "pre_feedforward_layernorm", "post_norm": "post_feedforward_layernorm"},
        reads=frozenset({"query_pre_attn_scalar", "rope_local_base_freq", "sliding_window", "sliding_window_pattern"}),
        fixed={
            "hidden_activation": ("gelu_pytorch_tanh",),
            "hidden_act": ("gelu_pytorch_tanh", None),  # not read there
            "use_bidirectional_attention": (False, None),
        },
        ignores=frozenset({"_sliding_window_pattern"}),
    ),
}
"""By the name in config.json."""
