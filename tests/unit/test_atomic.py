"""A file or folder of this package appears whole or not at all."""

import os
import shutil

import pytest

from spikesink.runs import atomic
from spikesink.runs.atomic import clear, part, part_folder, remove, whole


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with whole(path) as temporary:
        temporary.write_text("text")
        assert not path.exists()
    assert path.read_text() == "text"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_there_stays_until_then_and_after_a_failure(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with whole(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    with whole(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]


def test_what_a_killed_process_left_is_replaced_or_cleared(tmp_path):
    path = tmp_path / "file.txt"
    for _ in range(2):
        part_folder(path).mkdir()
        part(path).write_text("of a process that was killed")
        with whole(path) as temporary:
            temporary.write_text("new")
        assert list(tmp_path.iterdir()) == [path]
    part_folder(path).mkdir()
    part_folder(tmp_path).mkdir()
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    assert not part_folder(tmp_path).exists()


@pytest.mark.parametrize("durable", [True, False])
def test_everybody_may_read_what_the_umask_lets_them_read(tmp_path, durable):
    """Some libraries create their files for the owner alone: a colleague on a cluster could not read the result."""
    old = os.umask(0o022)
    try:
        for name in ("file", "folder/file"):
            with whole(tmp_path / name.split("/")[0] if "/" in name else tmp_path / name, durable) as temporary:
                inside = temporary
                if "/" in name:
                    temporary.mkdir()
                    inside = temporary / "file"
                inside.touch(mode=0o600)
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)


def test_a_long_name_fits(tmp_path):
    """Snakemake's records have names as long as a file system allows."""
    path = tmp_path / ("x" * 255)
    with whole(path) as temporary:
        temporary.write_text("text")
    assert path.read_text() == "text"


def test_a_folder_goes_at_once(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    path.mkdir()
    monkeypatch.setattr(atomic.shutil, "rmtree", lambda _: pytest.fail("half of it would be gone"))
    with pytest.raises(pytest.fail.Exception):
        remove(path)
    assert not path.exists()
    monkeypatch.undo()
    shutil.rmtree(part_folder(path))
