"""What does the normalisation before a block do to a spike token? (2603.05498 Eq 23-25, Fig 5)"""

from collections.abc import Iterator

import torch
from torch import Tensor

from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.probes.starts import starts
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.model.norms import AnyNorm
from spikesink.study.settings import Measures

GROUP = "geometry"
QUESTIONS = ("normalisation", "normalised_channels")
READS = ("spike_channels", "sink_tokens", "sequences", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    common = {"top_channels": settings.spike_channels, "batch_size": settings.batch_size}
    yield "normalisation", normalisation(subject.model, tokens, **common)
    yield "normalised_channels", normalised_channels(subject.model, tokens, **common)


TINY = torch.finfo(torch.float32).tiny


@torch.no_grad()
def norm_inputs(model: Decoder, tokens_BT: Tensor) -> Iterator[tuple[int, str, AnyNorm, Tensor]]:
    """(number, kind, norm, stream [B, T, D] before it) of every block, from 1; last the final norm, of kind head."""
    h = model.embedding(tokens_BT)
    for index, block, h_before, context in block_inputs(model, tokens_BT):
        kind = "attention" if isinstance(block.body, CausalAttention) else "feed_forward"
        yield index, kind, block.pre_norm, h_before
        if index == len(model.blocks):
            h = block(h_before, context)
    yield len(model.blocks) + 1, "head", model.norm, h


def sums(x_PD: Tensor, top: int) -> dict[str, Tensor]:
    """Number and largest entry of the tokens; sums of their energy shares, participation ratios and unit vectors."""
    square = x_PD.double().square()
    energy = square.sum(dim=-1).clamp(min=TINY)
    unit = x_PD.double() / energy.sqrt()[:, None]
    return {
        "count": torch.tensor(len(x_PD)),
        "maximum": x_PD.abs().amax(),
        "energy_top": (square.topk(min(top, square.shape[-1]), dim=-1).values.sum(dim=-1) / energy).sum(),
        "participation": (energy.square() / square.square().sum(dim=-1).clamp(min=TINY)).sum(),
        "unit": unit.sum(dim=0),
        "unit_square": unit.square().sum(),
    }


@torch.no_grad()
def normalisation(
    model: Decoder, tokens: Tensor, *, batch_size: int, position: int = 0, top_channels: int = 3
) -> list[dict]:
    """Two rows per block and start over sequences [n, T]: group ``spike``, the token at ``position``, and ``others``.

    Measured is what the pre-norm makes of the stream, before its gain (2603.05498 Eq 23-25, Fig 5): x / rms(x) with
    rms, tanh(alpha x) with dyt, the stream itself where there is no norm.

    start: bos or text, as ``starts`` says; both where all sequences begin with the same token.
    block: 1-based, 2L + 1 for the final norm; kind: attention, feed_forward, or head for the final norm; norm: the
        norm's name (rms, dyt, none).
    maximum: largest magnitude of an entry; bound: its limit, sqrt(D) for rms (Eq 23) and 1 for dyt, None without a
        norm.
    share_of_bound: their ratio.
    energy_top: share of the squared norm in a token's ``top_channels`` largest channels; participation: effective
        number of channels (sum x^2)^2 / sum x^4; means over tokens.
    cosine: mean cosine similarity between all pairs of the group's tokens, across sequences and positions (Fig 5); None
        for a single token. With rms it is also the cosine of the residual stream.
    top_channels, position: as used; token_count: tokens in the group.

    The paper follows spike tokens wherever they are; here they are the tokens at ``position``.
    """
    found: dict[tuple[str, int, str], list[dict[str, Tensor]]] = {}
    facts: dict[int, tuple[str, str, float | None]] = {}
    for start, sequences in starts(tokens).items():
        others = torch.arange(sequences.shape[1]) != position
        for batch in sequences.split(batch_size):
            for index, kind, norm, h in norm_inputs(model, batch.to(model.device)):
                x_BTD = norm.before_gain(h)
                facts[index] = kind, norm.kind, norm.bound(h.shape[-1])
                for group, x_PD in (("spike", x_BTD[:, position]), ("others", x_BTD[:, others].flatten(0, 1))):
                    if len(x_PD):
                        part = {name: value.cpu() for name, value in sums(x_PD, top_channels).items()}
                        found.setdefault((start, index, group), []).append(part)
    rows = []
    for (start, index, group), parts in sorted(found.items(), key=lambda item: (item[0][0], item[0][1])):
        total = {name: torch.stack([part[name] for part in parts]).sum(dim=0) for name in parts[0]}
        kind, name, bound = facts[index]
        count, square = int(total["count"]), total["unit_square"].item()
        maximum = max(part["maximum"].item() for part in parts)
        pairs = square * (square - 1)
        rows.append(
            {
                "start": start,
                "block": index,
                "kind": kind,
                "norm": name,
                "group": group,
                "maximum": maximum,
                "bound": bound,
                "share_of_bound": maximum / bound if bound else None,
                "energy_top": total["energy_top"].item() / count,
                "participation": total["participation"].item() / count,
                "cosine": (total["unit"].square().sum().item() - square) / pairs if count > 1 and pairs > 0 else None,
                "top_channels": top_channels,
                "position": position,
                "token_count": count,
            }
        )
    return rows


@torch.no_grad()
def normalised_channels(
    model: Decoder, tokens: Tensor, *, batch_size: int, position: int = 0, top_channels: int = 3
) -> list[dict]:
    """How constant are spike channels after the norm? One row per block, start and channel (2603.05498 Eq 25).

    start, block, kind, norm: as in ``normalisation``, and so is what is measured.
    channel: one of the ``top_channels`` of largest mean magnitude at the token ``position``, chosen block by block;
        rank: 1 for the largest.
    mean, std: mean and standard deviation of the channel over the sequences' tokens at ``position``.
    ratio, ratio_std: mean and standard deviation of the channel's value over that of the channel of rank 1; None where
        the latter is 0 somewhere.
    position: as used; sequences: how many tokens the numbers are over.
    """
    found: dict[tuple[str, int], list[Tensor]] = {}
    facts: dict[int, tuple[str, str]] = {}
    for start, sequences in starts(tokens).items():
        for batch in sequences.split(batch_size):
            for index, kind, norm, h in norm_inputs(model, batch.to(model.device)):
                x_BD = norm.before_gain(h[:, position])
                facts[index] = kind, norm.kind
                found.setdefault((start, index), []).append(x_BD.double().cpu())
    rows = []
    for (start, index), parts in sorted(found.items()):
        x_BD = torch.cat(parts)
        channels = x_BD.abs().mean(dim=0).topk(min(top_channels, x_BD.shape[1])).indices
        leading = x_BD[:, channels[:1]]
        ratios = x_BD[:, channels] / leading if bool((leading != 0).all()) else None
        for rank, channel in enumerate(channels.tolist(), start=1):
            ratio = None if ratios is None else ratios[:, rank - 1]
            rows.append(
                {
                    "start": start,
                    "block": index,
                    "kind": facts[index][0],
                    "norm": facts[index][1],
                    "rank": rank,
                    "channel": channel,
                    "mean": x_BD[:, channel].mean().item(),
                    "std": x_BD[:, channel].std(correction=0).item(),
                    "ratio": None if ratio is None else ratio.mean().item(),
                    "ratio_std": None if ratio is None else ratio.std(correction=0).item(),
                    "position": position,
                    "sequences": len(x_BD),
                }
            )
    return rows
