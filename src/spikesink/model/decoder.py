"""The decoder: embedding, 2 x layers residual blocks, final norm, untied head."""

import hashlib

import torch
from torch import Tensor, nn

from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.feed_forward import build_feed_forward
from spikesink.model.norms import DynamicTanh, RMSNorm
from spikesink.model.rotary import rotary_tables
from spikesink.settings import Initialisation, Model


class Block(nn.Module):
    """One block in the papers' counting, an attention or a feed-forward branch: h + post_norm(body(pre_norm(h)))."""

    def __init__(self, settings: Model, body: nn.Module, dyt_alpha: float) -> None:
        super().__init__()
        kind, eps, width = settings.norm.kind, settings.norm.eps, settings.d_model
        self.pre_norm: nn.Module = nn.Identity()
        self.post_norm: nn.Module = nn.Identity()
        if kind in ("rms", "sandwich"):
            self.pre_norm = RMSNorm(width, eps)
        if kind == "dyt":
            self.pre_norm = DynamicTanh(width, dyt_alpha)
        if kind in ("sandwich", "sandwich_qk"):
            self.post_norm = RMSNorm(width, eps)
        self.body = body

    def forward(self, h_BTD: Tensor, context: Context) -> Tensor:
        return h_BTD + self.post_norm(self.body(self.pre_norm(h_BTD), context))


class Decoder(nn.Module):
    """A Llama-style decoder-only Transformer.

    ``blocks`` holds 2 x layers blocks, even indices attention and odd indices feed-forward, so block i of the papers
    (1-based) is ``blocks[i - 1]``. ``positions`` bounds the sequence length for a positional gate only.
    """

    def __init__(self, settings: Model, *, vocabulary: int, positions: int) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(vocabulary, settings.d_model)
        self.blocks = nn.ModuleList()
        for _ in range(settings.layers):
            self.blocks.append(Block(settings, CausalAttention(settings, positions), settings.norm.dyt_alpha_attention))
            second = (
                CausalAttention(settings, positions)
                if settings.feed_forward.kind == "attention"
                else build_feed_forward(settings.feed_forward, settings.d_model)
            )
            self.blocks.append(Block(settings, second, settings.norm.dyt_alpha_feed_forward))
        self.norm = RMSNorm(settings.d_model, settings.norm.eps)
        self.head = nn.Linear(settings.d_model, vocabulary, bias=False)

    def context(self, embedding_BTD: Tensor) -> Context:
        """What the blocks share in a forward pass over this embedding."""
        shape = self.settings.attention
        tables = rotary_tables(embedding_BTD.shape[1], shape.head_dim, shape.rope_theta, embedding_BTD.device)
        return Context(embedding_BTD, *tables)

    def forward(self, tokens_BT: Tensor, window: tuple[int, int] | None = None) -> Tensor:
        """Logits [B, T, V], or [B, last - first, V] when only the positions ``window`` = [first, last) are wanted."""
        h = self.embedding(tokens_BT)
        context = self.context(h)
        for block in self.blocks:
            h = block(h, context)
        if window is not None:
            h = h[:, window[0] : window[1]]
        return self.head(self.norm(h))


@torch.no_grad()
def initialise(model: Decoder, seed: int) -> None:
    """Draw initial weights, every parameter from a stream of its own named by seed and parameter.

    Two variants of one seed therefore start from the same values wherever they share a parameter, and a difference
    between them is paired. Gains start at 1 and V-scale's theta at 0, as their modules set them.
    """
    settings: Initialisation = model.settings.initialisation
    for name, parameter in model.named_parameters():
        if name == "embedding.weight":
            std = settings.embedding_std
        elif name == "head.weight":
            std = settings.head_std or model.settings.d_model**-0.5
        elif name.endswith((".body.q.weight", ".body.k.weight")):
            std = settings.query_key_std or settings.linear_std
        elif parameter.dim() >= 2:
            std = settings.linear_std
        else:
            continue
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        parameter.copy_(torch.empty(parameter.shape).normal_(0, std, generator=generator))
