"""Compile, recompute and shard a decoder from outside. Parameter names stay as they are."""

from functools import partial

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from spikesink.model.decoder import Decoder
from spikesink.model.initial import initial_value


def prepare(decoder: Decoder, *, compile: bool, activation_checkpointing: bool, by_block: bool) -> None:
    """Compile the decoder, and keep only the input of every block for the backward pass, as far as each is asked for.

    Blocks are compiled one by one (``by_block``) if something must happen between them: communication of shards, or
    recomputing. A block's forward is replaced instead of wrapped in a module, so that its parameters keep their names.
    Sharding hooks stay outside of it: they gather the weights before the compiled or recomputed forward runs.
    """
    by_block = by_block or activation_checkpointing
    for block in decoder.blocks:
        if compile and by_block:
            block.forward = torch.compile(block.forward)
        if activation_checkpointing:
            # The model has no dropout, so no random state has to be restored.
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
    if compile and not by_block:
        decoder.compile()


def shard(decoder: Decoder, mesh: DeviceMesh, dtype: torch.dtype, residual: torch.dtype = torch.float32) -> None:
    """Shard weights, gradients and optimiser state over ``mesh`` (FSDP2); a block gathers its weights when it runs.

    Master weights are float32; blocks gather their weights in ``dtype``, the rest in ``residual``, the dtype of the
    residual stream, in which gradients are summed over devices too. Activations are left to autocast and to the
    decoder. With bfloat16 there is one difference from a single device: gains and other small parameters inside blocks
    are rounded when gathered. The final norm and the head, or the tied embedding, stay gathered from forward to
    backward.
    """
    exact = MixedPrecisionPolicy(param_dtype=residual, reduce_dtype=residual, cast_forward_inputs=False)
    rounded = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=residual, cast_forward_inputs=False)
    for block in decoder.blocks:
        fully_shard(block, mesh=mesh, mp_policy=rounded)
    if not decoder.settings.tied_embeddings:
        fully_shard(decoder.embedding, mesh=mesh, mp_policy=exact)
    fully_shard(decoder, mesh=mesh, mp_policy=exact)


@torch.no_grad()
def materialise(decoder: Decoder, mesh: DeviceMesh, device: torch.device, seed: int) -> None:
    """Give a sharded decoder on the meta device its memory and its initial weights, one whole parameter at a time."""
    decoder.to_empty(device=device)
    for name, parameter in decoder.named_parameters():
        shards = initial_value(decoder.settings, seed, name, parameter.shape).chunk(mesh.size())
        if mesh.get_local_rank() < len(shards):  # a short first dimension leaves the last ranks without a shard
            parameter.to_local().copy_(shards[mesh.get_local_rank()])


def whole_weights(decoder: Decoder, keep: bool) -> dict[str, Tensor]:
    """Float32 weights by name on the CPU, gathered one at a time. Every rank must call it; without ``keep``: empty."""
    weights = {}
    for name, parameter in decoder.named_parameters():
        value = parameter.detach()
        if isinstance(value, DTensor):
            value = value.full_tensor()
        if keep:
            weights[name] = value.cpu().contiguous()
    return weights
