"""A disk that is full while a result is written: one line says where and what to do, whatever library wrote, and the
result of before stays with its sum."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl
import pytest
import torch
from faults import Disk
from safetensors.torch import save_file

from spikesink.figures.drawing.files import save
from spikesink.measures.table import write_table as write_measure
from spikesink.runs.command import said
from spikesink.runs.sums import intact, note_of, noted
from spikesink.tables.outputs import write_table, write_text

TABLE = pl.DataFrame({"value": torch.rand(30_000, generator=torch.Generator().manual_seed(0)).tolist()})
"""A quarter of a megabyte, which does not compress."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    disk = Disk(tmp_path_factory.mktemp("disk") / "disk", "1m")
    yield disk
    disk.close()


def figure(stem: Path) -> None:
    drawn, axes = plt.subplots(figsize=(2, 2))
    axes.imshow(TABLE["value"].to_numpy().reshape(150, 200), interpolation="nearest")
    try:
        save(drawn, TABLE, str(stem))
    finally:
        plt.close(drawn)


def weights(path: Path) -> None:
    with noted(path) as part:
        save_file({"weights": torch.ones(100_000)}, part)


WRITERS: dict[str, Callable[[Path], None]] = {
    "table.csv": lambda path: write_table(TABLE, path),
    "table.parquet": lambda path: write_table(TABLE, path),
    "answer.parquet": lambda path: write_measure(path, TABLE.to_dicts()),
    "page.html": lambda path: write_text("x" * 200_000, path),
    "model.safetensors": weights,
    "figure": figure,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_and_costs_no_result(disk, name):
    folder = disk.path / name.replace(".", "_")
    folder.mkdir()
    path = folder / name
    written = [folder / f"figure.{ending}" for ending in ("pdf", "png", "csv")] if name == "figure" else [path]
    for file in written:
        write_text("of before", file)
    # The first file does not fit, or the last one alone.
    for leave in (0, 20_000) if name != "figure" else (0, 20_000, 200_000):
        filler = disk.fill(leave=leave)
        try:
            with pytest.raises(OSError) as error:
                WRITERS[name](path)
        finally:
            filler.unlink()
        line = said(error.value)
        assert line.startswith(f"{folder}/") and "\n" not in line
        assert line.endswith("No space left on device: free space there, then run the same command again")
        for file in written:
            intact(file, "")
            assert note_of(file).is_file()
        assert not list(folder.glob(".*.part"))
    assert path.suffix == "" or path.read_text() == "of before"
    WRITERS[name](path)
    assert all(file.stat().st_size > 10_000 and intact(file, "") for file in written)
    for file in written:
        file.unlink()
