"""Batches for Lightning: the batch of a step is a pure function of seed and step, so resuming needs no loader state."""

from collections.abc import Callable, Iterator

import lightning as L
import torch
from torch.utils.data import DataLoader, IterableDataset

from spikesink.data.batches import TokenStream, batch
from spikesink.settings import Training


class StepBatches(IterableDataset):
    """Rows [batch_size, sequence_length + 1] for the steps first_step, first_step + 1, ..."""

    def __init__(self, stream: TokenStream, training: Training, seed: int, first_step: int) -> None:
        self.stream, self.training, self.seed, self.first_step = stream, training, seed, first_step

    def __iter__(self) -> Iterator[torch.Tensor]:
        for step in range(self.first_step, self.training.steps):
            rows = batch(
                self.stream,
                seed=self.seed,
                step=step,
                batch_size=self.training.batch_size,
                sequence_length=self.training.sequence_length,
            )
            yield torch.from_numpy(rows)


class TokenDataModule(L.LightningDataModule):
    """Training batches from ``first_step()``, which is asked only after a checkpoint has been restored."""

    def __init__(self, stream: TokenStream, training: Training, seed: int, first_step: Callable[[], int]) -> None:
        super().__init__()
        self.stream, self.settings, self.seed, self.first_step = stream, training, seed, first_step

    def train_dataloader(self) -> DataLoader:
        return DataLoader(StepBatches(self.stream, self.settings, self.seed, self.first_step()), batch_size=None)
