"""A key of a config.json that our decoder does not follow is refused by its name; all others change no logits."""

import importlib
import json
import os
from pathlib import Path

import pytest
import torch

from spikesink.pretrained.architectures import ARCHITECTURES
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
    for family in ("Llama", "Qwen2", "Qwen3", "Mistral", "Glm", "Glm4", "Olmo2", "Gemma3"):
        config = getattr(transformers, "Gemma3TextConfig" if family == "Gemma3" else f"{family}Config")
        options = SHAPE | {"sliding_window": 9} if family in ("Mistral", "Gemma3") else SHAPE
        model = getattr(transformers, f"{family}ForCausalLM")(config(pad_token_id=0, **options))
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
@pytest.mark.parametrize("family", ["Llama", "Qwen3", "Olmo2"])
def test_a_key_that_may_change_the_model_is_refused_by_name(saved, tmp_path, family, key):
    with pytest.raises(PretrainedError) as error:
        load_pretrained(with_keys(saved[family], tmp_path / "model", **{key: REFUSED[key]}))
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'model/config.json'}: {key} = {json.dumps(REFUSED[key])} is not ")
    assert "choose a checkpoint without it" in message and "\n" not in message


OF_ONE_ARCHITECTURE = [
    ("Gemma3", {"attn_logit_softcapping": 50.0}),
    ("Gemma3", {"final_logit_softcapping": 30.0}),
    ("Gemma3", {"use_bidirectional_attention": True}),
    ("Gemma3", {"hidden_activation": "silu"}),
    ("Gemma3", {"partial_rotary_factor": 0.5}),
    ("Gemma3", {"layer_types": ["chunked_attention", "full_attention"]}),
    ("Gemma3", {"layer_types": ["full_attention"]}),
    ("Gemma3", {"rope_scaling": {"rope_type": "linear", "factor": 8.0}, "rope_parameters": "absent"}),
    ("Glm4", {"sliding_window": 8}),
    ("Glm4", {"query_pre_attn_scalar": 16}),
    ("Glm4", {"partial_rotary_factor": 1.5, "rope_parameters": "absent"}),
    ("Glm", {"rope_local_base_freq": 100.0}),
    ("Mistral", {"layer_types": ["sliding_attention", "full_attention"]}),
    ("Mistral", {"attention_bias": True}),
    ("Olmo2", {"clip_qkv": 8.0}),
]


@pytest.mark.parametrize(("family", "keys"), OF_ONE_ARCHITECTURE)
def test_a_key_that_one_architecture_reads_is_refused_where_it_is_not_followed(saved, tmp_path, family, keys):
    with pytest.raises(PretrainedError, match=rf"config\.json: {next(iter(keys))}") as error:
        load_pretrained(with_keys(saved[family], tmp_path / "model", **keys))
    assert "\n" not in str(error.value)


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
    ("Mistral", {"sliding_window": None}),
    (
        "Glm",
        {"rope_parameters": "absent", "rope_theta": 70.0, "partial_rotary_factor": 1.0, "attention_bias": "absent"},
    ),
    ("Glm4", {"rope_parameters": {"rope_type": "default", "rope_theta": 70.0}, "partial_rotary_factor": 0.5}),
    ("Olmo2", {"rope_parameters": "absent", "rope_theta": 50.0, "num_key_value_heads": 2}),
    ("Gemma3", {"layer_types": "absent", "sliding_window_pattern": 2, "cache_implementation": "hybrid"}),
    ("Gemma3", {"rope_parameters": "absent", "rope_theta": 90.0, "rope_local_base_freq": 30.0, "rope_scaling": None}),
    ("Gemma3", {"query_pre_attn_scalar": 9, "tie_word_embeddings": "absent", "rope_parameters": "absent"}),
    ("Gemma3", {"layer_types": ["full_attention", "full_attention"]}),
    ("Gemma3", {"rope_parameters": {"full_attention": {"rope_theta": 40.0}}, "rope_local_base_freq": 20.0}),
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
        config = json.loads((folder / "config.json").read_text())
        facts = ARCHITECTURES[config["architectures"][0]]
        assert set(config) <= READ | HARMLESS | set(FIXED) | facts.reads | facts.ignores | set(facts.fixed)
        assert not facts.reads & (HARMLESS | facts.ignores)
