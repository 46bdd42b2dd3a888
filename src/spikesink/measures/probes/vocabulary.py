"""Token ids alone at position 0: a pass of the vocabulary through the model, which several questions watch."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from spikesink.measures.probes.observe import Observation, observe
from spikesink.model.decoder import Decoder

VOCABULARY_BATCH = 1024
"""Token ids that pass through the model at a time."""

Watch = Callable[[Tensor, Tensor | None, Observation], None]
"""Called with token ids [B], the stream [B, 1, D] that entered a block, None before the embedding, and what it did."""


def vocabulary(model: Decoder, most: int | None) -> Tensor:
    """Every token id [V], or ``most`` of them, evenly spaced."""
    size = model.embedding.num_embeddings
    count = min(size, most or size)
    return torch.arange(count) * size // count


def membership(ids: Tensor, model: Decoder) -> Tensor:
    """Whether each id of the model's vocabulary is one of ``ids``: [V], on the model's device."""
    found_V = torch.zeros(model.embedding.num_embeddings, dtype=torch.bool, device=model.device)
    found_V[ids.to(model.device)] = True
    return found_V


@torch.no_grad()  # a watcher's running total would hold the graph of the whole pass
def pass_alone(model: Decoder, ids_V: Tensor, watchers: Sequence[Watch], batch_size: int) -> None:
    """Pass every one of the token ids through the model as a sequence."""
    for batch in shown(ids_V.to(model.device)[:, None].split(batch_size)):
        before = None
        for state in observe(model, batch):
            for watch in watchers:
                watch(batch[:, 0], before, state)
            before = state.stream_BTD


def shown(batches: Sequence[Tensor]) -> Iterable[Tensor]:
    """The batches, with a progress bar on stderr where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return batches
    return tqdm(batches, desc="vocabulary at position 0", unit=" batches", mininterval=1)
