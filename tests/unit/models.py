"""Small decoders for the unit tests."""

import torch

from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.probes.shares import shares
from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.study.settings import Model, build

VOCABULARY = 31
POSITIONS = 24

VARIANTS: dict[str, dict] = (
    {
        "baseline": {},
        "sandwich": {"norm": {"kind": "sandwich"}},
        "sandwich_qk": {"norm": {"kind": "sandwich_qk"}},
        "dyt": {"norm": {"kind": "dyt"}},
        "post": {"norm": {"kind": "post"}},
        "gemma3": {
            "attention": {
                "heads": 4,
                "head_dim": 4,
                "kv_heads": 2,
                "qk_norm": True,
                "score_scale": 0.4,
                "window": {"size": 6, "layers": [1], "rope_theta": 100.0},
            },
            "norm": {"kind": "sandwich"},
            "feed_forward": {"kind": "geglu", "width": 20},
            "tied_embeddings": True,
            "scaled_embeddings": True,
        },
        "partial_rotary": {"attention": {"heads": 4, "head_dim": 8, "rotary_channels": 4, "score_scale": 0.5}},
        "windows": {
            "attention": {
                "heads": 4,
                "head_dim": 4,
                "kv_heads": 2,
                "window": {"size": 5, "layers": [0], "rope_theta": 100.0},
            }
        },
        "gelu": {"feed_forward": {"kind": "gelu", "width": 30}},
        "linear": {"feed_forward": {"kind": "linear", "width": 20}},
        "attention_only": {"feed_forward": {"kind": "attention", "width": 20}},
        "grouped_query": {"attention": {"heads": 4, "head_dim": 4, "kv_heads": 2}},
        "narrow_heads": {"attention": {"heads": 8, "head_dim": 2}},
        "v_scale": {"value_valve": {"kind": "v_scale"}},
        "v_scale_backward_only": {"value_valve": {"kind": "v_scale_backward_only"}},
        "v_scale_forward_only": {"value_valve": {"kind": "v_scale_forward_only"}},
        "v_scale_backward_uniform": {"value_valve": {"kind": "v_scale_backward_uniform"}},
        "v_scale_backward_first": {"value_valve": {"kind": "v_scale_backward_first"}},
        "v_scale_fixed": {"value_valve": {"kind": "v_scale", "c": "fixed", "c_factor": 4.0}},
        "v_scale_one_layer": {"value_valve": {"kind": "v_scale", "layers": [1]}},
        "key_valve": {"key_valve": {"kind": "v_scale_backward_only"}},
        "key_scale": {"key_valve": {"kind": "v_scale"}, "attention": {"heads": 4, "head_dim": 4, "kv_heads": 2}},
        "softmax1": {"attention": {"heads": 4, "head_dim": 4, "softmax": "softmax1"}},
        "sink_logit": {"attention": {"heads": 4, "head_dim": 4, "kv_heads": 2, "softmax": "sink_logit"}},
        "softpick": {"attention": {"heads": 4, "head_dim": 4, "kv_heads": 2, "softmax": "softpick"}},
        "sigmoid": {"attention": {"heads": 4, "head_dim": 4, "kv_heads": 2, "softmax": "sigmoid"}},
        "relu": {"attention": {"heads": 4, "head_dim": 4, "softmax": "relu"}},
        "key_bias": {"attention": {"heads": 4, "head_dim": 4, "kv_heads": 2, "extra_key": "key_bias"}},
        "key_value_bias": {"attention": {"heads": 4, "head_dim": 4, "extra_key": "key_value_bias"}},
        "key_value_bias_drawn": {
            "attention": {"heads": 4, "head_dim": 4, "extra_key": "key_value_bias"},
            "initialisation": {"linear_std": 0.3, "extra_key_std": 0.02},
        },
        "qwen2": {"attention": {"heads": 4, "head_dim": 4, "kv_heads": 2, "qkv_bias": True}, "tied_embeddings": True},
        "qwen3": {"attention": {"heads": 4, "head_dim": 8, "kv_heads": 2, "qk_norm": True}},
        "rope_scaling": {
            "attention": {
                "heads": 4,
                "head_dim": 8,
                "rope_scaling": {
                    "factor": 8.0,
                    "low_frequency_factor": 1.0,
                    "high_frequency_factor": 4.0,
                    "original_positions": 16,
                },
            }
        },
        "crossed": {"norm": {"kind": "sandwich"}, "gate": {"kind": "conditional"}, "value_valve": {"kind": "v_scale"}},
        "crossed_all": {
            "attention": {"heads": 4, "head_dim": 4, "kv_heads": 2, "softmax": "sink_logit", "qkv_bias": True},
            "feed_forward": {"kind": "attention", "width": 20},
            "gate": {"kind": "value_state", "at": "value", "per": "head"},
            "value_valve": {"kind": "v_scale_forward_only"},
            "key_valve": {"kind": "v_scale"},
        },
    }
    | {
        f"value_{kind}_{per}": {
            "attention": {"heads": 4, "head_dim": 4, "kv_heads": 2},
            "gate": {"kind": kind, "per": per, "at": "value"},
        }
        for kind in ("conditional", "value_state")
        for per in ("channel", "head", "single")
    }
    | {
        f"{kind}_{per}": {"gate": {"kind": kind, "per": per}}
        for kind in ("conditional", "unconditional", "positional", "token_embedding")
        for per in ("channel", "head", "single")
    }
)


def model_settings(**overrides: dict) -> Model:
    plain = {
        "layers": 2,
        "d_model": 16,
        "attention": {"heads": 4, "head_dim": 4},
        "feed_forward": {"kind": "swiglu", "width": 20},
        "initialisation": {"linear_std": 0.3},
    }
    return build(Model, plain | overrides)


def decoder(seed: int = 0, **overrides: dict) -> Decoder:
    model = Decoder(model_settings(**overrides), vocabulary=VOCABULARY, positions=POSITIONS)
    initialise(model, seed)
    return model


def shaken(decoder: Decoder) -> Decoder:
    """The model in eval mode with random biases and gains, which start at 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return decoder.eval()


def tokens(batch: int = 2, length: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


def attention_map(body: CausalAttention, x: torch.Tensor, context: Context) -> torch.Tensor:
    """The whole map [B, N, T, T] (query, key) in float32, without an extra key."""
    q, k = (tensor.float() for tensor in body.queries_keys(x, context))
    if body.extra_key is None:
        return body.weights(q, k)
    q, k, _ = body.extra_key.extended(q, k, torch.zeros_like(k))
    return body.weights(q, k)[:, :, 1:, 1:]


def attention_maps(model: Decoder, tokens: torch.Tensor) -> dict[int, torch.Tensor]:
    """By attention block (1-based): its map in shares."""
    return {
        number: shares(block.body, attention_map(block.body, block.pre_norm(h), context))
        for number, block, h, context in block_inputs(model, tokens)
        if isinstance(block.body, CausalAttention)
    }
