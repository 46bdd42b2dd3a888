"""What manifest.json and the progress lines say of a run: its time, its speed, its epochs; and what glibc is told."""

from types import SimpleNamespace

import pytest
import torch

from spikesink.training import freed_memory, manifest, progress
from spikesink.training.freed_memory import keep_freed_memory
from spikesink.training.manifest import facts
from spikesink.training.progress import ProgressLines
from spikesink.training.task import Outcome


def lines(tmp_path) -> ProgressLines:
    return ProgressLines("dyt/seed1", tokens_per_step=100, file=tmp_path / "progress.json", seconds=0)


def start(shown: ProgressLines, step: int) -> tuple[SimpleNamespace, SimpleNamespace]:
    trainer = SimpleNamespace(global_step=step, max_steps=1000, world_size=1, progress_bar_callback=shown)
    trainer.strategy = SimpleNamespace(root_device=torch.device("cpu"))
    module = SimpleNamespace(device=torch.device("cpu"), last_loss=torch.tensor(2.0))
    shown.on_train_start(trainer, module)
    return trainer, module


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


def manifest_of(trainer: SimpleNamespace, monkeypatch, resumed_from: int | None, seconds: float, distinct=None) -> dict:
    monkeypatch.setattr(manifest, "git_state", dict)
    training = SimpleNamespace(strategy="auto", sequence_length=20, distinct_sequences=distinct)
    task = SimpleNamespace(tokens_per_step=100, digest="", run={}, tokens_sha256="", index={"tokenizer_sha256": ""})
    task.training, task.stream, task.devices = training, SimpleNamespace(tokens=range(10**6)), SimpleNamespace()
    task.precision, task.micro_batch, task.devices.number, task.devices.nodes = "32", 1, 1, 1
    outcome = Outcome(status="finished", why=None, resumed_from=resumed_from, started="later", seconds=seconds)
    return facts(task, outcome, trainer, SimpleNamespace(parameters=list))


def test_the_time_of_a_resumed_run_is_that_of_all_its_starts(tmp_path, clock, monkeypatch):
    """An hour to a checkpoint at the last step, which a signal came after, then four seconds: not four seconds."""
    first = lines(tmp_path)
    start(first, 0)
    clock.seconds += 3600
    kept = first.state_dict()
    clock.seconds += 50_000
    second = lines(tmp_path)
    second.load_state_dict(kept)
    trainer, _ = start(second, 1000)
    found = manifest_of(trainer, monkeypatch, resumed_from=1000, seconds=4.0)
    assert (found["wall_seconds"], found["tokens_per_second"]) == (3604, 27.7)
    assert found["started"] == first.begun == second.begun
    clock.seconds += 10
    assert second.state_dict()["seconds"] == 3610, "a third start adds to both"


def test_epochs_are_passes_over_the_distinct_sequences(tmp_path, clock, monkeypatch):
    trainer, _ = start(lines(tmp_path), 0)
    trainer.global_step = 1000
    assert manifest_of(trainer, monkeypatch, None, 10.0)["epochs"] == 0.1
    assert manifest_of(trainer, monkeypatch, None, 10.0, distinct=100)["epochs"] == 50


@pytest.mark.parametrize(("seconds", "text"), [(59.6, "1:00 left"), (119.7, "2:00 left"), (65.0, "1:05 left")])
def test_the_time_left_is_in_whole_seconds(tmp_path, clock, capsys, seconds, text):
    shown = lines(tmp_path)
    trainer, module = start(shown, 0)
    trainer.global_step = 500
    clock.seconds += seconds
    shown.on_train_batch_end(trainer, module)
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("accepts", "expected"),
    [
        (lambda number, value: True, [(-3, 1 << 30), (-1, 1 << 30)]),
        (lambda number, value: number == -1 or value <= 1 << 25, [(-3, 1 << 25), (-1, 1 << 30)]),
        (lambda number, value: number == -1, []),
    ],
)
def test_glibc_is_never_left_with_its_smallest_limit(monkeypatch, accepts, expected):
    """glibc before 2.35 keeps tensors of up to 32 MiB; told the second setting alone, of 128 KB."""
    kept = []

    def mallopt(number: int, value: int) -> int:
        if accepts(number, value):
            kept.append((number, value))
        return int(accepts(number, value))

    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    keep_freed_memory()
    assert kept == expected
