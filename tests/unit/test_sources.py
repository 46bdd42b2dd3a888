"""Files from outside count by their content: an edit is seen whatever their time says, and a touch is not an edit."""

import os
from pathlib import Path

import pytest
from study_config import study

from spikesink.runs import sources
from spikesink.study.settings import Pretrained


@pytest.fixture
def text(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.txt"
    path.write_text("the first text")
    return path


def sums(*names: str) -> dict[str, str]:
    return sources.sums(names, "results/x")


@pytest.mark.parametrize("size", [14, sources.SMALL + 1])
def test_an_edit_that_keeps_size_and_time_is_seen_and_a_touch_is_not(text, size):
    text.write_bytes(b"a" * size)
    before, facts = sums("a.txt"), text.stat()
    os.utime(text, (1, 1))
    assert sums("a.txt") == before
    text.write_bytes(b"b" * size)
    os.utime(text, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert sums("a.txt") != before


def test_a_large_file_is_read_once(text, monkeypatch):
    text.write_bytes(b"a" * (sources.SMALL + 1))
    before = sums("a.txt")
    monkeypatch.setattr(sources, "file_sum", None)  # reading it would call this
    assert sums("a.txt") == before


@pytest.mark.parametrize("kept", [b"", b"\xff\xfe", b"[]", b'{"a.txt": 3}', b'{"a.txt": [null, 1]}'])
def test_a_damaged_list_of_sums_is_made_again(text, kept):
    text.write_bytes(b"a" * (sources.SMALL + 1))
    before = sums("a.txt")
    Path("results/x/sources.json").write_bytes(kept)
    assert sums("a.txt") == before


def test_a_file_that_is_gone_or_cannot_be_read_is_no_error_here(text):
    assert sums("a.txt/b", "c.txt", ".") == {
        "a.txt/b": sources.ABSENT,
        "c.txt": sources.ABSENT,
        ".": sources.UNREADABLE,
    }


def test_files_of_a_folder_that_is_gone_count_as_they_were_last_seen(text):
    """Otherwise all of a study is made again because the disk of its text was not there at one start."""
    folder = text.with_name("texts")
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"the text {name}")
    names = ("texts/a.txt", "texts/b.txt")
    before = sums(*names)
    folder.rename(text.with_name("away"))
    assert sums(*names) == before
    text.with_name("away").rename(folder)
    (folder / "b.txt").unlink()
    assert sums(*names) == before | {"texts/b.txt": sources.ABSENT}, "what is beside it is here, so it was deleted"


def test_a_model_whose_folder_is_gone_has_the_files_that_it_had(text):
    folder = text.with_name("model")
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    model = Pretrained(source="model", bos="none")
    before = sums(*sources.of_model(model, "results/x"))
    (folder / "config.json").unlink()
    folder.rmdir()
    assert list(before) == ["model/config.json"] and sums(*sources.of_model(model, "results/x")) == before
    assert sources.of_model(Pretrained(source="other", bos="none"), "results/x") == []


BESIDE = ["tokenizer_config.json", "special_tokens_map.json", "config.json", "generation_config.json"]
"""Where files beside a tokenizer may declare its special tokens."""


def test_the_files_of_corpus_and_tokenizer_are_listed_and_those_of_the_hub_are_not():
    files = {"kind": "files", "files": ["a{08..10}.txt", "b.txt"]}
    local = study({"corpus": files, "tokenizer": {"kind": "file", "name": "t.json"}})
    assert sources.of_text(local.config) == ["a08.txt", "a09.txt", "a10.txt", "b.txt", "t.json", *BESIDE]
    assert sources.of_text(study({}).config) == []
