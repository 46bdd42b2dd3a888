"""How much a measuring job takes at a time: what fits into the memory at hand."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic

import torch

from spikesink.measures.probes.observe import positions_together
from spikesink.measures.subject import Subject
from spikesink.runs.free_memory import free_memory
from spikesink.study.errors import InputError
from spikesink.study.measure_cost import MAPS, length_of, rows_together, sequences_together
from spikesink.study.settings import Measures

SHARE_OF_CPU, SHARE_OF_GPU = 0.4, 0.8
"""Parts of the free memory that a job plans to take: other jobs may run beside one on CPUs."""
MOST_ON_CPU = 3 * 2**30
"""More at a time is no faster on a CPU."""
MOST_OF_A_MAP_ON_CPU = 2**25
"""Bytes. The C library maps more anew each time, and to clear it takes the system as long as a measure takes."""
PAUSE_SECONDS = 10
"""Between two lines on how far a job is."""


def fitted(settings: Measures, subject: Subject, group: str) -> Measures:
    """The settings with a number for each of batch_size, chunk and loss_chunk that they leave open."""
    model, context = subject.model.settings, subject.context
    if subject.model.device.type == "cpu":
        free = min(MOST_ON_CPU, SHARE_OF_CPU * free_memory())
        of_maps = min(free / 8, MAPS * MOST_OF_A_MAP_ON_CPU)
    else:
        free = SHARE_OF_GPU * torch.cuda.mem_get_info(subject.model.device)[0]
        of_maps = free / 8
    sequences = settings.batch_size or sequences_together(model, group, settings, context, free)
    length = length_of(group, settings, context)
    rows = settings.chunk or rows_together(model, length, sequences, of_maps)
    together = positions_together(subject.model)
    loss_chunk = settings.loss_chunk or (together if together < sequences * length else None)
    return replace(settings, batch_size=sequences, chunk=rows, loss_chunk=loss_chunk)


@contextmanager
def short_of_memory(settings: Measures, group: str) -> Iterator[None]:
    """Out of memory becomes an InputError that names the key to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        lower = f"set measures.batch_size below {settings.batch_size}"
        if settings.batch_size == 1:
            lower = "set measures.loss_chunk and measures.chunk lower, or measure shorter sequences"
        raise InputError(
            f"out of memory in the measures of {group}, with batch_size = {settings.batch_size}, chunk = "
            f"{settings.chunk} and loss_chunk = {settings.loss_chunk}: {lower}"
        ) from None


@contextmanager
def progress(subject: Subject, group: str) -> Iterator[None]:
    """While it is open, a line on standard error says every ten seconds how many tokens have passed the model."""
    started = last = monotonic()
    tokens = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal tokens, last
        tokens += inputs[0].numel()
        if (now := monotonic()) - last >= PAUSE_SECONDS:
            last = now
            seconds = now - started
            print(
                f"{group}: {tokens:,} tokens in {seconds:.0f} s, {tokens / seconds:,.0f}/s", file=sys.stderr, flush=True
            )

    handle = subject.model.embedding.register_forward_hook(count)
    try:
        yield
    finally:
        handle.remove()
