"""Small decoders for the unit tests."""

import torch

from spikesink.model.decoder import Decoder, initialise
from spikesink.settings import Model, build

VOCABULARY = 31
POSITIONS = 24

VARIANTS: dict[str, dict] = {
    "baseline": {},
    "sandwich": {"norm": {"kind": "sandwich"}},
    "sandwich_qk": {"norm": {"kind": "sandwich_qk"}},
    "dyt": {"norm": {"kind": "dyt"}},
    "gelu": {"feed_forward": {"kind": "gelu", "width": 30}},
    "linear": {"feed_forward": {"kind": "linear", "width": 20}},
    "attention_only": {"feed_forward": {"kind": "attention", "width": 20}},
    "grouped_query": {"attention": {"heads": 4, "head_dim": 4, "kv_heads": 2}},
    "narrow_heads": {"attention": {"heads": 8, "head_dim": 2}},
    "v_scale": {"value": {"kind": "v_scale"}},
    "v_scale_backward_only": {"value": {"kind": "v_scale_backward_only"}},
    "crossed": {"norm": {"kind": "sandwich"}, "gate": {"kind": "conditional"}, "value": {"kind": "v_scale"}},
} | {
    f"{kind}_{per}": {"gate": {"kind": kind, "per": per}}
    for kind in ("conditional", "unconditional", "positional", "token_embedding")
    for per in ("channel", "head", "single")
}


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


def tokens(batch: int = 2, length: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))
