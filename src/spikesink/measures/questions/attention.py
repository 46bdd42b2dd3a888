"""Which heads are sinks? Sink ratio by 2603.05498 Eq 27-28 and by Gu et al. (2410.10781), head by head."""

import torch
from torch import Tensor

from spikesink.measures.probes.observe import observe
from spikesink.model.decoder import Decoder


def attention_received(attention_BNTT: Tensor) -> Tensor:
    """alpha_k = (1/T) sum_t A[t, k], the mean attention on key k over all T queries: [B, N, T]."""
    return attention_BNTT.float().mean(dim=-2)


def attention_sinks(model: Decoder, tokens: Tensor, *, epsilon: float, batch_size: int) -> list[dict]:
    """One row per attention block and head, over sequences [n, T].

    sink_share is the share of sequences in which max over keys k <= T / 2 of alpha_k exceeds epsilon (strictly), so the
    mean of this column over all heads is the sink ratio of 2603.05498. sink_share_gu is the same with the first key
    alone (Gu et al. divide by T - k + 1, which for the first key is T too). sink_mass is the mean sink_mass, largest_key_mass the
    mean of the largest alpha_k with k <= T / 2, sink_position the key that was largest most often (0-based).
    """
    device = model.device
    sequences, length = tokens.shape
    received: dict[int, list[Tensor]] = {}
    for batch in tokens.split(batch_size):
        for seen in observe(model, batch.to(device), attention=True):
            if seen.attention_BNTT is not None:
                received.setdefault(seen.block, []).append(attention_received(seen.attention_BNTT).cpu())
    rows = []
    for layer, (block, parts) in enumerate(sorted(received.items())):
        alpha = torch.cat(parts)[..., : length // 2]
        largest, where = alpha.max(dim=-1)
        for head in range(alpha.shape[1]):
            rows.append(
                {
                    "block": block,
                    "layer": layer,
                    "head": head,
                    "sink_share": (largest[:, head] > epsilon).float().mean().item(),
                    "sink_share_gu": (alpha[:, head, 0] > epsilon).float().mean().item(),
                    "sink_mass": alpha[:, head, 0].mean().item(),
                    "largest_key_mass": largest[:, head].mean().item(),
                    "sink_position": where[:, head].mode().values.item(),
                    "tokens": length,
                    "epsilon": epsilon,
                    "sequences": sequences,
                }
            )
    return rows
