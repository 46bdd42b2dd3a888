"""What does 8-bit inference cost, and which inputs make it so? (2603.17771, rebuttal: W8A8 in four settings)"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.measures.probes.replaced import replaced
from spikesink.measures.questions.perplexity import mean_nll
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "consequences"
QUESTIONS = ("quantisation", "activation_ranges")
READS = ("consequence_tokens", "calibration_sequences", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    calibration, batch_size = settings.calibration_sequences, settings.batch_size
    rows = subject.rows(subject.sequences_in(settings.consequence_tokens) + calibration)
    yield "quantisation", quantisation(subject.model, rows, calibration_sequences=calibration, batch_size=batch_size)
    yield "activation_ranges", activation_ranges(subject.model, rows[:calibration, :-1], batch_size=batch_size)


LARGEST = 127
"""INT8 levels are -127..127, symmetric."""
SMALLEST_RANGE = 1e-5
"""Ranges are at least this, as in SmoothQuant's code, so that a vector of zeros has a scale."""


def rounded(x: Tensor, absmax: Tensor) -> Tensor:
    """x on the INT8 grid of step absmax / 127, beyond which it saturates; absmax broadcasts against x."""
    step = absmax.float().clamp(min=SMALLEST_RANGE) / LARGEST
    return ((x.float() / step).round().clamp(-LARGEST, LARGEST) * step).to(x.dtype)


def per_row(x: Tensor) -> Tensor:
    """Range of each last-dimension vector: of a weight's output channels, of an activation's tokens."""
    return x.float().abs().amax(dim=-1, keepdim=True)


def linears(model: Decoder) -> dict[str, nn.Linear]:
    """Every matrix inside the blocks by name, those of gates among them; the output head is not."""
    return {name: module for name, module in model.blocks.named_modules() if isinstance(module, nn.Linear)}


def down_projections(model: Decoder) -> dict[str, nn.Linear]:
    """The matrices that read the feed-forward's hidden activations; a linear or attention branch has none."""
    return {name: module for name, module in linears(model).items() if name.endswith(".body.down")}


@torch.no_grad()
def run_watched(model: Decoder, modules: Iterable[nn.Module], watch: Callable, tokens: Tensor, batch_size: int) -> None:
    """Run the model over tokens [n, T] while ``watch`` sees the inputs of these modules."""
    handles = [module.register_forward_pre_hook(watch) for module in modules]
    try:
        for batch in tokens.split(batch_size):
            model(batch.to(model.device))
    finally:
        for handle in handles:
            handle.remove()


def input_ranges(model: Decoder, tokens: Tensor, batch_size: int) -> dict[str, Tensor]:
    """Largest |x| that enters each matrix over tokens [n, T]: a MinMax observer of symmetric ranges."""
    ranges: dict[str, Tensor] = {}
    names = {module: name for name, module in linears(model).items()}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        largest = inputs[0].float().abs().amax()
        before = ranges.get(names[module], largest)
        ranges[names[module]] = torch.maximum(before, largest)

    run_watched(model, names, watch, tokens, batch_size)
    return ranges


@contextmanager
def quantised(members: dict[str, nn.Linear], ranges: dict[str, Tensor] | None) -> Iterator[None]:
    """While it is open, these matrices compute in simulated INT8.

    ``ranges`` are static input ranges; None: a range for each token.
    """
    names = {module: name for name, module in members.items()}

    def make(module: nn.Linear) -> Callable[[Tensor], Tensor]:
        weight = rounded(module.weight, per_row(module.weight))
        fixed = None if ranges is None else ranges[names[module]]
        return lambda x: F.linear(rounded(x, per_row(x) if fixed is None else fixed), weight, module.bias)

    with torch.no_grad(), replaced(names, "forward", make):
        yield


@torch.no_grad()
def quantisation(model: Decoder, rows: Tensor, *, batch_size: int, calibration_sequences: int = 32) -> list[dict]:
    """One row per setting over held-out rows [n, T + 1] (2603.17771, rebuttal).

    The first ``calibration_sequences`` rows calibrate and are not scored; the others are scored in every setting. INT8
    is simulated, symmetric and round-to-nearest. The output head is never quantised, and neither are learned gate
    tables, which are no matrices.

    setting: one of
        full_precision: nothing is quantised;
        dynamic_per_token: every matrix inside the blocks, weights per output channel, inputs per token;
        static_per_tensor: the same with one input range per matrix, the largest |x| of the calibration rows;
        down_projection_static: only the matrices that read the feed-forward's hidden activations, their input static
        per tensor. A linear feed-forward or a second attention branch has none, and the row is missing.
    matrices: how many are quantised.
    nll_nats: mean negative log-likelihood per token in nats; perplexity: its exponential; tokens: how many were scored.
    calibration_sequences: as used.

    The rebuttal names the observer and the four settings. It does not say what calibrates, nor whether other matrices
    stay in full precision in the last setting. Raises ValueError when no row is left to score.
    """
    if not 0 < calibration_sequences < len(rows):
        raise ValueError(
            f"calibration_sequences = {calibration_sequences} of {len(rows)} held-out sequences: leave some to score"
        )
    calibration, scored = rows[:calibration_sequences], rows[calibration_sequences:]
    ranges = input_ranges(model, calibration[:, :-1], batch_size)
    every, down = linears(model), down_projections(model)
    settings = {
        "full_precision": ({}, None),
        "dynamic_per_token": (every, None),
        "static_per_tensor": (every, ranges),
        "down_projection_static": (down, ranges),
    }
    if not down:
        del settings["down_projection_static"]
    table = []
    for setting, (members, static) in settings.items():
        with quantised(members, static):
            nll = mean_nll(model, scored, batch_size)
        table.append(
            {
                "setting": setting,
                "matrices": len(members),
                "nll_nats": nll,
                "perplexity": math.exp(nll),
                "tokens": scored[:, 1:].numel(),
                "calibration_sequences": calibration_sequences,
            }
        )
    return table


@torch.no_grad()
def activation_ranges(model: Decoder, tokens: Tensor, *, batch_size: int) -> list[dict]:
    """One row per matrix inside the blocks about its input over sequences [n, T]: why and where static ranges hurt.

    block: 1-based; kind: attention or feed_forward; matrix: q, k, v, o, gate, up, down and so on; a gate's projection
        with its place.
    absmax: largest |x|, at position (0-based, in its sequence); absmax_elsewhere: the largest at any other position.
    token_absmax: mean over tokens of a token's largest |x|.
    zeroed_per_tensor: share of the non-zero entries that INT8 rounds to 0 with one range for all tokens, absmax;
        zeroed_per_token: the same with a range for each token (for each head's vector where a gate reads them one by
        one).
    tokens: T; sequences: n.
    """
    names = {module: name for name, module in linears(model).items()}
    ranges = input_ranges(model, tokens, batch_size)
    by_position: dict[str, Tensor] = {}
    sums: dict[str, Tensor] = {}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        name, x = names[module], inputs[0].float().abs()
        own = per_row(x)
        largest = own.flatten(2).amax(dim=(0, 2)).cpu()
        by_position[name] = torch.maximum(by_position.get(name, largest), largest)
        lost = [((x > 0) & (rounded(x, absmax) == 0)).sum() for absmax in (ranges[name], own)]
        counts = torch.tensor(own.numel()), (x > 0).sum(), *lost
        total = torch.stack([own.double().sum().cpu(), *(count.double().cpu() for count in counts)])
        sums[name] = sums.get(name, 0) + total

    run_watched(model, names, watch, tokens, batch_size)
    table = []
    for name, largest in by_position.items():
        index, path = name.split(".body.")
        place = int(largest.argmax())
        elsewhere = torch.cat((largest[:place], largest[place + 1 :]))
        absmax, (own, vectors, present, per_tensor, per_token) = largest[place].item(), sums[name].tolist()
        is_attention = isinstance(model.blocks[int(index)].body, CausalAttention)
        table.append(
            {
                "block": int(index) + 1,
                "kind": "attention" if is_attention else "feed_forward",
                "matrix": path,
                "absmax": absmax,
                "position": place,
                "absmax_elsewhere": elsewhere.max().item() if len(elsewhere) else None,
                "token_absmax": own / vectors,
                "zeroed_per_tensor": per_tensor / present if present else None,
                "zeroed_per_token": per_token / present if present else None,
                "tokens": tokens.shape[1],
                "sequences": len(tokens),
            }
        )
    return table
