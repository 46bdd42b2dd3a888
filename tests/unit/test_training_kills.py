"""A run that is killed at any moment, or finds its checkpoint damaged, ends with the bits of one that was not.

The moments here are chosen; benchmarks/kill_stress.py takes random ones.
"""

import importlib
import io
import json
import os
import pickle
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from faults import RUN, assert_same_result, die_in_library, die_while_writing, files, signal_at
from ranks import changed, finished, signal_at_step, train
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, MetadataIndex

from spikesink.model.trained import load_run
from spikesink.study.errors import InputError
from spikesink.training.storage.intact import SUMS, seal


@pytest.fixture(scope="module")
def unbroken(token_folder, tmp_path_factory) -> Path:
    return finished(RUN, token_folder, tmp_path_factory.mktemp("unbroken"))


def killed_when(event: str, pattern: str, count: int = 1):
    return partial(signal_at, event, pattern, count, signal.SIGKILL)


MOMENTS = {
    "in_the_first_checkpoint": partial(die_while_writing, "spikesink.training.storage.checkpoint", "*/state", 1, 5),
    "in_a_later_checkpoint": partial(die_while_writing, "spikesink.training.storage.checkpoint", "*/state", 2, 40),
    "before_a_checkpoint_gets_its_name": killed_when("os.rename", "*/step00000012.ckpt"),
    "before_an_old_checkpoint_is_removed": killed_when("os.rename", "*/.step00000006.ckpt.part"),
    "while_an_old_checkpoint_is_removed": killed_when("shutil.rmtree", "*/.step00000006.ckpt.part", 2),
    "in_a_row_of_metrics": partial(die_while_writing, "spikesink.training.record", "*/metrics.csv", 3, 1),
    "in_the_first_metrics": partial(die_while_writing, "spikesink.training.record", "*/.metrics.csv.part/*", 1, 1),
    "before_a_snapshot_gets_its_name": killed_when("os.rename", "*/snapshots/step*", 2),
    "in_a_snapshot": partial(die_in_library, "spikesink.training.snapshots", 2),
    "in_the_weights": partial(die_in_library, "spikesink.training.results", 1),
    "while_the_weights_move": killed_when("os.rename", "*/run/model.safetensors"),
    "while_the_snapshots_move": killed_when("open", "*/.snapshots.part/*/step*", 2),
    "before_the_manifest": killed_when("os.rename", "*/run/manifest.json"),
    "before_the_checkpoints_go": killed_when("os.rename", "*/checkpoints/.*.part"),
    "while_the_checkpoints_go": killed_when("shutil.rmtree", "*/checkpoints/.*.part"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_ends_with_the_same_bits(unbroken, token_folder, tmp_path, moment):
    """Half a file taken for a whole one, or a file lost with what came after it, would change the result."""
    codes, text = train(RUN, token_folder, tmp_path, prelude=MOMENTS[moment])
    assert codes == [-signal.SIGKILL], text
    assert_same_result(finished(RUN, token_folder, tmp_path), unbroken)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_kill_while_metrics_are_written_again_loses_no_row(unbroken, token_folder, tmp_path):
    """A restart writes metrics.csv anew; the rows before its checkpoint are nowhere in what is trained after it."""
    for moment in ("before_an_old_checkpoint_is_removed", "in_the_first_metrics"):
        assert train(RUN, token_folder, tmp_path, prelude=MOMENTS[moment])[0] == [-signal.SIGKILL]
    assert_same_result(finished(RUN, token_folder, tmp_path), unbroken)


def test_ranks_killed_between_their_shards_and_the_index_end_with_the_same_bits(token_folder, tmp_path):
    """Shards of a save that did not end must not be read with those of another."""
    run = changed(strategy="fsdp", snapshots=3)
    unbroken = finished(run, token_folder, tmp_path / "unbroken", 2)
    codes, _ = train(run, token_folder, tmp_path / "killed", 2, killed_when("open", "*/.metadata.tmp", 2))
    assert codes == [-signal.SIGKILL, 1]
    assert_same_result(finished(run, token_folder, tmp_path / "killed", 2), unbroken)


def interrupted(run: dict, tokens: Path, folder: Path, ranks: int) -> Path:
    """The folder of a run with checkpoints at steps 6 and 11."""
    codes, text = train(run, tokens, folder, ranks, partial(signal_at_step, 10, signal.SIGTERM, 0))
    assert codes == [143] * ranks, text
    return folder


@pytest.fixture(scope="module")
def stopped(token_folder, tmp_path_factory) -> Path:
    return interrupted(RUN, token_folder, tmp_path_factory.mktemp("stopped"), 1)


@pytest.fixture(scope="module")
def stopped_shards(token_folder, tmp_path_factory) -> Path:
    return interrupted(changed(strategy="fsdp"), token_folder, tmp_path_factory.mktemp("stopped_shards"), 2)


def copy_of(folder: Path, to: Path) -> tuple[Path, Path]:
    """The two checkpoints of a copy that may be harmed, the earlier first."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    first, second = sorted(to.glob("checkpoints/*/step*.ckpt"))
    return first, second


def truncate(checkpoint: Path) -> None:
    os.truncate(checkpoint / "state", (checkpoint / "state").stat().st_size * 2 // 3)


def flip_a_bit(checkpoint: Path) -> None:
    """In the middle of the largest tensor, where torch would read another number without a word."""
    content = bytearray((checkpoint / "state").read_bytes())
    state = torch.load(checkpoint / "state", weights_only=True)["state_dict"]
    largest = max(state.values(), key=torch.numel).numpy().tobytes()
    content[content.index(largest) + len(largest) // 2] ^= 1
    (checkpoint / "state").write_bytes(content)


def lose_the_sums(checkpoint: Path) -> None:
    (checkpoint / SUMS).unlink()


def replace_by_an_earlier_one(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    shutil.copytree(checkpoint.with_name("step00000006.ckpt"), checkpoint)


@pytest.mark.parametrize(
    "harm, why",
    [
        (truncate, "state is not what was written"),
        (flip_a_bit, "state is not what was written"),
        (lose_the_sums, "its SHA256SUMS cannot be read"),
        (replace_by_an_earlier_one, "/step00000006.ckpt"),
    ],
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(
    unbroken, stopped, token_folder, tmp_path, harm, why
):
    """Resumed, it would train other weights under this run's name; deleted, nobody could find out what happened."""
    _, second = copy_of(stopped, tmp_path)
    harm(second)
    harmed = files(second)
    codes, text = train(RUN, token_folder, tmp_path)
    assert codes == [0], text
    (line,) = (line for line in text.splitlines() if "damaged" in line)
    assert why in line and line.endswith("the run resumes from step00000006.ckpt")
    (aside,) = (tmp_path / "checkpoints").iterdir()
    assert str(aside) in line and files(aside) == harmed
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["resumed_from_step"] == 6
    assert_same_result(tmp_path / "run", unbroken)


def test_a_run_without_an_intact_checkpoint_starts_again(unbroken, stopped, token_folder, tmp_path):
    for checkpoint in copy_of(stopped, tmp_path):
        truncate(checkpoint)
    codes, text = train(RUN, token_folder, tmp_path)
    assert codes == [0], text
    assert text.count("damaged checkpoint") == text.count("the run starts again from step 0") == 2
    assert len(list((tmp_path / "checkpoints").glob("*.damaged"))) == 2
    assert_same_result(tmp_path / "run", unbroken)


def lose(snapshot: Path) -> None:
    snapshot.unlink()


def spoil(snapshot: Path) -> None:
    content = bytearray(snapshot.read_bytes())
    content[-1] ^= 1
    snapshot.write_bytes(content)


@pytest.mark.parametrize("harm, why", [(lose, "is missing"), (spoil, "is not what was written")])
def test_a_snapshot_that_was_harmed_while_a_run_had_stopped_is_written_again(
    unbroken, stopped, token_folder, tmp_path, harm, why
):
    """The run would not come by its step again, and the sum of what is there would be noted as if it were right."""
    copy_of(stopped, tmp_path)
    first = min(tmp_path.glob("checkpoints/*/snapshots/step*.safetensors"))
    harm(first)
    codes, text = train(RUN, token_folder, tmp_path)
    assert codes == [0], text
    assert text.count(f"damaged checkpoint: ../snapshots/{first.name} {why}") == 2
    assert text.count("the run starts again from step 0") == 2
    assert_same_result(tmp_path / "run", unbroken)


def test_ranks_agree_to_leave_a_checkpoint_that_lost_a_shard(stopped_shards, unbroken, token_folder, tmp_path):
    """One that saw the damage later than another would wait for it in another checkpoint, or mix two."""
    _, second = copy_of(stopped_shards, tmp_path)
    next((second / "state").glob("__1_*.distcp")).unlink()
    codes, text = train(changed(strategy="fsdp"), token_folder, tmp_path, 2)
    assert codes == [0, 0], text
    assert text.count("damaged checkpoint: state/__1_0.distcp is missing") == 1
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["resumed_from_step"] == 6


class Bomb:
    """What a pickle can do to its reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def hide_in_state(checkpoint: Path, bomb: Bomb) -> None:
    torch.save({"state_dict": bomb}, checkpoint / "state")


def hide_in_shards_index(checkpoint: Path, bomb: Bomb) -> None:
    (checkpoint / "state" / ".metadata").write_bytes(pickle.dumps(bomb))


def hide_in_shards(checkpoint: Path, bomb: Bomb) -> None:
    """As one of the settings of the optimiser, which torch itself reads as pickles."""
    index = pickle.loads((checkpoint / "state" / ".metadata").read_bytes())
    kinds = index.state_dict_metadata
    place = index.storage_data[MetadataIndex(next(n for n, k in kinds.items() if isinstance(k, BytesStorageMetadata)))]
    content = io.BytesIO()
    torch.save(bomb, content)
    shard = checkpoint / "state" / place.relative_path
    place.offset, place.length = shard.stat().st_size, len(content.getvalue())
    shard.write_bytes(shard.read_bytes() + content.getvalue())
    (checkpoint / "state" / ".metadata").write_bytes(pickle.dumps(index))


@pytest.mark.parametrize("hide", [hide_in_state, hide_in_shards_index, hide_in_shards])
def test_a_checkpoint_with_code_in_it_is_not_loaded(request, token_folder, tmp_path, hide):
    """Whoever can write to the disk could otherwise run what they like, with checksums that fit."""
    sharded = hide is not hide_in_state
    run = changed(strategy="fsdp") if sharded else RUN
    _, second = copy_of(request.getfixturevalue("stopped_shards" if sharded else "stopped"), tmp_path)
    hide(second, Bomb(tmp_path / "exploded"))
    seal(second, second)
    codes, text = train(run, token_folder, tmp_path)
    assert codes == [0], text
    (line,) = (line for line in text.splitlines() if "damaged" in line)
    assert "it holds more than weights" in line and line.endswith("the run resumes from step00000006.ckpt")
    assert not (tmp_path / "exploded").exists()


def test_weights_with_code_in_them_are_not_loaded(unbroken, tmp_path):
    """Measures read folders that others send."""
    shutil.copytree(unbroken, tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    torch.save({"head.weight": Bomb(tmp_path / "exploded")}, weights)
    (tmp_path / "run" / "manifest.json").unlink()  # whoever sends weights can send sums that fit
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read") as refusal:
        load_run(tmp_path / "run", "cpu")
    assert len(str(refusal.value).splitlines()) == 1
    assert not (tmp_path / "exploded").exists()
    torch.load(io.BytesIO(weights.read_bytes()), weights_only=False)
    assert (tmp_path / "exploded").exists(), "the bomb is a dud, and this test of nothing"


def test_the_benchmark_of_kills_marks_functions_that_are_there(monkeypatch):
    """No other test runs it; a function that has moved would end all of its runs at once."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    benchmark = importlib.import_module("kill_stress")
    missing = [f"{owner.__name__}.{name}" for owner, name, _ in benchmark.MARKED if not hasattr(owner, name)]
    assert not missing
