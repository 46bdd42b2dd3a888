"""Causal self-attention with the parts that ablations swap."""

from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.model.context import Context
from spikesink.model.extra_key import ExtraKey
from spikesink.model.gates import AttentionGate
from spikesink.model.norms import build_norm
from spikesink.model.rotary import rotate
from spikesink.model.softmax import scores_to_weights
from spikesink.model.valves import AttentionValve
from spikesink.model.visible import hidden_removed, visible
from spikesink.study.kinds import NORMS, SOFTMAX
from spikesink.study.settings import Model


class CausalAttention(nn.Module):
    """softmax(scale q k^T) v, gated, then projected back; grouped-query when there are fewer key-value heads.

    ``scale`` is 1 / sqrt(H) unless the settings have another. With a ``window``, queries see that many keys alone.

    Queries and keys may pass a norm before the rotation: all heads together where ``norm.kind`` has one there, or head
    by head with ``attention.qk_norm``. ``layer`` counts from 0, for what only some layers have; ``positions`` is the
    longest sequence that a positional gate can hold; ``number`` is the attention's own in a cache, from 0.
    """

    def __init__(self, settings: Model, layer: int, positions: int, number: int = 0) -> None:
        super().__init__()
        shape, norm = settings.attention, settings.norm
        self.number, self.window, self.scale = number, shape.window_in(layer), shape.scale
        self.heads, self.kv_heads, self.head_dim = shape.heads, shape.key_value_heads, shape.head_dim
        query_width, key_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q = nn.Linear(settings.d_model, query_width, bias=shape.qkv_bias)
        self.k = nn.Linear(settings.d_model, key_width, bias=shape.qkv_bias)
        self.v = nn.Linear(settings.d_model, key_width, bias=shape.qkv_bias)
        self.o = nn.Linear(query_width, settings.d_model, bias=False)

        whole = NORMS[norm.kind].queries_keys
        self.norm_whole_width = whole is not None
        name = "rms" if shape.qk_norm else whole
        widths = (query_width, key_width) if self.norm_whole_width else (self.head_dim, self.head_dim)
        self.q_norm, self.k_norm = (build_norm(name, norm, width, is_attention=True) for width in widths)

        std = settings.initialisation
        self.key_valve: nn.Module = nn.Identity()
        self.value_valve: nn.Module = nn.Identity()
        size = {"d_model": settings.d_model, "head_dim": self.head_dim, "heads": self.kv_heads}
        if settings.key_valve.kind_in(layer) != "none":
            self.key_valve = AttentionValve(settings.key_valve, **size, std=std.query_key_std or std.linear_std)
        if settings.value_valve.kind_in(layer) != "none":
            self.value_valve = AttentionValve(settings.value_valve, **size, std=std.linear_std)

        self.softmax = SOFTMAX[shape.softmax]
        self.scores_to_weights = scores_to_weights(shape.softmax)
        self.extra_key: ExtraKey | None = None
        if self.softmax.extra_key or shape.extra_key != "none":
            self.extra_key = ExtraKey(shape)
        self.gate: AttentionGate | None = None
        self.value_gate: AttentionGate | None = None
        size = {"d_model": settings.d_model, "head_dim": self.head_dim, "positions": positions}
        if settings.gate.kind != "none" and settings.gate.at == "output":
            self.gate = AttentionGate(settings.gate, **size, heads=self.heads)
        if settings.gate.kind != "none" and settings.gate.at == "value":
            self.value_gate = AttentionGate(settings.gate, **size, heads=self.kv_heads)

    def queries_keys(self, x_BTD: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Rotated queries [B, N, T, H] and keys [B, K, T, H]."""
        q = self.normalised(self.q(x_BTD), self.q_norm, self.heads).transpose(1, 2)
        k = self.normalised(self.k(x_BTD), self.k_norm, self.kv_heads).transpose(1, 2)
        rotary = context.rotary if self.window is None else context.window_rotary
        return rotate(q, *rotary), rotate(self.key_valve(k), *rotary)

    def normalised(self, x: Tensor, norm: nn.Module, heads: int) -> Tensor:
        """[B, T, heads, H], normed over the whole width or head by head."""
        split = (heads, self.head_dim)
        return norm(x).unflatten(-1, split) if self.norm_whole_width else norm(x.unflatten(-1, split))

    def values(self, x_BTD: Tensor, context: Context) -> Tensor:
        """Value vectors [B, K, T, H] as attention mixes them, after valve and value gate."""
        v_BTKH = self.v(x_BTD).unflatten(-1, (self.kv_heads, self.head_dim))
        v_BTKH = self.value_valve(v_BTKH.transpose(1, 2)).transpose(1, 2)
        if self.value_gate is not None:
            v_BTKH = self.value_gate(v_BTKH, x_BTD, context.embedding_BTD, context.first)
        return v_BTKH.transpose(1, 2)

    def forward(self, x_BTD: Tensor, context: Context) -> Tensor:
        q, k = self.queries_keys(x_BTD, context)
        v = self.values(x_BTD, context)
        if context.cache is not None:
            k, v = context.cache.update(k, v, self.number)
        if self.softmax.forms_map:
            y = self.weights(q, k) @ self.per_query_head(v)
        elif self.extra_key is not None:
            y = self.attend(*self.extra_key.extended(q, k, v))[:, :, 1:, : self.head_dim]
        else:
            y = self.attend(q, k, v)
        y_BTNH = y.transpose(1, 2)
        if self.gate is not None:
            y_BTNH = self.gate(y_BTNH, x_BTD, context.embedding_BTD, context.first)
        return self.o(y_BTNH.flatten(2))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(scale q k^T) v [B, N, T, H] by a fused kernel, from rotated queries and keys.

        Fewer queries than keys are those of the last positions.
        """
        queries, keys = q.shape[2], k.shape[2]
        causal = queries == keys and (self.window is None or keys <= self.window)
        mask = None if causal else visible(queries, keys, self.window, q.device)
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal, scale=self.scale, enable_gqa=self.heads != self.kv_heads
        )

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        """The causal attention map [B, N, T, T] (query, key). Fewer queries than keys are those of the last positions.

        An extra key is a column of the map, so where weight rests on it the other columns sum to less than 1.
        """
        scores = (q * self.scale) @ self.per_query_head(k).transpose(-1, -2)
        return self.scores_to_weights(hidden_removed(scores, self.window))

    def per_query_head(self, k_BKTH: Tensor) -> Tensor:
        """Keys, or values, [B, N, T, H]: each query head's own; as they are where they are that already."""
        heads = k_BKTH.shape[1]
        return k_BKTH if heads == self.heads else k_BKTH.repeat_interleave(self.heads // heads, dim=1)
