"""Batches for Lightning: the batch of a step is a pure function of seed and step, so resuming needs no loader state."""

from collections.abc import Iterator

import lightning as L
import torch
from torch.utils.data import DataLoader, IterableDataset

from spikesink.data.batches import TokenStream, batch
from spikesink.study.settings import Training


class StepBatches(IterableDataset):
    """Rows [batch_size / ranks, sequence_length + 1] of one rank for the steps first_step, first_step + 1, ..."""

    def __init__(
        self, stream: TokenStream, training: Training, seed: int, first_step: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.stream, self.training, self.seed, self.first_step = stream, training, seed, first_step
        share = training.batch_size // ranks
        self.own = slice(rank * share, (rank + 1) * share)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for step in range(self.first_step, self.training.steps):
            rows = batch(
                self.stream,
                seed=self.seed,
                step=step,
                batch_size=self.training.batch_size,
                sequence_length=self.training.sequence_length,
                distinct=self.training.distinct_sequences,
            )
            yield torch.from_numpy(rows[self.own])


class TokenDataModule(L.LightningDataModule):
    """This rank's training batches from the step on that the trainer has reached."""

    def __init__(self, stream: TokenStream, training: Training, seed: int) -> None:
        super().__init__()
        self.stream, self.settings, self.seed = stream, training, seed

    def train_dataloader(self) -> DataLoader:
        # Lightning asks only after it has restored a checkpoint.
        trainer = self.trainer
        batches = StepBatches(
            self.stream, self.settings, self.seed, trainer.global_step, trainer.global_rank, trainer.world_size
        )
        return DataLoader(batches, batch_size=None)
