"""What does quantisation cost, and which inputs make it so? (2603.17771, Table 4, and the rebuttal's W8A8 settings)"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from spikesink.measures.quantised.calibration import input_ranges, linears, run_watched, with_weights
from spikesink.measures.quantised.eight_bits import quantised, smoothing
from spikesink.measures.quantised.grids import per_row, rounded
from spikesink.measures.quantised.weight_only import awq_weights, gptq_weights, rtn_weights
from spikesink.measures.questions.perplexity import mean_nll
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.model.perplexity import perplexity
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("quantisation", "activation_ranges")
READS = ("consequence_tokens", "calibration_sequences", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    calibration, batch_size = settings.calibration_sequences, settings.batch_size
    rows = subject.rows(subject.sequences_in(settings.consequence_tokens) + calibration)
    yield "quantisation", quantisation(subject.model, rows, calibration_sequences=calibration, batch_size=batch_size)
    yield "activation_ranges", activation_ranges(subject.model, rows[:calibration, :-1], batch_size=batch_size)


def down_projections(model: Decoder) -> dict[str, nn.Linear]:
    """The matrices that read the feed-forward's hidden activations; a linear or attention branch has none."""
    return {name: module for name, module in linears(model).items() if name.endswith(".body.down")}


@torch.no_grad()
def quantisation(model: Decoder, rows: Tensor, *, batch_size: int, calibration_sequences: int = 32) -> list[dict]:
    """One row per setting over held-out rows [n, T + 1] (2603.17771, Table 4 and rebuttal).

    The first ``calibration_sequences`` rows calibrate and are not scored; the others are scored in every setting. All
    is simulated in floats. Every matrix inside the blocks is quantised, in one setting the down projections alone; the
    output head never is, and neither are learned gate tables, which are no matrices.

    setting: one of
        full_precision: nothing is quantised;
        dynamic_per_token: INT8, weights per output channel, inputs per token;
        static_per_tensor: the same with one input range per matrix, the largest |x| of the calibration rows;
        down_projection_static: only the matrices that read the feed-forward's hidden activations, their input static
        per tensor. A linear feed-forward or a second attention branch has none, and the row is missing;
        smoothquant: as dynamic_per_token, after SmoothQuant with alpha = 0.5 (2211.10438);
        round_to_nearest: INT4 weights on an asymmetric grid per 128 inputs, inputs in full precision;
        gptq, awq: the same grid, weights chosen by GPTQ (2210.17323) and by AWQ (2306.00978).
    matrices: how many are quantised.
    nll_nats: mean negative log-likelihood per token in nats; perplexity: its exponential; tokens: how many were scored.
    calibration_sequences: as used.

    Neither paper nor rebuttal says what calibrates, nor whether other matrices stay in full precision where the down
    projections are quantised. The paper rounds to nearest in another format, that of bitsandbytes, and does not state
    group sizes. Raises ValueError when no row is left to score.
    """
    if not 0 < calibration_sequences < len(rows):
        raise ValueError(
            f"calibration_sequences = {calibration_sequences} of {len(rows)} held-out sequences: leave some to score"
        )
    calibration, scored = rows[:calibration_sequences], rows[calibration_sequences:]
    table = []
    for setting, matrices, changed in settings_of(model, calibration[:, :-1], batch_size):
        with changed():
            nll = mean_nll(model, scored, batch_size)
        table.append(
            {
                "setting": setting,
                "matrices": matrices,
                "nll_nats": nll,
                "perplexity": perplexity(nll, 1),
                "tokens": scored[:, 1:].numel(),
                "calibration_sequences": calibration_sequences,
            }
        )
    return table


def settings_of(
    model: Decoder, calibration: Tensor, batch_size: int
) -> Iterator[tuple[str, int, Callable[[], AbstractContextManager]]]:
    """Yields every setting: its name, how many matrices it quantises, and what to open while the model is scored.

    The weights of a setting are made when it is opened, so that those of one are in memory at a time.
    """
    every, down = linears(model), down_projections(model)
    ranges = input_ranges(model, calibration, batch_size)
    yield "full_precision", 0, nullcontext
    yield "dynamic_per_token", len(every), lambda: quantised(every, None)
    yield "static_per_tensor", len(every), lambda: quantised(every, ranges)
    if down:
        yield "down_projection_static", len(down), lambda: quantised(down, ranges)
    yield "smoothquant", len(every), lambda: quantised(every, None, smoothing(model, calibration, batch_size))
    yield "round_to_nearest", len(every), lambda: with_weights(model, rtn_weights(model))
    yield "gptq", len(every), lambda: with_weights(model, gptq_weights(model, calibration, batch_size))
    yield "awq", len(every), lambda: with_weights(model, awq_weights(model, calibration, batch_size))


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
