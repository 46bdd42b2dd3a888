"""Nothing that one machine runs for itself can be reached from another one."""

import os
from functools import partial
from pathlib import Path

import pytest
from ranks import as_srun_task, changed, finished
from sockets import is_loopback, listening

from spikesink.training.module import LanguageModel


def noting_sockets(folder: Path, as_task: bool, rank: int) -> None:
    """Write down what the process listens on while it trains."""
    if as_task:
        as_srun_task(rank)
        # What SLURM says of a machine is a name that its network knows.
        os.environ.update(SLURM_NODELIST="node7.example")
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            del os.environ[name]
    training_step = LanguageModel.training_step

    def noted(self: LanguageModel, rows, index: int) -> None:
        training_step(self, rows, index)
        (folder / f"sockets{rank}").write_text("\n".join(listening(os.getpid())))

    LanguageModel.training_step = noted


@pytest.mark.parametrize("strategy, as_task", [("ddp", False), ("fsdp", True)])
def test_ranks_on_one_machine_listen_on_loopback_only(token_folder, tmp_path, strategy, as_task):
    """torch's store and Gloo let in whoever connects; on a shared machine or network that is anyone."""
    run = changed(steps=6, strategy=strategy)
    finished(run, token_folder, tmp_path, 2, partial(noting_sockets, tmp_path, as_task))
    for rank in range(2):
        addresses = (tmp_path / f"sockets{rank}").read_text().split()
        assert addresses and all(map(is_loopback, addresses)), (rank, addresses)
