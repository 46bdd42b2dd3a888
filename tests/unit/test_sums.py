"""A file that is not what was written is never read: flipped, cut short, or another one."""

import json
import os
from pathlib import Path

import pytest

from spikesink.runs.inside import inside
from spikesink.runs.json_file import read_intact_json, with_sum
from spikesink.runs.sums import check_complete, file_sum, intact, note_of, noted
from spikesink.study.errors import InputError


def written(path: Path, content: bytes = b"0123456789") -> Path:
    with noted(path) as part:
        part.write_bytes(content)
    return path


def flip(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


@pytest.mark.parametrize(
    "damage", [flip, lambda content: content[:-1], lambda content: b"", lambda content: b"more" * 9]
)
def test_a_file_that_changed_after_it_was_written_is_refused(tmp_path, damage):
    path = written(tmp_path / "runs.csv")
    assert intact(path, "again") == path
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as error:
        intact(path, "again")
    remedy = f"delete {path} and run the same snakemake command again"
    assert str(error.value) == f"{path}: is not what was written, its sum differs: {remedy}"


@pytest.mark.parametrize("note", [b"", b"\xff" * 64, b"0" * 64])
def test_a_damaged_note_is_not_taken_for_none(tmp_path, note):
    path = written(tmp_path / "runs.csv")
    note_of(path).write_bytes(note)
    with pytest.raises(InputError, match="is not what was written"):
        intact(path, "again")


def test_the_note_is_what_sha256sum_checks(tmp_path):
    path = written(tmp_path / "a table.csv")
    assert note_of(path).read_text() == f"{file_sum(path)}  a table.csv\n"


def test_a_kill_between_file_and_note_leaves_no_wrong_note(tmp_path, monkeypatch):
    """A file with the note of the one before it would be refused although it is whole."""
    path = written(tmp_path / "runs.csv")
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: os._exit(0))
    if (child := os.fork()) == 0:
        try:
            with noted(path) as part:
                part.write_bytes(b"new")
        finally:
            os._exit(1)  # never back into pytest
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    monkeypatch.undo()
    assert path.read_bytes() == b"new"
    assert not note_of(path).exists()
    assert intact(path, "again") == path


def test_the_manifests_of_a_run_and_of_a_published_study_list_their_files(tmp_path):
    study = tmp_path / "published/x"
    metrics = written(study / "runs/baseline/seed0/metrics.csv")
    manifest = metrics.parent / "manifest.json"
    manifest.write_text(json.dumps({"sha256": {"metrics.csv": "0" * 64}}))
    with pytest.raises(InputError, match=rf"delete {manifest} and run the same snakemake command again$"):
        intact(metrics, "again")
    (study / "study.yaml").touch()
    listed = {"sha256": {"runs/baseline/seed0/metrics.csv": file_sum(metrics)}}
    (study / "manifest.json").write_text(json.dumps(listed))
    assert intact(metrics, "again") == metrics, "what was published counts before what the run said of itself"
    metrics.write_text("edited")
    with pytest.raises(InputError, match=r"its sum differs: bring it back from git$"):
        intact(metrics, "again")


def test_a_listed_file_that_is_gone_is_missed(tmp_path):
    (tmp_path / "manifest.json").write_text(
        json.dumps({"sha256": {"snapshots/a": "", "snapshots/b": "", "run.json": ""}})
    )
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots/a").touch()
    with pytest.raises(InputError, match=r"snapshots/b: is missing: delete .*manifest.json and run"):
        check_complete(tmp_path, "snapshots")


def test_a_missing_file_and_one_without_permission_are_told_apart(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"no.csv: cannot be read \(No such file or directory\): train it again$"):
        intact(tmp_path / "no.csv", "train it again")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match=r"\(Permission denied\): ask its owner for permission"):
        intact(tmp_path / "no.csv", "train it again")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "", "a\nb", None, 3, "link/x", "."])
def test_a_name_from_a_file_stays_inside_its_folder(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="names a file outside its folder"):
        inside(folder, name, "manifest.json")
    assert inside(folder, "a/b.csv", "manifest.json") == folder / "a/b.csv"


def test_an_object_that_states_its_own_sum_is_refused_after_an_edit(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(with_sum({"status": "finished", "steps": 12, "rate": 0.1})))
    assert read_intact_json(path, "again")["steps"] == 12
    path.write_text(path.read_text().replace("12", "13"))
    with pytest.raises(InputError, match=rf"its sum differs: delete {path} and run the same snakemake command again$"):
        read_intact_json(path, "again")
