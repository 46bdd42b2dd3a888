"""Files of a checkpoint as people have them: tied heads, Git LFS pointers, failed downloads, names that lead out."""

import importlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model

from spikesink.pretrained.description import summary
from spikesink.pretrained.formats import PretrainedError
from spikesink.pretrained.load import load_pretrained
from spikesink.study.settings import Pretrained

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture(scope="module")
def tied(tmp_path_factory) -> tuple[torch.nn.Module, Path]:
    """A model whose head is its embedding, and the folder that it is saved in."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers = importlib.import_module("transformers")
    config = transformers.LlamaConfig(
        vocab_size=31,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    folder = tmp_path_factory.mktemp("tied")
    model.save_pretrained(folder)
    return model, folder


@pytest.fixture
def folder(tied, tmp_path) -> Path:
    """A copy of the tied model's folder that a test may damage."""
    return Path(shutil.copytree(tied[1], tmp_path / "model"))


def edit(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(PretrainedError) as error:
        load_pretrained(folder)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@torch.no_grad()
def check_logits(model: torch.nn.Module, folder: Path) -> None:
    rows = torch.arange(20)[None]
    assert torch.allclose(load_pretrained(folder).decoder(rows), model(rows).logits, atol=1e-5)


def test_a_tied_model_may_be_stored_by_its_head_alone(tied, folder):
    """As safetensors.save_model stores it, which keeps one of the names of a shared tensor."""
    model = tied[0]
    save_model(model, str(folder / "model.safetensors"))
    tensors = load_file(folder / "model.safetensors")
    assert (EMBEDDING in tensors) != (HEAD in tensors)
    check_logits(model, folder)
    table = tensors.pop(EMBEDDING if EMBEDDING in tensors else HEAD)
    for name in (EMBEDDING, HEAD):
        save_file(tensors | {name: table}, folder / "model.safetensors")
        check_logits(model, folder)
    save_file(tensors, folder / "model.safetensors")
    refused(folder, f"{EMBEDDING} and 1 more is missing")


def test_an_untied_model_without_a_head_is_told_what_can_help(folder):
    edit(folder, tie_word_embeddings=False)
    refused(
        folder, "lm_head.weight is missing", "tie_word_embeddings = false", "set that to true", "choose a checkpoint"
    )
    with pytest.raises(PretrainedError) as error:
        load_pretrained(folder)
    assert "download" not in str(error.value), "another download has no head either"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "model.safetensors.index.json"])
def test_a_git_lfs_pointer_is_not_called_damaged(folder, name):
    if name.endswith("index.json"):
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(POINTER)
    refused(folder, f"{folder / name} is a Git LFS pointer", "run `git lfs pull`")


def test_a_shard_that_is_a_git_lfs_pointer_is_named(tied, tmp_path):
    tied[0].save_pretrained(tmp_path, max_shard_size="3KB")
    shard = sorted(tmp_path.glob("model-*.safetensors"))[-1]
    shard.write_bytes(POINTER)
    refused(tmp_path, f"{shard} is a Git LFS pointer")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<!DOCTYPE html><html>not found</html>", "is a web page"),
        (b"PK\x03\x04" + b"\0" * 100, "is a pickle under another name"),
        (b"\x80\x02}q\x00X" + b"\0" * 100, "is a pickle under another name"),
        (b"", "has 0 bytes and ends before its header does"),
        ((5000).to_bytes(8, "little") + b"{" * 100, "has 108 bytes and ends before its header does"),
        (b"\xff" * 64, "no safetensors file (it begins with b'\\xff"),
    ],
    ids=["web page", "zip", "pickle", "empty", "cut short", "noise"],
)
def test_what_is_no_safetensors_file_says_what_it_is(folder, content, reason):
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, f"{folder / 'model.safetensors'} is ", reason)


@pytest.mark.parametrize("shard", ["..", ".", "", "/etc/passwd", "a/../../b.safetensors", "a\0.safetensors", 3])
def test_an_index_names_only_files_beside_it(folder, shard):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {EMBEDDING: shard}}))
    refused(folder, "weight_map names", "which is not a file beside it")


def test_a_config_with_a_byte_order_mark_is_read(tied, folder):
    path = folder / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    check_logits(tied[0], folder)


@pytest.mark.parametrize("value", ["Infinity", "NaN", "-1"])
def test_a_number_that_is_none_is_refused(folder, value):
    text = json.dumps(json.loads((folder / "config.json").read_text()) | {"rms_norm_eps": "NUMBER"})
    (folder / "config.json").write_text(text.replace('"NUMBER"', f"{value}.0" if value == "-1" else value))
    refused(folder, "rms_norm_eps = ", "must be a number greater than 0")


def test_a_gguf_file_in_parts_is_not_called_missing(tmp_path):
    for number in (1, 2):
        (tmp_path / f"model.gguf.part{number}").write_bytes(b"GGUF")
    source = str(tmp_path / "model.gguf.part{1..2}")
    with pytest.raises(PretrainedError, match=r"part\{1\.\.2\}: check reads a GGUF file in one piece: join the parts"):
        summary(Pretrained(source=source, bos="none"))
