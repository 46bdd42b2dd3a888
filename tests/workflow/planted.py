"""Texts that would run, lead out of a folder or be markup somewhere, and a study that has one in every setting."""

import json
import os
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import polars as pl
import tokenizers
import torch
from safetensors.torch import save_file
from tiny_study import ROOT
from tokenizers import decoders, models, pre_tokenizers, trainers

HIT = "hit"
"""The file that every planted command would write."""
SECRET = "hunter2"
TEXTS = (
    *(f"$(touch {HIT})", f"`touch {HIT}`;'\"", f"../../{HIT}", "</script><b onclick=x>", "[x](javascript:x)|*_y_*"),
    *("two\nlines", "-x", f"http://anna:{SECRET}@host/x", f"sqlite:///$(touch$IFS$9{HIT}).db"),
    f"$(touch {HIT}) <b onclick=x>.txt",
)
LABEL = f"$(touch {HIT}) `touch {HIT}`;'\"& *b* _i_ [x](javascript:x) \\input 50% | $5 < b>"
FIELD = f"</script><b onclick=x>$(touch {HIT})\n`touch {HIT}`;'\"{{x}}"
SPECIAL = [f"</script><b onclick=x>$(touch {HIT})", f"<b onclick=y>`touch {HIT}`\n'\"{{x}}"]
FOLDER = f"texts <b onclick=x> $(touch {HIT}) `touch {HIT}`;'\"&|[x](javascript:x)*_ {{x}}"
STORE = f"results/$(touch$IFS$9{HIT})`touch$IFS$9{HIT}`;'\"<b>.db"
SLURM = {
    **dict.fromkeys(("account", "partition", "qos"), f"../../{HIT}@x:+,"),
    "constraint": f"../../{HIT}&(a|b)*!c",
    "sbatch": f"""--comment='$(touch {HIT})' --exclude "`touch {HIT}`;&" """.strip(),
}
CORPUS = ("document_separator", "files", "text_field", "validation_files")
PLANTED = {
    *("variants.*.*.label", "tracking.uri", "measures.delimiters", "pretrained.*.source", "pretrained.*.bos_token"),
    *("tokenizer.name", "tokenizer.bos_token", "tokenizer.eos_token", "capabilities.include_path"),
    *(f"corpus.{key}" for key in CORPUS),
    *(f"resources.{stage}.{key}" for stage in ("data", "train", "measure") for key in SLURM),
}
"""The settings that take some of TEXTS, each kind once: corpus stands for evaluation, resources.data for draw."""


def settings_of_text(kind: Any, path: str = "", seen: set | None = None) -> Iterator[tuple[str, bool]]:
    """The path of every setting that holds text, and whether it is a list. Settings of one type are visited once."""
    seen = set() if seen is None else seen
    if is_dataclass(kind):
        if kind not in seen:
            seen.add(kind)
            for field in fields(kind):
                hint = typing.get_type_hints(kind)[field.name]
                yield from settings_of_text(hint, f"{path}.{field.name}".lstrip("."), seen)
    elif typing.get_origin(kind) is dict:
        yield f"{path}.<name>", False
        yield from settings_of_text(typing.get_args(kind)[1], f"{path}.*", seen)
    elif typing.get_origin(kind) is tuple:
        for name, _ in settings_of_text(typing.get_args(kind)[0], path, seen):
            yield name, True
    elif kind in (str, Any):
        yield path, False
    elif typing.get_origin(kind) is not typing.Literal:
        for member in typing.get_args(kind):
            yield from settings_of_text(member, path, seen)


def with_text(path: str, value: Any) -> dict:
    """An overlay with ``value`` at ``path``; what is read only beside other settings has these."""
    key, *rest = path.split(".")
    beside = {
        "corpus": {"kind": "files", "files": ["a.txt"]},
        "tokenizer": {"kind": "file", "name": "tokenizer.json"},
    }.get(key, {})
    if path in ("corpus.dataset", "corpus.revision"):
        beside = {"kind": "hub", "dataset": "a/b", "revision": "a" * 40, "files": ["a.txt"]}
    if path == "tokenizer.revision":
        beside = {"kind": "hub", "name": "a/b"}
    if path.startswith("pretrained.*."):
        beside = {"m": {"source": "a", "bos": "none"}}
    top = branch = {key: beside}
    for next_key in rest:
        branch, key = branch.setdefault(key, {}), "m" if next_key == "*" else next_key
    if key == "<name>":
        branch[value] = {}
    else:
        branch[key] = value
    return top


def plant(project: Path) -> dict:
    """Write text, tokenizer and a published model below ``project``; settings that name them, and all the others."""
    folder = project / FOLDER
    folder.mkdir()
    texts = pl.read_parquet(ROOT / "src/spikesink/data/embedded/english.parquet")["text"].to_list()
    lines, names = [json.dumps({FIELD: text}) for text in texts], [f"a{FOLDER}.jsonl", f"b{FOLDER}.jsonl", "c.txt"]
    (folder / names[0]).write_text("\n".join(lines[:24]))
    (folder / names[1]).write_text("\n".join(lines[24:36]))
    (folder / names[2]).write_text(FIELD.join(texts[36:40]))
    write_tokenizer(folder, texts[:30])
    write_model(folder)
    corpus = {
        "kind": "files",
        "files": [f"{FOLDER}/{names[0]}", f"{FOLDER}/{names[2]}"],
        "validation_files": [f"{FOLDER}/{names[1]}"],
        "text_field": FIELD,
        "document_separator": FIELD,
        "documents": None,
    }
    return {
        "ablations": [],
        "variants": {"odd": {"odd": {"label": LABEL, "training": {"steps": 8}}}},
        "mechanism": {"compare": ["baseline", "odd"]},
        "corpus": corpus,
        "evaluation": corpus | {"files": [corpus["files"][1]]},
        "tokenizer": {
            "kind": "file",
            "name": f"{FOLDER}/tokenizer.json",
            "bos": "sequence",
            "eos": True,
            "bos_token": SPECIAL[0],
            "eos_token": SPECIAL[1],
        },
        "capabilities": {"include_path": FOLDER},
        "measures": {"delimiters": [".", FIELD]},
        "pretrained": {"m": {"source": FOLDER, "bos": "sequence", "bos_token": SPECIAL[0], "context": 32}},
        "tracking": {"uri": f"sqlite:///{STORE}", "live": True},
        "resources": dict.fromkeys(("data", "train", "measure", "draw"), SLURM | {"gpu_type": "a_1.b"})
        | dict.fromkeys(("data", "draw"), SLURM),
    }


def write_tokenizer(folder: Path, texts: list[str]) -> None:
    """Byte-level BPE of 300 tokens, two of which are special and are markup and commands too."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    made.save(os.fspath(folder / "tokenizer.json"))


def write_model(folder: Path) -> None:
    """A Llama of one layer with random weights, as the hub has it."""
    width, hidden, vocabulary = 16, 20, 300
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
    }
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {
        "embed_tokens": (vocabulary, width),
        "norm": (width,),
        **{f"layers.0.{name}_layernorm": (width,) for name in ("input", "post_attention")},
        **{f"layers.0.self_attn.{name}_proj": (width, width) for name in "qkvo"},
        **{f"layers.0.mlp.{name}_proj": (hidden, width) for name in ("gate", "up")},
        "layers.0.mlp.down_proj": (width, hidden),
    }
    weights = {f"model.{name}.weight": torch.randn(shape) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
