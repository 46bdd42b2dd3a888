"""Files from outside a study are those that were described, or nothing is made from them."""

import hashlib
from pathlib import Path

import pytest

from spikesink.runs.described_files import check_unchanged, files_of_model, identity_of_file
from spikesink.study.errors import InputError

CONTENT = {"model.safetensors": b"weights", "config.json": b"{}", "tokenizer.json": b"[]", "README.md": b"about"}


def described(folder: Path) -> dict:
    folder.mkdir(exist_ok=True)
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return {"folder": str(folder), "files": {name: identity_of_file(folder / name) for name in CONTENT}}


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_changed_or_missing_file_is_named(tmp_path, name):
    """Other weights under the same name would be measured and shown as those that the table names."""
    model = described(tmp_path / "model")
    check_unchanged(files_of_model(model), tmp_path / "pretrained.json")
    path = tmp_path / "model" / name
    path.write_bytes(CONTENT[name][::-1] + b"!")
    with pytest.raises(
        InputError, match=rf"{path}: is not what it was when .*delete {tmp_path}/pretrained\.json and run"
    ):
        check_unchanged(files_of_model(model), tmp_path / "pretrained.json")
    path.write_bytes(bytes([CONTENT[name][0] ^ 1]) + CONTENT[name][1:])
    with pytest.raises(InputError, match="its sum differs"):
        check_unchanged(files_of_model(model), tmp_path / "pretrained.json")
    path.unlink()
    with pytest.raises(InputError, match=rf"{path}: cannot be read \(No such file or directory\): bring it back"):
        check_unchanged(files_of_model(model), tmp_path / "pretrained.json")


def test_only_what_is_read_is_looked_at(tmp_path):
    """Elsewhere terabytes of other formats would be read for nothing."""
    model = described(tmp_path / "model")
    (tmp_path / "model/README.md").write_text("edited")
    check_unchanged(files_of_model(model), tmp_path / "pretrained.json")
    (tmp_path / "model/model.safetensors").write_text("edited")
    check_unchanged(files_of_model(model, ["tokenizer.json"]), tmp_path / "pretrained.json")


def test_a_file_of_the_hubs_cache_is_what_its_name_there_says(tmp_path):
    """The cache names a large file by its SHA-256, a small one by the SHA-1 that git gives it; `git hash-object` of
    the five bytes "about" is known."""
    git = hashlib.sha1(b"blob 5\0about", usedforsecurity=False).hexdigest()
    blobs = {"model.safetensors": hashlib.sha256(b"weights").hexdigest(), "config.json": git}
    folder = tmp_path / "snapshot"
    folder.mkdir()
    for (name, blob), content in zip(blobs.items(), (b"weights", b"about"), strict=True):
        (tmp_path / blob).write_bytes(content)
        (folder / name).symlink_to(tmp_path / blob)
    model = {"folder": str(folder), "files": {name: identity_of_file(folder / name) for name in blobs}}
    assert {name: known["digest"] for name, known in model["files"].items()} == blobs
    check_unchanged(files_of_model(model), tmp_path / "pretrained.json")
    (tmp_path / git).write_bytes(b"abouT")
    with pytest.raises(InputError, match=r"config\.json: is not what it was"):
        check_unchanged(files_of_model(model), tmp_path / "pretrained.json")


def test_a_link_of_the_users_is_read_by_its_content(tmp_path):
    """The name of what it leads to says nothing."""
    (tmp_path / "weights-v1").write_bytes(b"weights")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "weights-v1")
    assert identity_of_file(tmp_path / "model.safetensors")["digest"] == hashlib.sha256(b"weights").hexdigest()
