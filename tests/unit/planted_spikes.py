"""Decoders with massive activations planted by hand, so that what a measure should find is known."""

import models
import torch
from torch import nn

D_MODEL, CHANNEL, GAIN = 16, 7, 2.0
LENGTH = 10.0  # of an embedding along s: large against the norm's epsilon
SHARP = 50.0  # scale of the pre-activations: silu(x) is x, or 0, to float32's last bit


def silent(layers: int = 2, **overrides) -> models.Decoder:
    """A decoder whose blocks add nothing and whose attention is uniform: what is planted is all there is."""
    model = models.decoder(layers=layers, **overrides)
    with torch.no_grad():
        for block in model.blocks:
            for parameter in block.body.parameters():
                parameter.zero_()
    return model


class Plant(nn.Module):
    """A branch that adds ``values`` {channel: value} to one position."""

    def __init__(self, position: int, values: dict[int, float]) -> None:
        super().__init__()
        self.position, self.values = position, values

    def forward(self, x, context):
        out = torch.zeros_like(x)
        for channel, value in self.values.items():
            out[:, self.position, channel] = value
        return out


def direction(seed: int = 0) -> torch.Tensor:
    """A unit vector that leaves out the spike's own channel."""
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    vector[CHANNEL] = 0
    return vector / vector.norm()


def plant_amplifier(model: models.Decoder, block: int, s_D: torch.Tensor, channel: int, strength: float) -> None:
    """Make a SwiGLU block (1-based) compute strength (s.h)^2 into ``channel`` wherever s.h > 0, and 0 elsewhere.

    h is the normalised input before a norm gain of GAIN in every channel, which the weights undo: only who folds the
    gain finds ``strength``.
    """
    body = model.blocks[block - 1].body
    with torch.no_grad():
        model.blocks[block - 1].pre_norm.weight.fill_(GAIN)
        body.gate.weight[0] = SHARP * s_D / GAIN
        body.up.weight[0] = SHARP * s_D / GAIN
        body.down.weight[channel, 0] = strength / SHARP**2


def amplified(spiking: list[int], opposed: list[int] = (), *, strength: float = 50.0, down: float | None = None):
    """A decoder of three layers in which block 2 amplifies the direction s, and only tokens ``spiking`` go along it.

    Opposed tokens go along -s, all others across. Block 6 writes ``down`` times the spike's own square into its
    channel.
    """
    model, s = silent(layers=3), direction()
    with torch.no_grad():
        embedding = torch.randn(models.VOCABULARY, D_MODEL, generator=torch.Generator().manual_seed(1))
        embedding[:, CHANNEL] = 0
        embedding -= (embedding @ s)[:, None] * s
        embedding[spiking], embedding[list(opposed)] = LENGTH * s, -LENGTH * s
        model.embedding.weight.copy_(embedding)
    plant_amplifier(model, 2, s, CHANNEL, strength)
    if down is not None:
        plant_amplifier(model, 6, torch.eye(D_MODEL)[CHANNEL], CHANNEL, down)
    return model
