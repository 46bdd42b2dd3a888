"""Contestants in processes of their own, so that many compile at once and every one is timed while the others wait."""

import multiprocessing
import os
import time
import traceback
from multiprocessing.connection import Connection

from peer_steps import Contestant, Prepared, free_memory, memory

RETRIES = 8


def serve(connection: Connection, device: str, threads: int) -> None:
    """Answer requests until the connection closes: what a function of a ``Worker`` says, or the error's text."""
    import torch

    torch.set_num_threads(threads)
    prepared: dict[str, Prepared] = {}
    while True:
        try:
            request, *arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            connection.send((True, answer(request, arguments, prepared, device)))
        except Exception as error:
            told = traceback.format_exc(limit=-4)[-1500:]
            connection.send((False, f"{type(error).__name__}: {str(error)[:400]}\n{told}"))


def answer(request: str, arguments: list, prepared: dict[str, Prepared], device: str) -> object:
    if request == "prepare":
        contestant: Contestant = arguments[0]
        prepared[contestant.name] = one = Prepared(contestant, device)
        return warm_up(one)
    if request == "seconds":
        name, steps = arguments
        return prepared[name].seconds(steps)
    if request == "forget":
        prepared.clear()
        free_memory()
        return None
    if request == "profile":
        from peer_profile import kernels

        return kernels(prepared[arguments[0]])
    raise ValueError(request)


def warm_up(one: Prepared) -> dict:
    """Other processes use the same GPU meanwhile: where memory is short, wait and try again."""
    import torch

    for attempt in range(RETRIES):
        try:
            return one.warm_up()
        except torch.OutOfMemoryError:
            if attempt == RETRIES - 1:
                raise
        # Not above: there the error would still hold the step's tensors.
        one.optimiser.zero_grad()
        free_memory()
        time.sleep(1 + attempt + os.getpid() % 3)
    raise AssertionError("the last attempt returns or raises")


class Worker:
    """A process that prepares and times contestants."""

    def __init__(self, device: str, threads: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, device, threads))
        self.process.start()
        other.close()
        self.busy = False

    def ask(self, *request: object) -> None:
        self.connection.send(request)
        self.busy = True

    def reply(self, deadline: float) -> object:
        """The answer to what was asked last. Raises TimeoutError at the deadline, RuntimeError for an error there."""
        if not self.connection.poll(max(0.0, deadline - time.monotonic())):
            self.end()
            raise TimeoutError("no answer in time")
        self.busy = False
        try:
            worked, value = self.connection.recv()
        except EOFError:
            raise RuntimeError("the process died") from None
        if not worked:
            raise RuntimeError(value)
        return value

    def call(self, *request: object, deadline: float) -> object:
        self.ask(*request)
        return self.reply(deadline)

    def end(self) -> None:
        self.connection.close()
        self.process.kill()


def prepare_all(
    workers: list[Worker], contestants: list[Contestant], deadline: float, room: float
) -> tuple[dict[str, tuple[Worker, dict]], dict[str, str]]:
    """Prepare contestants, as many at a time as there are workers and as fit into ``room`` bytes of the GPU.

    Returns their worker and facts by name, and failures by name.
    """
    waiting, running = list(contestants), {}
    needed = {contestant.name: memory(contestant) for contestant in contestants}
    ready: dict[str, tuple[Worker, dict]] = {}
    failed: dict[str, str] = {}
    idle = [worker for worker in workers if worker.process.is_alive()]
    while waiting or running:
        if time.monotonic() > deadline:
            for worker, contestant in running.items():
                failed[contestant.name] = "not ready in time"
                worker.end()
            failed |= {contestant.name: "not begun in time" for contestant in waiting}
            break
        while waiting and idle:
            taken = sum(needed[one.name][0] for one in running.values()) + sum(needed[name][1] for name in ready)
            if running and taken + needed[waiting[0].name][0] > room:
                break
            worker = idle.pop(0)
            running[worker] = waiting.pop(0)
            worker.ask("prepare", running[worker])
        for worker in [worker for worker in running if worker.connection.poll(0.02)]:
            contestant = running.pop(worker)
            try:
                ready[contestant.name] = (worker, worker.reply(deadline))
                idle.append(worker)
            except (RuntimeError, TimeoutError) as error:
                failed[contestant.name] = str(error)
                if worker.process.is_alive():
                    idle.append(worker)
        if not idle and not running:
            failed |= {contestant.name: "no process is left" for contestant in waiting}
            break
    return ready, failed
