"""The devices that share a run: how many there are, how they share the work, and what starts their processes."""

import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Self

import torch
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch.distributed import TCPStore

LAUNCHED_BY = "SPIKESINK_LAUNCHED_BY"
LAUNCHER = "SPIKESINK_LAUNCHER"
"""Who started the ranks, where it was neither Lightning nor torchrun: srun."""


@dataclass(frozen=True)
class Devices:
    """``per_node`` GPUs, or CPU processes, on each of ``nodes`` machines."""

    accelerator: str
    """gpu or cpu."""
    per_node: int
    nodes: int

    @classmethod
    def available(cls, gpus: int, processes: int, nodes: int) -> Self:
        """``gpus`` GPUs, or CPU processes if that is 0 or no GPU is there. Raises ValueError for too few GPUs."""
        if not gpus or not torch.cuda.is_available():
            return cls("cpu", processes, nodes)
        if gpus > torch.cuda.device_count():
            raise ValueError(
                f"--gpus {gpus}, but this machine shows {torch.cuda.device_count()}: "
                "lower resources.train.gpus_per_node, or ask the scheduler for as many"
            )
        return cls("gpu", gpus, nodes)

    @property
    def number(self) -> int:
        return self.per_node * self.nodes

    def communicate(self, strategy: str) -> bool:
        """Whether the run needs communication. A single process does only if ``training.strategy`` is not auto."""
        return strategy != "auto" or self.number > 1

    def strategy(self, name: str) -> Strategy | str:
        """Lightning's strategy for ``training.strategy``."""
        if name == "fsdp":
            return ModelParallelStrategy(data_parallel_size=self.number, tensor_parallel_size=1)
        if self.communicate(name):
            return DDPStrategy(gradient_as_bucket_view=True, broadcast_buffers=False)
        return "auto"


def cluster_environment() -> ClusterEnvironment:
    """Who starts the processes: torchrun, SLURM, or Lightning.

    SLURM does only where its job said so (spikesink.workflow.cluster). Otherwise the variables of SLURM or of another
    scheduler are those of a session around, such as a shell in a job: Lightning would wait for tasks that nobody
    starts. Requeueing is left to Snakemake's retries.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    started_by_srun = os.environ.get(LAUNCHER) == "srun"
    return SLURMEnvironment(auto_requeue=False) if started_by_srun else LightningEnvironment()


def stay_on_this_machine() -> TCPStore | None:
    """Let the ranks of a run on one machine meet and talk over the loopback interface only.

    By default torch's store listens on all interfaces, Gloo and NCCL listen on the host's, and anyone who can reach
    them can take part. Call this in every rank before the trainer is made. Keep the result in the first rank while it
    trains: torch then uses this store, because it finds it on the port. torchrun has already made its own store.
    """
    interface = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ.update(GLOO_SOCKET_IFNAME=interface, NCCL_SOCKET_IFNAME=interface)
    if TorchElasticEnvironment.detect():
        return None
    environment = cluster_environment()
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    os.environ["MASTER_PORT"] = str(environment.main_port)
    if environment.local_rank() > 0:
        return None
    listener = socket.create_server(("127.0.0.1", environment.main_port))
    return TCPStore(
        "127.0.0.1",
        environment.main_port,
        is_master=True,
        wait_for_workers=False,
        multi_tenant=True,
        master_listen_fd=listener.detach(),
    )


def launched_by_lightning() -> bool:
    """Whether Lightning started this process as a further rank on the machine of the one that the user started."""
    return os.environ.get(LAUNCHED_BY) == str(os.getppid())


def announce_launcher() -> None:
    """Tell the processes that Lightning will start from here who started them, unless it started this one.

    The first process has no rank: one in its environment is that of a session around.
    """
    if not launched_by_lightning():
        os.environ[LAUNCHED_BY] = str(os.getpid())
        if LAUNCHER not in os.environ and not TorchElasticEnvironment.detect():
            for name in ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "WORLD_SIZE"):
                os.environ.pop(name, None)


def end_with_launcher() -> None:
    """From now on, end this process when the process that launched it has ended in any way.

    The launcher watches its children. If it dies, nothing else would end a child that waits for it in a collective.
    """
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="launcher-watch", daemon=True).start()
