"""INT4 weights with inputs in full precision, W4A16: GPTQ (2210.17323) and AWQ (2306.00978).

Both choose weights for which a matrix's output changes little on calibration text. With H, the sum of x x^T over its
inputs, the squared change of the output is the trace of (Q - W) H (Q - W)^T.
"""

import torch
from torch import Tensor

from spikesink.measures.quantised.calibration import Seen, inputs_by_block, linears, with_weights
from spikesink.measures.quantised.grids import GROUP_SIZE, Int4, groups, round_to_nearest
from spikesink.model.decoder import Decoder

DAMPING = 0.01
"""GPTQ adds this share of the mean diagonal to the Hessian's diagonal."""
AWQ_STEPS = 20
"""AWQ tries so many exponents, from 0, which is rounding to nearest, to below 1."""


def gptq(weight_OI: Tensor, hessian_II: Tensor, size: int = GROUP_SIZE) -> Tensor:
    """INT4 weights, input by input: what rounding one changes in the output is made up for by those that follow.

    Inputs are taken in their order, and a group's grid is that of its weights when its turn comes, as in the authors'
    code. An input that was always 0 is rounded to nearest; their code sets its weights to 0.
    """
    hessian = hessian_II.double().clone()
    diagonal = hessian.diagonal()
    diagonal[diagonal == 0] = 1
    diagonal += DAMPING * diagonal.mean()
    upper = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    # An input's weights lie next to each other: the loop below goes from input to input.
    upper, weight_IO = upper.float(), weight_OI.float().T.clone(memory_format=torch.contiguous_format)
    found_IO = torch.empty_like(weight_IO)
    for group in groups(len(weight_IO), size):
        grid = Int4.of(weight_IO[group].T)
        errors_GO = torch.zeros_like(weight_IO[group])
        for index in range(group.start, group.stop):
            found_IO[index] = grid.nearest(weight_IO[index, :, None])[:, 0]
            error_O = (weight_IO[index] - found_IO[index]) / upper[index, index]
            weight_IO[index : group.stop] -= upper[index, index : group.stop, None] * error_O
            errors_GO[index - group.start] = error_O
        weight_IO[group.stop :] -= upper[group, group.stop :].T @ errors_GO
    return found_IO.T.contiguous().to(weight_OI.dtype)


def awq(weight_OI: Tensor, seen: Seen, size: int = GROUP_SIZE) -> Tensor:
    """INT4 weights Q(W s) / s, where the scale s of an input is a power of its mean magnitude.

    Inputs of large magnitude get a finer grid. The exponent is the one, of ``AWQ_STEPS``, whose output error is
    smallest. Each matrix is searched alone and no weight is clipped; the authors' code searches matrices of one input
    together, and clips.
    """
    magnitude = (seen.magnitude_I / seen.magnitude_I.max().clamp(min=1e-30)).clamp(min=1e-4)
    best, lowest = weight_OI, float("inf")
    for step in range(AWQ_STEPS):
        scale = magnitude ** (step / AWQ_STEPS)
        scale = scale / (scale.max() * scale.min()).sqrt()
        found = (round_to_nearest(weight_OI.float() * scale, size) / scale).to(weight_OI.dtype)
        error = seen.output_change(found.float() - weight_OI.float())
        if error < lowest:
            best, lowest = found, error
    return best


def rtn_weights(model: Decoder) -> dict[str, Tensor]:
    """Every matrix inside the blocks, rounded to nearest."""
    return {name: round_to_nearest(module.weight.detach()) for name, module in linears(model).items()}


def gptq_weights(model: Decoder, tokens: Tensor, batch_size: int) -> dict[str, Tensor]:
    """Every matrix inside the blocks by GPTQ; a block sees what the quantised blocks before it give."""
    matrices, weights = linears(model), {}
    with with_weights(model, weights):
        for block in inputs_by_block(model, tokens, batch_size):
            for name, seen in block.items():
                weights[name] = gptq(matrices[name].weight.detach(), seen.hessian_II)
    return weights


def awq_weights(model: Decoder, tokens: Tensor, batch_size: int) -> dict[str, Tensor]:
    """Every matrix inside the blocks by AWQ; inputs are those of the model in full precision."""
    matrices, weights = linears(model), {}
    for block in inputs_by_block(model, tokens, batch_size):
        for name, seen in block.items():
            weights[name] = awq(matrices[name].weight.detach(), seen)
    return weights
