"""Which tokens and channels carry massive activations, and what does every block add to them? (2603.05498 Sec 3)

The questions about the spike's life, its vocabulary and the amplifier behind it start from here.
"""

from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from spikesink.measures.probes.observe import observe
from spikesink.measures.probes.once import once
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

LEADING = 3
"""How many channels are followed where no spike is found; the paper draws the three largest."""
STEPS = ("step_up", "step_down")


class SpikeRule(NamedTuple):
    """When an activation is massive, and when a block makes or removes it; 2603.05498 gives no thresholds.

    The defaults are Sun et al.'s (2402.17762). Spikes of small models are tens of medians instead of thousands: use
    magnitude 0 and ratio 20, above the 12 medians that ordinary activations of such a model reach.
    """

    magnitude: float = 100.0
    """A massive activation is larger than this."""
    ratio: float = 1000.0
    """And larger than so many times the median |h| of the ordinary tokens of its hidden state."""
    step_share: float = 0.1
    """A step block adds, or takes away, at least this share of the spike. The paper's other blocks add 2 to 3 orders of
    magnitude less than the spike, and at most four blocks share a step (Table 1), so 0.01 to 0.25 part the two."""

    @classmethod
    def of(cls, settings: Measures) -> Self:
        """The rule that the config's measures section sets."""
        return cls(settings.spike_magnitude, settings.spike_over_median, settings.step_share)

    def threshold(self, median: Tensor) -> Tensor:
        """The magnitude above which an activation is massive, where ordinary tokens have this median."""
        # Never 0, so that |h| / threshold exists where a state is 0 almost everywhere.
        return (self.ratio * median).clamp(min=max(self.magnitude, 1e-30))


SUN_ET_AL = SpikeRule()


class Spikes(NamedTuple):
    """Largest |h| of every channel and every token over all hidden states; excess is |h| / threshold there."""

    channel_excess_ND: Tensor
    channel_magnitude_ND: Tensor
    channel_position_ND: Tensor
    """Where the excess of a channel is largest."""
    token_excess_NT: Tensor
    token_magnitude_NT: Tensor

    @property
    def found(self) -> bool:
        return bool((self.channel_excess_ND > 1).any())

    @property
    def group(self) -> str:
        """What tables call ``channels`` and ``tokens_NT``: spike, or leading where there is no spike."""
        return "spike" if self.found else "leading"

    @property
    def channels(self) -> list[int]:
        """Spike channels by falling mean excess; where there are none, the three channels that come closest."""
        mean = self.channel_excess_ND.mean(dim=0)
        carries = (self.channel_excess_ND > 1).any(dim=0)
        order = mean.argsort(descending=True, stable=True).tolist()
        if not self.found:
            return order[:LEADING]
        # The leading channel is one that most sequences share: the mean over sequences ranks it.
        return [channel for channel in order if carries[channel]]

    @property
    def tokens_NT(self) -> Tensor:
        """Spike tokens; where there are no spikes, every sequence's token that comes closest."""
        if self.found:
            return self.token_excess_NT > 1
        closest = self.token_excess_NT.argmax(dim=1, keepdim=True)
        return torch.zeros_like(self.token_excess_NT, dtype=torch.bool).scatter(1, closest, True)


def median_without(magnitude_BTD: Tensor, judged_BT: Tensor) -> Tensor:
    """The median magnitude of every sequence over the tokens that are not judged [B]; over all where none is left."""
    left_BT = ~judged_BT | judged_BT.all(dim=1, keepdim=True)
    if magnitude_BTD.device.type == "cpu":
        return torch.stack([median(h_TD[left_T]) for h_TD, left_T in zip(magnitude_BTD, left_BT, strict=True)])
    return magnitude_BTD.masked_fill(~left_BT[..., None], torch.nan).flatten(1).nanmedian(dim=1).values


def median(values: Tensor) -> Tensor:
    """The lower median of all values, as torch has it. On a CPU numpy finds it ten times faster."""
    flat, place = values.flatten().numpy(), (values.numel() - 1) // 2
    return torch.from_numpy(np.partition(flat, place)[place : place + 1])[0]


def first_position(magnitude_BTD: Tensor) -> Tensor:
    """Which tokens stand at position 0: [B, T]."""
    found = torch.zeros(magnitude_BTD.shape[:2], dtype=torch.bool, device=magnitude_BTD.device)
    found[:, 0] = True
    return found


def ordinary_median(magnitude_BTD: Tensor, rule: SpikeRule) -> Tensor:
    """The median |h| of every sequence's ordinary tokens at a hidden state [B], from the magnitudes of that state.

    Ordinary are the tokens after position 0 without a massive activation. The others are judged by this median, so they
    are no part of it: the channels of a spike token are larger than those of other tokens, not its spike alone.
    """
    first = first_position(magnitude_BTD)
    threshold_B = rule.threshold(median_without(magnitude_BTD, first))
    return median_without(magnitude_BTD, first | (magnitude_BTD.amax(dim=2) > threshold_B[:, None]))


@once
@torch.no_grad()
def scanned(model: Decoder, tokens: Tensor, *, rule: SpikeRule, batch_size: int) -> tuple[Spikes, Tensor]:
    """What ``find_spikes`` and ``ordinary_medians`` return, from one pass of the sequences."""
    parts, medians = [], []
    for batch in tokens.split(batch_size):
        excess = magnitude = torch.zeros((), device=model.device)
        median_SB = []
        for seen in observe(model, batch.to(model.device)):
            h = seen.stream_BTD.abs()
            median_SB.append(ordinary_median(h, rule))
            magnitude = torch.maximum(magnitude, h)
            excess = torch.maximum(excess, h / rule.threshold(median_SB[-1])[:, None, None])
        channel, position = excess.max(dim=1)
        parts.append((channel, magnitude.amax(dim=1), position, excess.amax(dim=2), magnitude.amax(dim=2)))
        medians.append(torch.stack(median_SB))
    spikes = Spikes(*(torch.cat(pieces).cpu() for pieces in zip(*parts, strict=True)))
    return spikes, torch.cat(medians, dim=1).mean(dim=1).cpu()


def ordinary_medians(model: Decoder, tokens: Tensor, *, rule: SpikeRule, batch_size: int) -> Tensor:
    """``ordinary_median`` of all 2L + 1 hidden states over sequences [n, T], mean over the sequences: [S]."""
    return scanned(model, tokens, rule=rule, batch_size=batch_size)[1]


def find_spikes(model: Decoder, tokens: Tensor, *, rule: SpikeRule, batch_size: int) -> Spikes:
    """Massive activations over sequences [n, T] and all 2L + 1 hidden states, by each sequence's ordinary tokens."""
    return scanned(model, tokens, rule=rule, batch_size=batch_size)[0]


class Anatomy(NamedTuple):
    """The spike and what blocks do to it: S states 0 .. 2L, n sequences that carry it, C channels of spikes.channels.

    Lists have one entry per block, so block i of the paper is entry i - 1.
    """

    spikes: Spikes
    kinds: list[str]
    stream_SNC: Tensor
    """The stream at each sequence's leading token, which is where the leading channel's excess is largest."""
    output_BNC: Tensor
    """The same of each block's own output."""
    output_maximum: list[float]
    """Mean over sequences of the block output's largest magnitude on spike tokens and spike channels."""
    positions_N: Tensor
    shares: list[float]
    roles: list[str]

    def blocks(self, role: str) -> list[int]:
        """Blocks of a role, 1-based."""
        return [block for block, own in enumerate(self.roles, start=1) if own == role]


@once
@torch.no_grad()
def anatomy(model: Decoder, tokens: Tensor, *, rule: SpikeRule, batch_size: int) -> Anatomy:
    """Find the spikes over sequences [n, T], then follow the leading one from block to block.

    A block's share is the projection of its change of the stream on the spike, <change, spike> / |spike|^2 with the
    spike the stream's spike channels at the leading token in the plateau's state; the mean over sequences. The change
    is the block's output, unless a norm stands on the residual sum. Shares of the blocks up to the plateau and that of
    the embedding add up to 1.
    """
    spikes = find_spikes(model, tokens, rule=rule, batch_size=batch_size)
    channels, is_spike_token = spikes.channels, spikes.tokens_NT
    positions = spikes.channel_position_ND[:, channels[0]]
    if spikes.found:
        carrying = spikes.channel_excess_ND[:, channels[0]] > 1
        tokens, is_spike_token, positions = tokens[carrying], is_spike_token[carrying], positions[carrying]
    kinds: dict[int, str] = {}
    stream, output, largest = ([[] for _ in range(len(model.blocks) + 1)] for _ in range(3))
    for batch, place, mask in zip(
        *(part.split(batch_size) for part in (tokens, positions, is_spike_token)), strict=True
    ):
        rows, place = torch.arange(len(batch), device=model.device), place.to(model.device)
        for seen in observe(model, batch.to(model.device)):
            kinds[seen.block] = seen.kind
            stream[seen.block].append(seen.stream_BTD[rows, place][:, channels])
            if seen.output_BTD is not None:
                output[seen.block].append(seen.output_BTD[rows, place][:, channels])
                on_spikes = seen.output_BTD[..., channels].abs().amax(dim=-1) * mask.to(model.device)
                largest[seen.block].append(on_spikes.amax(dim=1))
    stream_SNC = torch.stack([torch.cat(parts) for parts in stream]).cpu()
    output_BNC = torch.stack([torch.cat(parts) for parts in output[1:]]).cpu()
    shares = spike_shares(stream_SNC)
    return Anatomy(
        spikes,
        [kinds[block] for block in sorted(kinds) if block],
        stream_SNC,
        output_BNC,
        [torch.cat(parts).mean().item() for parts in largest[1:]],
        positions,
        shares,
        roles(shares, spikes.found, rule.step_share),
    )


def spike_shares(stream_SNC: Tensor) -> list[float]:
    """Mean over sequences of <change, spike> / |spike|^2, the spike being the stream where channel 0 is largest."""
    plateau = stream_SNC[..., 0].abs().mean(dim=1).argmax()
    spike_NC = stream_SNC[plateau]
    square_N = spike_NC.square().sum(dim=-1).clamp(min=1e-30)
    return ((stream_SNC.diff(dim=0) * spike_NC).sum(dim=-1) / square_N).mean(dim=1).tolist()


def roles(shares: list[float], found: bool, step_share: float) -> list[str]:
    """step_up and step_down blocks by their share; before the first step_up, after the last step_down, or plateau.

    All are no_spike where no spike was found. A spike that the embedding brings along has no step_up and no before.
    """
    if not found:
        return ["no_spike"] * len(shares)
    up = [index for index, share in enumerate(shares) if share >= step_share]
    down = [index for index, share in enumerate(shares) if share <= -step_share]
    names = []
    for index in range(len(shares)):
        if index in up or index in down:
            names.append("step_up" if index in up else "step_down")
        elif up and index < up[0]:
            names.append("before")
        elif down and index > down[-1]:
            names.append("after")
        else:
            names.append("plateau")
    return names


def spaced(items: list[int], count: int) -> list[int]:
    """At most ``count`` of the items, from the middles of as many equal parts."""
    count = min(count, len(items))
    return [items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count)]
