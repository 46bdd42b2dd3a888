"""A key of a config.json that our decoder does not follow is refused by its name; all others change no logits."""

import importlib
import json
import os
from pathlib import Path

import pytest
import torch

from spikesink.pretrained.formats import PretrainedError
from spikesink.pretrained.keys import FIXED, HARMLESS, READ
from spikesink.pretrained.load import load_pretrained

SHAPE = {
    "vocab_size": 31,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 64,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """By name: the folder of a model with random weights."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers = importlib.import_module("transformers")
    folders = {}
    torch.manual_seed(0)
    for family in ("Llama", "Qwen2", "Qwen3"):
        model = getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, f"{family}Config")(**SHAPE))
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.5)
        folders[family] = tmp_path_factory.mktemp(family)
        model.save_pretrained(folders[family])
    return folders


def with_keys(folder: Path, target: Path, **keys) -> Path:
    """The model in ``folder`` with these keys in its config.json ("absent" removes one), in the folder ``target``."""
    target.mkdir(exist_ok=True)
    config = json.loads((folder / "config.json").read_text()) | keys
    (target / "config.json").write_text(json.dumps({key: of for key, of in config.items() if of != "absent"}))
    (target / "model.safetensors").unlink(missing_ok=True)
    (target / "model.safetensors").symlink_to(folder / "model.safetensors")
    return target


@torch.no_grad()
def difference(folder: Path) -> float:
    """The largest difference between the logits of transformers and ours, relative to the largest logit."""
    transformers = importlib.import_module("transformers")
    rows = torch.randint(0, 31, (2, 40), generator=torch.Generator().manual_seed(3))
    expected = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()(rows).logits
    return ((load_pretrained(folder).decoder(rows) - expected).abs().max() / expected.abs().max()).item()


REFUSED = {
    "is_causal": False,
    "attention_chunk_size": 16,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "logit_scale": 0.25,
    "logits_scaling": 8.0,
    "embedding_multiplier": 12.0,
    "residual_multiplier": 0.22,
    "attention_multiplier": 0.01,
    "query_pre_attn_scalar": 256,
    "no_rope_layers": [1, 0],
    "use_qk_norm": True,
    "clip_qkv": 8.0,
    "alibi": True,
    "per_layer_config": {"1": {"num_key_value_heads": 4}},
    "partial_rotary_factor": 0.5,
    "rope_interleaved": True,
    "mlp_bias": True,
    "pruned_heads": {"0": [1]},
    "model_type": "mistral",
    "compression_config": {"format": "pack-quantized"},
    "a_key_of_the_future": 0,
}


@pytest.mark.parametrize("key", REFUSED)
@pytest.mark.parametrize("family", ["Llama", "Qwen3"])
def test_a_key_that_may_change_the_model_is_refused_by_name(saved, tmp_path, family, key):
    with pytest.raises(PretrainedError) as error:
        load_pretrained(with_keys(saved[family], tmp_path / "model", **{key: REFUSED[key]}))
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'model/config.json'}: {key} = {json.dumps(REFUSED[key])} is not ")
    assert "choose a checkpoint without it" in message and "\n" not in message


def test_is_causal_false_does_change_the_logits_of_transformers(saved, tmp_path):
    """The reason for refusing it: a model that sees later tokens is another model."""
    transformers = importlib.import_module("transformers")
    rows = torch.arange(12)[None]
    models = [
        transformers.AutoModelForCausalLM.from_pretrained(with_keys(saved["Llama"], tmp_path / name, is_causal=causal))
        for name, causal in (("yes", True), ("no", False))
    ]
    with torch.no_grad():
        causal, both = (model.eval()(rows).logits for model in models)
    assert (causal - both).abs().max() > 0.1 * causal.abs().max()


ACCEPTED = [
    ("Llama", {"is_causal": True, "hidden_act": "swish"}),
    (
        "Llama",
        {"pretraining_tp": 2, "attention_dropout": 0.1, "use_cache": False, "bos_token_id": 3, "eos_token_id": [4]},
    ),
    ("Llama", {"rope_interleaved": False, "is_llama_config": True, "transformers.js_config": {"kv_cache_dtype": 1}}),
    ("Llama", {"pad_token_id": 0, "temperature": 0.6, "top_p": 0.9, "a_key_of_the_future": None}),
    ("Llama", {"layer_types": ["full_attention", "full_attention"], "partial_rotary_factor": 1.0}),
    ("Llama", {"rope_parameters": "absent", "rope_scaling": None, "rope_theta": 77.0}),
    ("Qwen2", {"sliding_window": 8, "max_window_layers": 0, "use_sliding_window": False, "layer_types": "absent"}),
    ("Qwen2", {"attention_bias": False}),
    ("Qwen3", {"sliding_window": 8, "max_window_layers": 1, "layer_types": "absent"}),
]


@pytest.mark.parametrize(
    ("family", "keys"), ACCEPTED, ids=lambda value: "-".join(value) if isinstance(value, dict) else value
)
def test_what_is_read_gives_the_logits_of_transformers(saved, tmp_path, family, keys):
    assert difference(with_keys(saved[family], tmp_path / "model", **keys)) < 1e-5


@pytest.mark.parametrize(("family", "key"), [("Llama", "sliding_window"), ("Llama", "max_window_layers")])
def test_a_window_that_nothing_switches_off_is_refused(saved, tmp_path, family, key):
    with pytest.raises(PretrainedError, match=f"{key} = 8 is not known"):
        load_pretrained(with_keys(saved[family], tmp_path / "model", **{key: 8}))


def test_no_key_is_in_two_lists_and_all_keys_of_transformers_are_in_one(saved):
    """Otherwise a checkpoint that save_pretrained wrote could be refused for a key that every checkpoint has."""
    assert not READ & HARMLESS and not set(FIXED) & (READ | HARMLESS)
    for folder in saved.values():
        keys = set(json.loads((folder / "config.json").read_text()))
        assert keys <= READ | HARMLESS | set(FIXED) | {"sliding_window", "max_window_layers"}
