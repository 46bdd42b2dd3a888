"""A decoder whose gradients are known in closed form, and the harmonic numbers that they contain."""

import models
import torch

WRITTEN, READ, SHOWN = slice(0, 4), slice(4, 8), slice(8, 12)
"""Channels of the embedding, those that values read, those that attention writes and the output head reads."""


def harmonic(count: int) -> float:
    return sum(1 / term for term in range(1, count + 1))


def planted(scales: list[float] | None = None, layers: int = 1) -> models.Decoder:
    """Uniform attention over values that are zero, so that nothing happens forward and everything is linear backward.

    Embeddings live in WRITTEN, the first token's size given by ``scales``; values read READ, which is empty; the
    attention output is written to SHOWN, which the head alone reads: all logits are 0. The gradient of every logit is
    then (1 / V - 1[target]) / (sequences x T) and each value's is the attention-weighted sum of what comes back.
    """
    model = models.decoder(layers=layers)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for block in model.blocks:
            for parameter in block.body.parameters():
                parameter.zero_()
        attention = model.blocks[0].body
        attention.v.weight[:, READ] = torch.randn(16, 4, generator=generator)
        attention.o.weight[SHOWN] = torch.randn(4, 16, generator=generator)
        model.embedding.weight.zero_()
        model.embedding.weight[:, WRITTEN] = 1.0
        for token, scale in enumerate(scales or []):
            model.embedding.weight[token, WRITTEN] = scale
        model.head.weight.zero_()
        model.head.weight[:, SHOWN] = torch.randn(models.VOCABULARY, 4, generator=generator)
    return model


def rows_of(first_tokens: list[int], targets: list[int], length: int) -> torch.Tensor:
    """Rows [n, length + 1] of one token each as input and, after the first, one token each as every target."""
    rows = torch.tensor(targets)[:, None].repeat(1, length + 1)
    rows[:, 0] = torch.tensor(first_tokens)
    return rows


def mixture_gradient(model: models.Decoder, target: int, scale: float = 1.0) -> torch.Tensor:
    """dL/dy [16] at the attention output of a sequence's position, for a loss of this position alone."""
    rms = (4 * scale**2 / 16 + model.settings.norm.eps) ** 0.5
    logits = torch.full((models.VOCABULARY,), 1 / models.VOCABULARY)
    logits[target] -= 1
    return model.blocks[0].body.o.weight.T @ (model.head.weight.T @ logits) / rms
