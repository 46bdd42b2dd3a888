"""Causal self-attention with the parts that ablations swap."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.model.context import Context
from spikesink.model.gates import AttentionGate
from spikesink.model.norms import RMSNorm
from spikesink.model.rotary import rotate
from spikesink.model.values import VScale
from spikesink.settings import Model


class CausalAttention(nn.Module):
    """softmax(q k^T / sqrt(H)) v, gated, then projected back; grouped-query when there are fewer key-value heads.

    With ``norm.kind: sandwich_qk`` queries and keys pass an RMSNorm over their whole width (all heads together) before
    the rotation. ``positions`` is the longest sequence a positional gate can hold.
    """

    def __init__(self, settings: Model, positions: int) -> None:
        super().__init__()
        shape = settings.attention
        self.heads, self.kv_heads, self.head_dim = shape.heads, shape.key_value_heads, shape.head_dim
        query_width, key_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q = nn.Linear(settings.d_model, query_width, bias=False)
        self.k = nn.Linear(settings.d_model, key_width, bias=False)
        self.v = nn.Linear(settings.d_model, key_width, bias=False)
        self.o = nn.Linear(query_width, settings.d_model, bias=False)
        self.q_norm: nn.Module = nn.Identity()
        self.k_norm: nn.Module = nn.Identity()
        if settings.norm.kind == "sandwich_qk":
            self.q_norm = RMSNorm(query_width, settings.norm.eps)
            self.k_norm = RMSNorm(key_width, settings.norm.eps)
        self.value_map: nn.Module = nn.Identity()
        if settings.value.kind != "plain":
            self.value_map = VScale(
                settings.value, d_model=settings.d_model, head_dim=self.head_dim, heads=self.kv_heads
            )
        self.gate: AttentionGate | None = None
        if settings.gate.kind != "none":
            self.gate = AttentionGate(
                settings.gate,
                d_model=settings.d_model,
                heads=self.heads,
                head_dim=self.head_dim,
                positions=positions,
            )

    def queries_keys(self, x_BTD: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Rotated queries [B, N, T, H] and keys [B, K, T, H]."""
        q = self.q_norm(self.q(x_BTD)).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k(x_BTD)).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        return rotate(q, context.cos_TH, context.sin_TH), rotate(k, context.cos_TH, context.sin_TH)

    def values(self, x_BTD: Tensor) -> Tensor:
        """Value vectors [B, K, T, H] as attention mixes them."""
        v = self.v(x_BTD).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        return self.value_map(v)

    def forward(self, x_BTD: Tensor, context: Context) -> Tensor:
        q, k = self.queries_keys(x_BTD, context)
        y = F.scaled_dot_product_attention(
            q, k, self.values(x_BTD), is_causal=True, enable_gqa=self.heads != self.kv_heads
        )
        y_BTNH = y.transpose(1, 2)
        if self.gate is not None:
            y_BTNH = self.gate(y_BTNH, x_BTD, context.embedding_BTD)
        return self.o(y_BTNH.flatten(2))

    def probabilities(self, x_BTD: Tensor, context: Context) -> Tensor:
        """The attention map [B, N, T, T] (query, key) in float32, as a measure sees it."""
        q, k = (tensor.float() for tensor in self.queries_keys(x_BTD, context))
        k = k.repeat_interleave(self.heads // self.kv_heads, dim=1)
        scores = q @ k.transpose(-1, -2) * self.head_dim**-0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        return scores.masked_fill(future, float("-inf")).softmax(dim=-1)
