"""A run that devices share, compile or recompute is the run on one: same curve, same weights, and it ends as one.

Ranks are real processes (see ranks.py); the test of Lightning's own launcher starts ``python -m spikesink.training``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import models
import pytest
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment
from ranks import (
    PROCESSES,
    RUN,
    SLURM_STEP,
    as_srun_task,
    changed,
    command_line,
    compile_without_code,
    difference,
    ends,
    finished,
    free_port,
    is_running,
    metrics,
    out_of_memory,
    signal_at_step,
    three_devices,
    train,
    wait_until,
)
from safetensors.torch import load_file
from sockets import is_loopback, listening
from torch._dynamo.testing import CompileCounterWithBackend

from spikesink.model.decoder import Decoder
from spikesink.study.micro_batch import micro_batch
from spikesink.study.settings import Training, build
from spikesink.training import devices
from spikesink.training.parallel import materialise, prepare, shard, whole_weights


@pytest.fixture(scope="module")
def unbroken(token_folder, tmp_path_factory) -> Path:
    """One device, whole batches, no interruption."""
    return finished(RUN, token_folder, tmp_path_factory.mktemp("unbroken"))


@pytest.mark.parametrize("strategy, ranks", [("auto", 1), ("ddp", 2), ("fsdp", 2)])
def test_devices_and_micro_batches_leave_curve_and_weights_as_they_are(
    unbroken, token_folder, tmp_path, strategy, ranks
):
    """The global batch is what batch_size says; a micro-batch lost, doubled or not reduced would change the curve."""
    run = finished(changed(strategy=strategy, micro_batch_size=1), token_folder, tmp_path, ranks)
    assert difference(run, unbroken) < 1e-4
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["strategy"], manifest["devices"], manifest["nodes"]) == (strategy, ranks, 1)
    assert manifest["micro_batch"] == 1
    assert manifest["parameters"] == json.loads((unbroken / "manifest.json").read_text())["parameters"]
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("before, after", [(2, 1), (1, 2)])
def test_a_signal_stops_all_ranks_and_any_number_of_ranks_resumes(
    unbroken, token_folder, tmp_path, strategy, before, after
):
    """Ranks that disagreed would hang or save twice; a checkpoint tied to its ranks is useless on other machines."""
    run = changed(strategy=strategy)
    codes, text = train(run, token_folder, tmp_path, before, partial(signal_at_step, 10, signal.SIGTERM, before - 1))
    assert codes == [143] * before, text
    assert "stopped by SIGTERM after step 11; checkpoint written, start it again to resume" in text
    assert not (tmp_path / "run").exists()
    (folder,) = (tmp_path / "checkpoints").iterdir()
    kept = sorted(folder.glob("step*"))
    assert [path.name for path in kept] == ["step00000006.ckpt", "step00000011.ckpt"]
    assert all((path / "state").is_dir() == (strategy == "fsdp") for path in kept)

    resumed = finished(run, token_folder, tmp_path, after)
    assert json.loads((resumed / "manifest.json").read_text())["resumed_from_step"] == 11
    assert difference(resumed, unbroken) < 1e-4


def test_an_unfinished_checkpoint_is_not_resumed(unbroken, token_folder, tmp_path):
    """A process killed while it saves leaves a part; the checkpoint before it is whole."""
    train(RUN, token_folder, tmp_path, 1, partial(signal_at_step, 10, signal.SIGTERM, 0))
    (folder,) = (tmp_path / "checkpoints").iterdir()
    (folder / "step00000011.ckpt").rename(folder / "step00000011.part")
    resumed = finished(RUN, token_folder, tmp_path)
    assert json.loads((resumed / "manifest.json").read_text())["resumed_from_step"] == 6
    assert difference(resumed, unbroken) == 0


def test_tasks_of_an_srun_step_are_the_ranks(unbroken, token_folder, tmp_path):
    """Each task would otherwise start ranks of its own, or train the whole run alone."""
    run = finished(changed(strategy="ddp"), token_folder, tmp_path, 2, as_srun_task)
    assert difference(run, unbroken) < 1e-4


def test_only_where_our_own_srun_says_so_its_tasks_are_the_ranks(monkeypatch):
    """Lightning would wait for tasks that nobody starts, and requeue the job by itself when it is told to stop."""
    for name, value in SLURM_STEP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_PROCID", "0")
    inside = devices.cluster_environment()
    assert isinstance(inside, SLURMEnvironment) and not inside.auto_requeue
    monkeypatch.delenv("SPIKESINK_LAUNCHER")
    assert isinstance(devices.cluster_environment(), LightningEnvironment)


@pytest.mark.parametrize("strategy, recompute", [("ddp", False), ("fsdp", True)])
def test_compiling_and_recomputing_leave_the_run_as_it_is(unbroken, token_folder, tmp_path, strategy, recompute):
    """Wrong weights in a recomputed or compiled block, for instance shards not gathered, would change the loss."""
    run = changed(strategy=strategy, compile=True, activation_checkpointing=recompute, loss_chunk=24)
    assert difference(finished(run, token_folder, tmp_path, 2, compile_without_code), unbroken) < 1e-4


def test_no_variant_breaks_a_compiled_graph(monkeypatch):
    """A graph break costs most of what compiling gains, and nothing in a run would show it."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))  # raises at a break
    tokens = models.tokens()
    whole = ("baseline", "qwen2", "rope_scaling")  # what differs outside the blocks: tied embeddings, rotary tables
    # What one variant compiled, such as its feed-forward blocks, serves the next. More than a run may have; no shape
    # becomes a symbol because the next variant has another.
    torch._dynamo.reset()
    limits = {"recompile_limit": 1000, "accumulated_recompile_limit": 1000, "automatic_dynamic_shapes": False}
    for name, value in limits.items():
        monkeypatch.setattr(torch._dynamo.config, name, value)
    for name, by_block in [(name, True) for name in models.VARIANTS] + [(name, False) for name in whole]:
        model, plain = (models.decoder(**models.VARIANTS[name]) for _ in range(2))
        prepare(model, compile=True, activation_checkpointing=False, by_block=by_block)
        losses = [each(tokens[:, :-1], (2, 9), targets=tokens[:, 3:10], loss_chunk=10) for each in (model, plain)]
        assert torch.equal(*losses), name


@pytest.mark.parametrize("by_block", [True, False])
def test_compiling_leaves_the_loss_of_a_bfloat16_residual_stream_as_it_is(monkeypatch, by_block):
    """It leaves autocast for the loss, in chunks that are computed a second time for the gradient."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    torch._dynamo.reset()
    tokens = models.tokens()
    model, plain = (models.decoder() for _ in range(2))
    prepare(model, compile=True, activation_checkpointing=False, by_block=by_block)
    for each in (model, plain):
        with torch.autocast("cpu", torch.bfloat16):
            loss = each(tokens[:, :-1], (2, 9), targets=tokens[:, 3:10], loss_chunk=10, residual=torch.bfloat16)
        loss.backward()
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_compiling_by_block_compiles_each_kind_of_block_once(monkeypatch):
    """Blocks of one kind share their code; compiled one by one, a deep model would take hours or run uncompiled."""
    counter = CompileCounterWithBackend("eager")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter, fullgraph=True))
    torch._dynamo.reset()
    model = models.decoder(layers=6)
    prepare(model, compile=True, activation_checkpointing=True, by_block=False)
    for _ in range(2):
        model(models.tokens()).sum().backward()
    assert counter.frame_count == 2
    assert [name for name, _ in model.named_parameters()] == [
        name for name, _ in models.decoder(layers=6).named_parameters()
    ]


@pytest.mark.parametrize("strategy, ranks", [("auto", 1), ("fsdp", 2)])
def test_bfloat16_trains_with_float32_weights(unbroken, token_folder, tmp_path, strategy, ranks):
    """Weights kept in bfloat16 would lose updates of a small learning rate; they would show as few distinct bits."""
    run = finished(changed(strategy=strategy, precision="bfloat16"), token_folder, tmp_path, ranks)
    for name, tensor in load_file(run / "model.safetensors").items():
        assert tensor.dtype == torch.float32
        assert not torch.equal(tensor, tensor.bfloat16().float()), name
    for row, exact in zip(metrics(run), metrics(unbroken), strict=True):
        assert row["loss"] == pytest.approx(exact["loss"], rel=0.01)
    assert json.loads((run / "manifest.json").read_text())["precision"] == "bfloat16"


def of_layers(layers: int, **training) -> dict:
    """A run of another depth. Muon on shards takes long for each matrix, and one layer has those of every kind."""
    return changed(**training) | {"model": RUN["model"] | {"layers": layers}}


@pytest.mark.parametrize(
    "optimiser, layers, tolerance",
    [
        ({"kind": "sgd", "lr": 2.0, "weight_decay": 0.001}, 2, 1e-4),
        ({"kind": "rmsprop", "lr": 0.005, "weight_decay": 0.1}, 2, 1e-3),
        ({"kind": "muon", "lr": 0.01, "momentum": 0.95, "weight_decay": 0.1}, 1, 0.05),  # it iterates in bfloat16
    ],
)
def test_an_optimiser_on_shards_is_that_on_one_device(token_folder, tmp_path, optimiser, layers, tolerance):
    """Shards take another implementation than whole weights; with weight decay and momentum they must agree."""
    one = finished(of_layers(layers, optimiser=optimiser), token_folder, tmp_path / "one")
    two = finished(of_layers(layers, optimiser=optimiser, strategy="fsdp"), token_folder, tmp_path / "two", 2)
    assert difference(two, one) < tolerance
    assert metrics(one)[-1]["loss"] < metrics(one)[0]["loss"] - 0.2


def test_muon_on_shards_resumes_where_it_stopped(token_folder, tmp_path):
    """Its state is that of two optimisers; lost, or given to the wrong parameters, it would change the curve."""
    run = of_layers(1, optimiser={"kind": "muon", "lr": 0.01, "momentum": 0.95}, strategy="fsdp")
    whole = finished(run, token_folder, tmp_path / "whole")
    codes, _ = train(run, token_folder, tmp_path, 1, partial(signal_at_step, 9, signal.SIGTERM, 0))
    assert codes == [128 + signal.SIGTERM]
    resumed = finished(run, token_folder, tmp_path)
    assert json.loads((resumed / "manifest.json").read_text())["resumed_from_step"] == 10
    assert difference(resumed, whole) < 1e-6


@pytest.mark.parametrize("strategy, ranks", [("auto", 1), ("fsdp", 2)])
def test_a_bfloat16_residual_stream_trains(unbroken, token_folder, tmp_path, strategy, ranks):
    """As the released code of 2603.05498 has it. Weights and optimiser state stay float32."""
    options = {"strategy": strategy, "precision": "bfloat16", "residual": "bfloat16", "micro_batch_size": 1}
    run = finished(changed(**options, loss_chunk=24), token_folder, tmp_path, ranks)
    for name, tensor in load_file(run / "model.safetensors").items():
        assert tensor.dtype == torch.float32
        assert not torch.equal(tensor, tensor.bfloat16().float()), name
    for row, exact in zip(metrics(run), metrics(unbroken), strict=True):
        assert row["loss"] == pytest.approx(exact["loss"], rel=0.02)
    assert metrics(run) != metrics(unbroken)


def compare_shards(rank: int, port: int) -> None:
    """For every variant shards hold the plain model's bits; for some, their residual stream stays float32."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    mesh = torch.distributed.init_device_mesh("cpu", (2,))
    for name, overrides in models.VARIANTS.items():
        plain = models.decoder(**overrides)
        with torch.device("meta"):
            model = Decoder(
                models.model_settings(**overrides), vocabulary=models.VOCABULARY, positions=models.POSITIONS
            )
        shard(model, mesh, torch.bfloat16)
        materialise(model, mesh, torch.device("cpu"), seed=0)
        weights = whole_weights(model, keep=True)
        assert weights.keys() == plain.state_dict().keys(), name
        assert all(torch.equal(value, weights[key]) for key, value in plain.state_dict().items()), name
        if name not in ("baseline", "dyt", "qwen2"):  # qwen2 ties its embeddings
            continue
        seen = []
        model.norm.register_forward_pre_hook(lambda module, inputs, seen=seen: seen.append(inputs[0].dtype))
        tokens = models.tokens()
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            sharded, expected = (each(tokens[:, :-1], targets=tokens[:, 1:]) for each in (model, plain))
        assert seen == [torch.float32], name
        assert float(sharded) == pytest.approx(float(expected), rel=0.01), name
    torch.distributed.destroy_process_group()


def test_shards_start_from_the_same_bits_in_every_variant():
    """Runs with fsdp would otherwise not be paired with runs without."""
    port = free_port()
    assert ends([PROCESSES.Process(target=compare_shards, args=(rank, port)) for rank in range(2)]) == [0, 0]


def test_a_batch_that_devices_cannot_share_is_one_clear_line(token_folder, tmp_path):
    codes, text = train(RUN, token_folder, tmp_path, prelude=three_devices)
    assert codes == [1]
    assert text.startswith("error: training.batch_size = 4 cannot be shared equally by 3 devices: make it a multiple")
    assert len(text.splitlines()) == 1


def test_too_little_memory_is_one_clear_line(token_folder, tmp_path):
    codes, text = train(RUN, token_folder, tmp_path, prelude=out_of_memory)
    assert codes == [1]
    assert "error: out of GPU memory: use training.micro_batch_size" in text
    assert "Traceback" not in text and "advice" not in text


def test_tokens_of_another_vocabulary_are_one_clear_line(token_folder, tmp_path):
    """Ids beyond the embedding would end in an index error, fewer would train a head that half its rows never need."""
    codes, text = train(RUN | {"tokenizer": {"vocabulary": 512}}, token_folder, tmp_path)
    assert codes == [1]
    assert "packed with a vocabulary of 300, the run has tokenizer.vocabulary = 512: pack the tokens again" in text
    assert len(text.splitlines()) == 1


def test_micro_batches_are_the_largest_equal_ones_allowed():
    """Unequal micro-batches would weight their rows differently."""
    settings = build(Training, changed(batch_size=24, micro_batch_size=5)["training"])
    assert [micro_batch(settings, number) for number in (1, 2, 3, 4, 8, 24)] == [4, 4, 4, 3, 3, 1]
    settings = build(Training, changed(batch_size=24)["training"])
    assert [micro_batch(settings, number) for number in (1, 2, 24)] == [24, 12, 1]
    with pytest.raises(ValueError, match="batch_size = 24 cannot be shared equally by 48 devices"):
        micro_batch(settings, 48)


LONG = changed(steps=5000, strategy="ddp")


@pytest.fixture
def launched(token_folder, tmp_path):
    """A two-rank run started by Lightning's launcher that has logged its first rows: the process and its child."""
    command = [sys.executable, "-m", "spikesink.training", *command_line(LONG, token_folder, tmp_path, 2)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        wait_until(lambda: any(rows.read_text().count("\n") > 2 for rows in tmp_path.glob("checkpoints/*/metrics.csv")))
        (child,) = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        yield process, child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the child process in /proc")
def test_lightnings_launcher_starts_the_ranks_and_a_signal_to_the_first_ends_all(launched, token_folder, tmp_path):
    """The child would train on alone, or its exit be taken for a crash that kills the first before it reports."""
    process, child = launched
    assert all(map(is_loopback, listening(process.pid)))
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert errors.count("checkpoint written, start it again to resume") == 1
    assert "Traceback" not in errors
    wait_until(lambda: not is_running(child), 20)


def test_the_death_of_one_rank_ends_the_other(token_folder, tmp_path):
    """A scheduler would otherwise pay for devices that wait for a dead process until the time limit."""
    codes, _ = train(changed(strategy="ddp"), token_folder, tmp_path, 2, partial(signal_at_step, 10, signal.SIGKILL, 1))
    assert codes == [1, -signal.SIGKILL]
    assert not (tmp_path / "run").exists()


def orphan(pid_file: Path) -> None:
    """A launcher that dies without ending its child."""
    devices.announce_launcher()
    child = os.fork()
    if child == 0:
        assert devices.launched_by_lightning()
        devices.end_with_launcher()
        time.sleep(100)
    pid_file.write_text(str(child))
    time.sleep(1)
    os._exit(9)


def test_a_launched_process_does_not_outlive_its_launcher(tmp_path):
    assert ends([PROCESSES.Process(target=orphan, args=(tmp_path / "pid",))]) == [9]
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())), 20)
