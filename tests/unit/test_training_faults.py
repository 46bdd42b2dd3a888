"""What goes wrong around a run ends it in one line that says what to do, and costs nothing that was computed before."""

import errno
import json
import math
import os
import re
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
from faults import (
    RUN,
    Disk,
    assert_same_result,
    files,
    other_place,
    signal_at,
    stall_at_step,
    without_patience,
)
from ranks import PROCESSES, as_rank, changed, command_line, finished, free_port, signal_at_step, train, wait_until
from safetensors.torch import load_file

from spikesink.training.record import divergence
from spikesink.training.storage import lock
from spikesink.training.storage.disk_errors import DiskError, disk_errors


@pytest.fixture(scope="module")
def unbroken(token_folder, tmp_path_factory) -> Path:
    return finished(RUN, token_folder, tmp_path_factory.mktemp("unbroken"))


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "disk", "8m")
    yield disk
    disk.close()


def error_line(text: str) -> str:
    """The only line but those of progress."""
    (line,) = (line for line in text.splitlines() if not line.startswith("baseline/seed0  "))
    return line


@pytest.mark.parametrize("strategy", ["auto", "fsdp"])
def test_a_full_disk_leaves_the_last_checkpoint_and_the_run_goes_on_when_there_is_space(
    unbroken, token_folder, disk, strategy
):
    run = RUN if strategy == "auto" else changed(strategy=strategy, snapshots=3)
    codes, _ = train(run, token_folder, disk.path, prelude=partial(signal_at_step, 10, signal.SIGTERM, 0))
    assert codes == [143]
    checkpoints = [files(path) for path in sorted(disk.path.glob("checkpoints/*/step*.ckpt"))]
    filler = disk.fill(leave=200_000)

    codes, text = train(run, token_folder, disk.path)
    assert codes == [1], text
    folder = next(path for path in disk.path.glob("checkpoints/*") if path.is_dir())
    assert error_line(text).startswith(f"error: {folder} cannot be written (No space left on device): free space")
    assert [files(path) for path in sorted(folder.glob("step*.ckpt"))] == checkpoints
    assert not list(folder.rglob(".*.part"))

    filler.unlink()
    resumed = finished(run, token_folder, disk.path)
    assert json.loads((resumed / "manifest.json").read_text())["resumed_from_step"] == 11
    if strategy == "auto":
        assert_same_result(resumed, unbroken)


def test_a_disk_that_is_full_when_a_run_ends_costs_no_result(unbroken, token_folder, tmp_path, disk):
    there = partial(other_place, "--output", disk.path / "run")
    filler = disk.fill(leave=20_000)
    codes, text = train(RUN, token_folder, tmp_path, prelude=there)
    assert codes == [1], text
    assert error_line(text).startswith(f"error: {disk.path / 'run'} cannot be written (No space left on device)")
    assert not (disk.path / "run" / "manifest.json").exists()
    filler.unlink()
    codes, text = train(RUN, token_folder, tmp_path, prelude=there)
    assert codes == [0], text
    assert "resumes at step 18" in text
    assert_same_result(disk.path / "run", unbroken)


@pytest.mark.parametrize("option", ["--output", "--checkpoints"])
def test_a_read_only_folder_is_found_before_the_first_step(token_folder, tmp_path, disk, option):
    """At the end of a run it would cost days."""
    disk.make_read_only()
    codes, text = train(RUN, token_folder, tmp_path, prelude=partial(other_place, option, disk.path / "study" / "run"))
    assert codes == [1]
    assert re.fullmatch(
        rf"error: {disk.path}\S* cannot be written \(Read-only file system\): use a disk that can be written.*\n", text
    )


@pytest.fixture
def holder(token_folder, tmp_path):
    """A run that has stopped in the middle of a step, with a checkpoint behind it."""
    arguments = command_line(RUN, token_folder, tmp_path, 1)
    log, stalled = tmp_path / "holder.log", partial(stall_at_step, 8)
    process = PROCESSES.Process(target=as_rank, args=(0, free_port(), log, arguments, stalled))
    process.start()
    try:
        wait_until(lambda: any("\n8," in rows.read_text() for rows in tmp_path.glob("checkpoints/*/metrics.csv")))
        yield process
    finally:
        process.kill()
        process.join()


def test_a_second_process_on_a_run_is_refused_and_a_retry_after_a_kill_is_not(unbroken, holder, token_folder, tmp_path):
    """Two that write one folder would mix their files; a lock that outlives its process needs a person to remove it."""
    before = files(tmp_path / "checkpoints")
    same_output, same_work = [], ["--output", str(tmp_path / "elsewhere")]
    for run, options in ((RUN, []), (RUN | {"seed": 1}, same_output), (RUN, same_work)):
        codes, text = train(run, token_folder, tmp_path, prelude=partial(without_patience, options))
        assert codes == [1], text
        who = f"is in use by process {holder.pid} on {os.uname().nodename}, which trains into it"
        assert who in error_line(text) and "wait until it has ended" in text
    after = files(tmp_path / "checkpoints")
    assert {name: after[name] for name in before} == before
    assert holder.is_alive()

    holder.kill()
    holder.join()
    codes, text = train(RUN, token_folder, tmp_path, prelude=partial(without_patience, []))
    assert codes == [0], text
    assert "resumes at step 6" in text
    assert_same_result(tmp_path / "run", unbroken)
    assert not list(tmp_path.rglob("*.lock"))


def test_all_ranks_end_when_rank_zero_refuses_to_start(token_folder, tmp_path):
    """The others would wait for it until a time limit, on devices that somebody pays for."""
    shutil.copytree(token_folder, tmp_path / "tokens")
    flip_a_bit(tmp_path / "tokens" / "train.bin")
    for strategy in ("ddp", "fsdp"):
        codes, text = train(changed(strategy=strategy), tmp_path / "tokens", tmp_path, 2)
        assert codes == [1, 1], text
        assert len(text.splitlines()) == text.count("train.bin is damaged") == 2


def test_a_disk_without_locks_is_said_and_does_not_stop_a_run(tmp_path, monkeypatch, capsys):
    """Some network disks are mounted without; nothing else could run there."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(lock.fcntl, "lockf", no_locks)
    with lock.sole_use(tmp_path / "run"):
        assert f"{tmp_path} has no locks (Function not implemented)" in capsys.readouterr().err


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGINT, 130)])
def test_a_signal_before_the_first_step_ends_the_run_at_once(token_folder, tmp_path, number, code):
    """While data is read, a checkpoint restored or the model compiled; Lightning alone would end it as a success."""
    stop = partial(signal_at_step, 10, signal.SIGTERM, 0)
    assert train(RUN, token_folder, tmp_path, prelude=stop)[0] == [143]
    kept = {name: content for name, content in files(tmp_path).items() if ".ckpt/" in name}
    for moment in (
        partial(signal_at, "open", "*/train.bin", 1, number),
        partial(signal_at, "open", "*/state", 1, number),
        partial(signal_at, "os.rename", "*/metrics.csv", 1, number),
        partial(signal_at_step, 11, number, 0),
    ):
        codes, text = train(RUN, token_folder, tmp_path, prelude=moment)
        assert codes == [code], text
        assert error_line(text).startswith(f"stopped by {signal.Signals(number).name} ")
        assert "start it again to resume" in text
        assert {name: content for name, content in files(tmp_path).items() if ".ckpt/" in name} == kept


def truncate(tokens: Path) -> None:
    os.truncate(tokens, tokens.stat().st_size - 100)


def flip_a_bit(tokens: Path) -> None:
    content = bytearray(tokens.read_bytes())
    content[len(content) // 2] ^= 1
    tokens.write_bytes(content)


@pytest.mark.parametrize(
    "harm, what", [(truncate, "bytes, its index says"), (flip_a_bit, "is damaged"), (Path.unlink, "is missing")]
)
def test_damaged_tokens_are_not_trained_on(token_folder, tmp_path, harm, what):
    """Nothing in the result would show that the data was another."""
    shutil.copytree(token_folder, tmp_path / "tokens")
    harm(tmp_path / "tokens" / "train.bin")
    codes, text = train(RUN, tmp_path / "tokens", tmp_path)
    assert codes == [1]
    line = error_line(text)
    assert (
        line.startswith(f"error: {tmp_path}/tokens/train.bin ")
        and what in line
        and line.endswith(f"first with the target {tmp_path}/tokens/train.bin")
    )
    assert not (tmp_path / "run").exists()


def test_a_loss_that_explodes_but_stays_finite_is_diverged(token_folder, tmp_path):
    """Its perplexity would enter a mean as any other; the manifest says why it does not."""
    run = changed(optimiser={"lr": 8.0}, schedule={"warmup_steps": 1})
    codes, text = train(run, token_folder, tmp_path)
    assert codes == [0], text
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "diverged"
    assert manifest["why"] == error_line(text)
    assert re.search(r"loss [\d.e+]+ is more than 3 times the first step's 5\.\d+: it exploded", manifest["why"])
    assert load_file(tmp_path / "run" / "model.safetensors") == {}


def test_only_what_is_not_finite_or_far_above_the_first_loss_is_diverged():
    """A spike in the curve of a run that recovers is none; a threshold below the start would stop every run."""
    start = math.log(300)
    fine = {"loss": start, "gradient_norm": 1.0}
    assert divergence(fine, start) is None
    assert divergence(fine | {"loss": 2.9 * start}, start) is None
    assert "exploded" in divergence(fine | {"loss": 3.1 * start}, start)
    for name in fine:
        for value in (math.nan, math.inf):
            assert "not finite" in divergence(fine | {name: value}, start)


def test_a_limit_on_the_size_of_files_is_not_called_a_full_disk(tmp_path):
    refused = r"\(File too large\): raise the limit on the size of files \(ulimit -f\)"
    with pytest.raises(DiskError, match=refused), disk_errors(tmp_path):
        raise OSError(errno.EFBIG, "File too large")
