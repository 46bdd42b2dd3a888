"""Where do massive activations rise, stay and fall? The spike and the block lifecycle (2603.05498 Sec 3, Fig 1)."""

import torch
from torch import Tensor

from spikesink.measures.probes.observe import observe
from spikesink.measures.probes.spikes import first_position, median_without
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("activations",)
READS = ("sink_tokens", "sequences", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    yield "activations", activations(subject.model, tokens, batch_size=settings.batch_size)


EARLY = slice(1, 16)  # the tokens that token 0 is compared with (2603.17771)


def top_channels(h_BTD: Tensor) -> Tensor:
    """The three largest channel magnitudes of each sequence [B, 3], a channel's being its largest |h| over tokens."""
    return h_BTD.abs().amax(dim=1).topk(3, dim=-1).values


def activations(model: Decoder, tokens: Tensor, *, batch_size: int) -> list[dict]:
    """One row per hidden state over sequences [n, T] of token ids.

    The hidden states h are the embedding and the residual stream after each of the 2L blocks (2603.05498 Sec 3).
    Magnitudes have no unit.

    state: 0 for the embedding, i after block i; kind: embedding, attention or feed_forward, of that block.
    top1, top2, top3: the three largest channel magnitudes of the stream, a channel's magnitude being its largest |h|
        over the tokens of a sequence; means over sequences.
    output_top1, output_top2, output_top3: the same of the block's own output; None for the embedding.
    median: mean over sequences of the median |h|.
    ordinary_median: mean over sequences of the median |h| of the ordinary tokens: all but token 0 and the token of the
        sequence's largest |h|, which are judged by it.
    maximum: the largest |h| over all sequences, with its maximum_position and maximum_channel, 0-based. The spike of
        the model is the largest maximum of all states; the paper leaves the reduction over sequences open.
    maximum_token0, maximum_later: the largest |h| over all sequences at position 0, and at all later positions.
    norm_token0, norm_early: mean L2 norm of token 0, and of tokens 1 to 15 (2603.17771).
    sequences: n; tokens: T.
    """
    device = model.device
    parts: dict[int, list[dict[str, Tensor]]] = {}
    kinds: dict[int, str] = {}
    for batch in tokens.split(batch_size):
        for seen in observe(model, batch.to(device)):
            kinds[seen.block] = seen.kind
            stream = seen.stream_BTD
            norms, magnitude = stream.norm(dim=-1), stream.abs()
            largest, place = magnitude.flatten(1).max(dim=1)
            of_token = magnitude.amax(dim=2)
            judged = first_position(magnitude) | (of_token == largest[:, None])
            part = {
                "top": top_channels(stream),
                "median": median_without(magnitude, torch.zeros_like(judged)),
                "ordinary": median_without(magnitude, judged),
                "largest": largest,
                "largest_token0": of_token[:, 0],
                "largest_later": of_token[:, 1:].amax(dim=1) if tokens.shape[1] > 1 else torch.zeros(len(batch)),
                "place": place,
                "token0": norms[:, 0],
                "early": norms[:, EARLY].mean(dim=1),
            }
            if seen.output_BTD is not None:
                part["output_top"] = top_channels(seen.output_BTD)
            parts.setdefault(seen.block, []).append({name: value.cpu() for name, value in part.items()})
    rows = []
    for state, pieces in sorted(parts.items()):
        whole = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}
        top = whole["top"].mean(dim=0).tolist()
        output_top = whole["output_top"].mean(dim=0).tolist() if "output_top" in whole else [None] * 3
        index = int(whole["largest"].argmax())
        width = model.settings.d_model
        rows.append(
            {
                "state": state,
                "kind": kinds[state],
                **{f"top{rank}": value for rank, value in enumerate(top, start=1)},
                **{f"output_top{rank}": value for rank, value in enumerate(output_top, start=1)},
                "median": whole["median"].mean().item(),
                "ordinary_median": whole["ordinary"].mean().item(),
                "maximum": whole["largest"][index].item(),
                "maximum_position": int(whole["place"][index]) // width,
                "maximum_channel": int(whole["place"][index]) % width,
                "maximum_token0": whole["largest_token0"].max().item(),
                "maximum_later": whole["largest_later"].max().item(),
                "norm_token0": whole["token0"].mean().item(),
                "norm_early": whole["early"].mean().item(),
                "sequences": tokens.shape[0],
                "tokens": tokens.shape[1],
            }
        )
    return rows
