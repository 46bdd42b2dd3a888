"""One more key, before all positions, that every query may attend to instead of the text."""

import torch
from torch import Tensor, nn

from spikesink.study.kinds import EXTRA_KEYS, SOFTMAX
from spikesink.study.settings import Attention

PART = "extra_key"


class ExtraKey(nn.Module):
    """The alternatives to softmax that are a softmax over one more column, of value 0 or a learned value.

    * softmax1 (Miller, "Attention is off by one", 2023): e^x_i / (1 + sum_j e^x_j), a column of logit 0 and value 0.
    * sink_logit (gpt-oss, OpenAI 2025): a learned logit per query head, not scaled as the scores are, value 0.
    * key_bias (Gu et al., 2410.10781): a learned key per key-value head, value 0.
    * key_value_bias (Sun et al., 2402.17762): a learned key and a learned value per key-value head.

    The key carries no position. Where all start at 0, each starts as softmax1; spikesink.model.initial sets them.

    It is written as a longer causal attention, which fused kernels compute. The extra key stands before the sequence,
    and an extra query, whose output is dropped, keeps the causal mask square. A logit per query head needs one more
    channel: the queries hold the logit there, the extra key holds 1, and all other keys hold 0.
    """

    def __init__(self, settings: Attention) -> None:
        super().__init__()
        heads, head_dim = settings.key_value_heads, settings.head_dim
        self.shape = (heads, 1, head_dim)
        self.scale = settings.scale
        self.logit: nn.Parameter | None = None
        self.key: nn.Parameter | None = None
        self.value: nn.Parameter | None = None
        vectors = EXTRA_KEYS[settings.extra_key]
        if SOFTMAX[settings.softmax].head_logit:
            self.logit = nn.Parameter(torch.zeros(settings.heads))
        if vectors > 0:
            self.key = nn.Parameter(torch.zeros(heads * head_dim))
        if vectors > 1:
            self.value = nn.Parameter(torch.zeros(heads * head_dim))

    def extended(self, q_BNTH: Tensor, k_BKTH: Tensor, v_BKTH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values with the extra one at position 0: [B, ., T + 1, H], or H + 1 with a sink logit."""
        q = torch.cat((torch.zeros_like(q_BNTH[:, :, :1]), q_BNTH), dim=2)
        k = torch.cat((self.column(self.key, k_BKTH), k_BKTH), dim=2)
        v = torch.cat((self.column(self.value, v_BKTH), v_BKTH), dim=2)
        if self.logit is not None:
            logit = (self.logit / self.scale).to(q.dtype)[:, None, None].expand(*q.shape[:-1], 1)
            q = torch.cat((q, logit), dim=-1)
            is_extra = torch.zeros_like(k[..., :1])
            is_extra[:, :, 0] = 1
            k = torch.cat((k, is_extra), dim=-1)
            v = torch.cat((v, torch.zeros_like(v[..., :1])), dim=-1)  # the kernels want one width
        return q, k, v

    def column(self, parameter: Tensor | None, like_BKTH: Tensor) -> Tensor:
        """The extra key or value [B, K, 1, H]; 0 without a parameter."""
        if parameter is None:
            return torch.zeros_like(like_BKTH[:, :, :1])
        return parameter.view(self.shape).to(like_BKTH.dtype).expand(like_BKTH.shape[0], -1, -1, -1)
