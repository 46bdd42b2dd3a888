"""The architecture of a model, part by part. spikesink.study.kinds and spikesink.model define each kind of a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikesink.study.kinds import NORMS, SOFTMAX
from spikesink.study.settings.checks import SPECIFICATION, at_most, not_negative, positive

AFFECTS_RESULTS = False


@dataclass(frozen=True, kw_only=True)
class Norm:
    """Normalisation of the residual branches (2603.05498 Table 5)."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["rms", "sandwich", "sandwich_qk", "dyt", "post"] = "rms"
    """rms: RMSNorm before each branch; sandwich: before and after; sandwich_qk: none before, RMSNorm on queries, keys
    and after each branch; dyt: DynamicTanh before each branch; post: post-norm as in the first Transformer, RMSNorm on
    every residual sum (Gu et al. 2410.10781, who leave out the final norm). The final norm is always RMSNorm."""
    eps: float = 1e-5
    """Added to the mean square inside RMSNorm."""
    dyt_alpha_attention: float = 0.8
    """Initial slope of DynamicTanh before attention."""
    dyt_alpha_feed_forward: float = 0.2
    """Initial slope of DynamicTanh before the feed-forward branch."""

    def __post_init__(self) -> None:
        positive(self, "eps", "dyt_alpha_attention", "dyt_alpha_feed_forward")


@dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """Llama 3's scaling: slow rotary frequencies are lowered, for contexts longer than in training."""

    __pydantic_config__ = SPECIFICATION

    factor: float
    """Frequencies whose wavelength exceeds original_positions / low_frequency_factor are divided by this."""
    low_frequency_factor: float
    """Frequencies with fewer turns than this over original_positions are divided by factor; between this and
    high_frequency_factor the change is smooth."""
    high_frequency_factor: float
    """Frequencies with more turns than this over original_positions stay as they are."""
    original_positions: int
    """Context length in tokens before the scaling."""

    def __post_init__(self) -> None:
        positive(self, "factor", "low_frequency_factor", "high_frequency_factor", "original_positions")
        if self.high_frequency_factor <= self.low_frequency_factor:
            raise ValueError(
                f"high_frequency_factor = {self.high_frequency_factor} must exceed low_frequency_factor = "
                f"{self.low_frequency_factor}"
            )


@dataclass(frozen=True, kw_only=True)
class Window:
    """Sliding windows: in some layers a query sees recent keys alone (Mistral, Gemma)."""

    __pydantic_config__ = SPECIFICATION

    size: int
    """Keys that a query sees, its own among them."""
    layers: tuple[int, ...] | None = None
    """Layers, counted from 0, that have the window; null: all."""
    rope_theta: float | None = None
    """Base of the rotary frequencies in these layers, which then are not scaled; null: as in all layers."""

    def __post_init__(self) -> None:
        positive(self, "size", "rope_theta")


@dataclass(frozen=True, kw_only=True)
class Attention:
    """The attention branch: its shape (2603.05498 Table 6) and how scores become weights."""

    __pydantic_config__ = SPECIFICATION

    heads: int
    """Query heads per layer."""
    head_dim: int
    """Width of one head; even, because rotary embeddings turn pairs."""
    kv_heads: int | None = None
    """Key and value heads per layer (grouped-query attention); null means as many as heads."""
    rope_theta: float = 10_000.0
    """Base of the rotary frequencies."""
    rope_scaling: RopeScaling | None = None
    """Llama 3's frequency scaling; null leaves the frequencies as they are."""
    rotary_channels: int | None = None
    """Channels of every head, the first ones, that rotate; even; null: all of head_dim (GLM-4 turns half of them)."""
    score_scale: float | None = None
    """Factor of the scores q.k; null: 1 / sqrt(head_dim)."""
    window: Window | None = None
    """Sliding windows; null: every query sees all keys before it."""
    qkv_bias: bool = False
    """Biases on the query, key and value projections (Qwen2)."""
    qk_norm: bool = False
    """RMSNorm on every head's queries and keys before the rotation (Qwen3)."""
    softmax: Literal["softmax", "softmax1", "sink_logit", "softpick", "sigmoid", "relu"] = "softmax"
    """softmax; softmax1: e^x / (1 + sum e^x) (Miller 2023); sink_logit: a learned logit per head joins the sum, and
    its weight is dropped (gpt-oss); softpick: relu(e^x - 1) / sum |e^x - 1| (2504.20966); sigmoid: 1 / (1 + e^-x),
    without normalisation (Gu et al. 2410.10781); relu: relu(x) / number of visible keys (Wortsman et al.
    2309.08586)."""
    extra_key: Literal["none", "key_bias", "key_value_bias"] = "none"
    """A learned key per head that every query may attend to: key_bias with value 0 (Gu et al. 2410.10781),
    key_value_bias with a learned value (Sun et al. 2402.17762)."""

    def __post_init__(self) -> None:
        positive(self, "heads", "head_dim", "kv_heads", "rope_theta", "rotary_channels", "score_scale")
        if self.softmax != "softmax" and self.extra_key != "none":
            raise ValueError(
                f"extra_key = {self.extra_key!r} with softmax = {self.softmax!r}: both give attention a place to rest, "
                "choose one"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim = {self.head_dim} is odd: rotary embeddings need an even head_dim")
        turned = self.rotary_channels or self.head_dim
        if turned % 2 or turned > self.head_dim:
            raise ValueError(f"rotary_channels = {turned}: choose an even number up to head_dim = {self.head_dim}")
        if self.window is not None and (SOFTMAX[self.softmax].extra_key or self.extra_key != "none"):
            raise ValueError(
                f"window with softmax = {self.softmax!r} and extra_key = {self.extra_key!r}: an extra key stands "
                "before the text, out of every window, choose one"
            )
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads = {self.heads} is not divisible by kv_heads = {self.kv_heads}")

    @property
    def key_value_heads(self) -> int:
        return self.kv_heads or self.heads

    @property
    def scale(self) -> float:
        """Factor of the scores."""
        return self.head_dim**-0.5 if self.score_scale is None else self.score_scale

    def window_in(self, layer: int) -> int | None:
        """Keys that a query sees in a layer, counted from 0; None: all."""
        if self.window is None or (self.window.layers is not None and layer not in self.window.layers):
            return None
        return self.window.size


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """The second branch of a layer (2603.05498 Table 4)."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["swiglu", "geglu", "gelu", "linear", "attention"] = "swiglu"
    """swiglu; geglu: GELU, by tanh, in the place of SiLU (Gemma); gelu: two matrices around an exact
    GELU; linear: one d x d matrix; attention: a second attention branch in this place."""
    width: int
    """Hidden width of swiglu, geglu and gelu; linear and attention do not use it. gelu has as many parameters as
    swiglu when it is 1.5 times as wide."""

    def __post_init__(self) -> None:
        positive(self, "width")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A sigmoid gate in the attention branch (2603.05498 Table 7; positions G1 and G2 of Qiu et al. 2505.06708)."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["none", "conditional", "unconditional", "positional", "token_embedding", "value_state"] = "none"
    """conditional: from the layer's normalised input; unconditional: a learned constant; positional: a learned table
    over positions; token_embedding: from the raw input embedding; value_state: from the value vector that it gates
    (2510.09017), with at: value."""
    per: Literal["channel", "head", "single"] = "channel"
    """One gate value per channel of every head, per head, or a single one."""
    at: Literal["output", "value"] = "output"
    """output: on the attention output before the output projection; value: on the value vectors."""

    def __post_init__(self) -> None:
        if self.kind == "value_state" and self.at != "value":
            raise ValueError(
                f"at = {self.at!r} with kind = 'value_state': a gate from the values acts on them, use value"
            )


@dataclass(frozen=True, kw_only=True)
class Valve:
    """V-scale (2603.17771 section 5.1), which contracts short vectors, on the values or on the keys."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal[
        "none",
        "v_scale",
        "v_scale_backward_only",
        "v_scale_backward_uniform",
        "v_scale_backward_first",
        "v_scale_forward_only",
    ] = "none"
    """v_scale: v |v|^2 / (|v|^2 + C) per head; v_scale_backward_only: the forward pass is unchanged, the gradient
    passes through v_scale's Jacobian with the initial C; v_scale_backward_uniform: as that, but all tokens of a
    sequence get one factor per head, the mean of the Jacobian's eigenvalues over these tokens; v_scale_backward_first:
    as v_scale_backward_only at token 0, and unchanged at all others; v_scale_forward_only: v is contracted, its
    gradient passes unchanged."""
    c: Literal["learned", "fixed"] = "learned"
    """C = c_factor d_model head_dim std^2 exp(theta); std is that of the projection's initial weights. There is one
    theta per key-value head. learned: it starts at 0; fixed: it stays 0."""
    c_factor: float = 1.0
    """Multiplier of C."""
    layers: tuple[int, ...] | None = None
    """Layers, counted from 0, that have the valve; null: all."""

    def __post_init__(self) -> None:
        positive(self, "c_factor")

    def kind_in(self, layer: int) -> str:
        """The kind of valve in a layer, counted from 0: "none" in a layer without one."""
        return self.kind if self.layers is None or layer in self.layers else "none"


@dataclass(frozen=True, kw_only=True)
class Initialisation:
    """Standard deviations of the normal distributions that weights start from."""

    __pydantic_config__ = SPECIFICATION

    embedding_std: float = 1.0
    """Token embeddings."""
    linear_std: float = 0.02
    """Every matrix inside the layers, gates included."""
    query_key_std: float | None = None
    """Query and key projections; null means linear_std. A narrow model needs more than 0.02: attention logits grow with
    d_model * std^2, and otherwise they are nearly all equal at the start."""
    head_std: float | None = None
    """Output head; null means 1 / sqrt(d_model)."""
    extra_key_std: float = 0.0
    """Keys and values of attention.extra_key. With 0 they start at 0; the code of 2410.10781 has 0.02."""

    def __post_init__(self) -> None:
        positive(self, "embedding_std", "linear_std", "query_key_std", "head_std")
        not_negative(self, "extra_key_std")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A Llama-style decoder."""

    __pydantic_config__ = SPECIFICATION

    layers: int
    """Layers; each has an attention branch and a feed-forward branch, two blocks in the papers' counting."""
    d_model: int
    """Width of the residual stream."""
    attention: Attention
    """Shape of the attention branch."""
    feed_forward: FeedForward
    """The second branch."""
    norm: Norm = Norm()
    """Normalisation of the branches."""
    gate: Gate = Gate()
    """Gate in the attention branch."""
    value_valve: Valve = Valve()
    """Contraction of value vectors before attention mixes them."""
    key_valve: Valve = Valve()
    """The same contraction on keys before the rotation. With v_scale_backward_only it acts on the keys' gradient
    alone."""
    tied_embeddings: bool = False
    """Whether the output head is the embedding matrix."""
    scaled_embeddings: bool = False
    """Whether embeddings enter the residual stream times sqrt(d_model) (Gemma)."""
    initialisation: Initialisation = Initialisation()
    """Initial weights."""

    def __post_init__(self) -> None:
        positive(self, "layers", "d_model")
        at_most(self, 10_000, "layers")
        layers = {"value_valve": self.value_valve.layers, "key_valve": self.key_valve.layers}
        if self.attention.window is not None:
            layers["attention.window"] = self.attention.window.layers
        for name, chosen in layers.items():
            if chosen is not None and (not chosen or min(chosen) < 0 or max(chosen) >= self.layers):
                raise ValueError(
                    f"{name}.layers = {list(chosen)}: name layers from 0 to {self.layers - 1}, or null for all"
                )
        if self.attention.qk_norm and NORMS[self.norm.kind].queries_keys is not None:
            raise ValueError(
                f"attention.qk_norm = true with norm.kind = {self.norm.kind!r}, which normalises them already: choose"
            )
