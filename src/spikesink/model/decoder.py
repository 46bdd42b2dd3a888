"""The decoder: embedding, 2 x layers residual blocks, final norm, output head."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.model.attention import CausalAttention
from spikesink.model.context import Cache, Context
from spikesink.model.embedding import build_embedding
from spikesink.model.feed_forward import build_feed_forward
from spikesink.model.loss import next_token_loss
from spikesink.model.norms import RMSNorm, build_norm
from spikesink.model.rotary import Rotary, rotary_tables
from spikesink.study.kinds import NORMS
from spikesink.study.settings import Model


class Block(nn.Module):
    """One block in the papers' counting, the first (attention) or second branch of a layer.

    sum_norm(h + post_norm(body(pre_norm(h)))); where the settings have no norm at a place, it leaves its input as it
    is. The stream keeps its dtype.
    """

    def __init__(self, settings: Model, body: nn.Module, is_attention: bool) -> None:
        super().__init__()
        places = NORMS[settings.norm.kind]
        self.pre_norm = build_norm(places.before, settings.norm, settings.d_model, is_attention)
        self.post_norm = build_norm(places.after, settings.norm, settings.d_model, is_attention)
        self.sum_norm = build_norm(places.sum, settings.norm, settings.d_model, is_attention)
        self.body = body

    def forward(self, h_BTD: Tensor, context: Context) -> Tensor:
        summed = h_BTD + self.post_norm(self.body(self.pre_norm(h_BTD), context))
        return self.sum_norm(summed.to(h_BTD.dtype))


class Decoder(nn.Module):
    """A Llama-style decoder-only Transformer.

    ``blocks`` holds 2 x layers blocks, even indices attention and odd indices feed-forward, so block i of the papers
    (1-based) is ``blocks[i - 1]``. ``positions`` bounds the sequence length for a positional gate only.
    """

    def __init__(self, settings: Model, *, vocabulary: int, positions: int) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = build_embedding(settings, vocabulary)
        self.blocks = nn.ModuleList()
        for layer in range(settings.layers):
            attention = CausalAttention(settings, layer, positions, number=layer)
            second = (
                CausalAttention(settings, layer, positions, number=settings.layers + layer)
                if settings.feed_forward.kind == "attention"
                else build_feed_forward(settings.feed_forward, settings.d_model)
            )
            self.blocks.append(Block(settings, attention, is_attention=True))
            self.blocks.append(Block(settings, second, is_attention=False))
        self.norm = RMSNorm(settings.d_model, settings.norm.eps)
        if not settings.tied_embeddings:
            self.head = nn.Linear(settings.d_model, vocabulary, bias=False)

    @property
    def head_weight(self) -> Tensor:
        """The output head's matrix [V, D], the embedding's where they are tied."""
        return self.embedding.weight if self.settings.tied_embeddings else self.head.weight

    @property
    def device(self) -> torch.device:
        return self.embedding.weight.device

    def rotary(self, positions: int, first: int = 0) -> tuple[Rotary, Rotary]:
        """Tables of so many positions from ``first``: for attention to all positions before, and to a window."""
        shape = self.settings.attention
        whole = rotary_tables(positions, shape, self.device, first=first)
        if shape.window is None:
            return whole, whole
        return whole, rotary_tables(positions, shape, self.device, windowed=True, first=first)

    def context(
        self,
        embedding_BTD: Tensor,
        first: int = 0,
        cache: Cache | None = None,
        rotary: tuple[Rotary, Rotary] | None = None,
    ) -> Context:
        """What the blocks share in a forward pass over this embedding, of the positions from ``first``."""
        whole, windowed = rotary or self.rotary(embedding_BTD.shape[1], first)
        return Context(embedding_BTD, whole, windowed, first, cache)

    def final_states(
        self,
        tokens_BT: Tensor,
        window: tuple[int, int] | None = None,
        residual: torch.dtype | None = None,
        rotary: tuple[Rotary, Rotary] | None = None,
        first: int = 0,
        cache: Cache | None = None,
    ) -> Tensor:
        """The states [B, T, D] that the output head reads, after the final norm; arguments as in ``forward``.

        ``first`` and ``cache`` continue sequences, whose positions before ``first`` the cache holds.
        """
        h = self.embedding(tokens_BT)
        if residual is not None:
            h = h.to(residual)
        context = self.context(h, first, cache, rotary)
        for block in self.blocks:
            h = block(h, context)
        if window is not None:
            h = h[:, window[0] : window[1]]
        return self.norm(h)

    def forward(
        self,
        tokens_BT: Tensor,
        window: tuple[int, int] | None = None,
        targets: Tensor | None = None,
        loss_chunk: int | None = None,
        residual: torch.dtype | None = None,
        rotary: tuple[Rotary, Rotary] | None = None,
    ) -> Tensor:
        """Logits [B, T, V], or [B, last - first, V] when only the positions ``window`` = [first, last) are wanted.

        With targets, as many as logits, the mean cross-entropy in nats instead, ``loss_chunk`` positions at a time.
        ``residual`` is the dtype of the residual stream and of the loss; None: the embedding's, and float32. ``rotary``
        are the tables of ``self.rotary``: a compiled forward that is not given them makes them again in every layer.
        """
        h = self.final_states(tokens_BT, window, residual, rotary)
        if targets is None:
            return F.linear(h, self.head_weight)
        return next_token_loss(h, self.head_weight, targets, loss_chunk, residual or torch.float32)
