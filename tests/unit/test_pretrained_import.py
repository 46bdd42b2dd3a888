"""Hugging Face checkpoints compute the same here as in transformers, and what cannot be read is refused in one line."""

import copy
import errno
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import errors
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from spikesink.measures.loading import check_finite
from spikesink.model.decoder import Decoder
from spikesink.pretrained.formats import PretrainedError, from_config
from spikesink.pretrained.load import checked, load_pretrained
from spikesink.pretrained.vocabulary import check_vocabulary
from spikesink.study.errors import InputError

VOCABULARY = 67
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# Sizes differ from each other so that no mixed-up dimension fits by chance.
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
}
GEMMA = {
    "head_dim": 16,
    "sliding_window": 40,
    "layer_types": ["sliding_attention", "full_attention"],
    "query_pre_attn_scalar": 24,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 70_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
    },
}
MODELS = {
    "llama": ("Llama", {"num_key_value_heads": 4}),
    "llama_tied": ("Llama", {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 30_000.0}}),
    "llama_grouped": ("Llama", {"head_dim": 12}),
    "llama3": ("Llama", {"rope_parameters": LLAMA3}),
    "llama_bias": ("Llama", {"attention_bias": True}),
    "qwen2": ("Qwen2", {}),
    "qwen2_tied": ("Qwen2", {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 1e6}}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "mistral": ("Mistral", {"sliding_window": 40, "head_dim": 12}),
    "mistral_whole": ("Mistral", {"sliding_window": None}),
    "glm": ("Glm", {"head_dim": 16, "pad_token_id": 0}),
    "glm4": ("Glm4", {"head_dim": 16, "pad_token_id": 0, "rope_parameters": {"partial_rotary_factor": 0.25}}),
    "glm4_no_bias": ("Glm4", {"head_dim": 12, "pad_token_id": 0, "attention_bias": False, "tie_word_embeddings": True}),
    "olmo2": ("Olmo2", {"rope_parameters": {"rope_theta": 500_000.0}}),
    "gemma3": ("Gemma3", GEMMA),
    "gemma3_untied": ("Gemma3", GEMMA | {"tie_word_embeddings": False, "query_pre_attn_scalar": 16}),
    "gemma3_all_windows": ("Gemma3", GEMMA | {"layer_types": None, "rope_parameters": None}),
    "qwen3_tied": ("Qwen3", {"head_dim": 16, "tie_word_embeddings": True, "rope_parameters": LLAMA3}),
}


@pytest.fixture(scope="session")
def hub_models(tmp_path_factory):
    """By name: a model of transformers with random weights, biases and norm gains, and the folder it is saved in."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers = importlib.import_module("transformers")
    made = {}

    def make(name: str) -> tuple[torch.nn.Module, Path]:
        if name not in made:
            family, options = MODELS[name]
            name_of_config = "Gemma3TextConfig" if family == "Gemma3" else f"{family}Config"
            config = getattr(transformers, name_of_config)(**(SHAPE | options))
            model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
            generator = torch.Generator().manual_seed(len(made))
            with torch.no_grad():
                for key, parameter in model.named_parameters():
                    std, mean = (0.3, 1.0) if "norm" in key else (0.2, 0.0)
                    parameter.normal_(mean, std, generator=generator)
                    if key.endswith("o_proj.bias"):
                        parameter.zero_()  # our decoder has none
            folder = tmp_path_factory.mktemp(name)
            model.save_pretrained(folder)
            made[name] = model, folder
        return made[name]

    return make


@pytest.fixture
def saved(hub_models, tmp_path):
    """A copy of a saved model's folder that a test may damage."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(hub_models(name)[1], tmp_path / name))

    return copy


def tokens(length: int = 300) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (2, length), generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def relative_error(model: torch.nn.Module, decoder: Decoder, rows: torch.Tensor) -> float:
    expected = model(rows).logits
    return ((decoder(rows) - expected).abs().max() / expected.abs().max()).item()


def edit_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value != "absent"}))


def edit_weights(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(PretrainedError) as error:
        load_pretrained(folder)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("sharded", [False, True], ids=["single", "sharded"])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_transformers(hub_models, name, sharded, tmp_path, record_property):
    model, folder = hub_models(name)
    if sharded:
        folder = tmp_path
        model.save_pretrained(folder, max_shard_size="20KB")
        assert len(list(folder.glob("*.safetensors"))) > 2
    loaded = load_pretrained(folder)
    assert not loaded.decoder.training
    assert loaded.settings.attention.heads == 4 and loaded.positions == 512 and loaded.vocabulary == VOCABULARY
    error = relative_error(model, loaded.decoder, tokens())
    record_property("relative_error", error)
    print(f"\nparity {name}: {error:.2e}")
    assert error <= 1e-5


def test_llama_3_scaling_is_read(hub_models):
    model, folder = hub_models("llama3")
    decoder = load_pretrained(folder).decoder
    plain = from_config(json.loads((folder / "config.json").read_text()) | {"rope_parameters": {"rope_theta": 5e5}})
    unscaled = Decoder(plain.settings, vocabulary=VOCABULARY, positions=512)
    unscaled.load_state_dict(decoder.state_dict())
    assert relative_error(model, unscaled, tokens()) > 0.01


@pytest.mark.parametrize("name", ["llama3", "qwen2_tied", "qwen3"])
def test_configs_of_transformers_4_mean_the_same(saved, name):
    folder = saved(name)
    written = json.loads((folder / "config.json").read_text())
    rope = written["rope_parameters"]
    theta = rope.pop("rope_theta")
    scaling = None if rope["rope_type"] == "default" else rope
    older = {"rope_parameters": "absent", "dtype": "absent", "torch_dtype": "float32"}
    edit_config(folder, rope_theta=theta, rope_scaling=scaling, **older)
    assert from_config(json.loads((folder / "config.json").read_text())) == from_config(
        written | {"rope_parameters": rope | {"rope_theta": theta}}
    )


# The config.json of published models, as far as it decides the architecture, and the numbers of parameters they have.
GLM4_9B = (
    {"attention_bias": True, "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 13696}
    | {"max_position_embeddings": 131072, "num_attention_heads": 32, "num_hidden_layers": 40, "rope_theta": 10000.0}
    | {"num_key_value_heads": 2, "partial_rotary_factor": 0.5, "rms_norm_eps": 1.5625e-07, "vocab_size": 151552}
    | {"tie_word_embeddings": False}
)
PUBLISHED = {
    "Llama-2-7b": (
        {"architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008}
        | {"max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, "rope_scaling": None}
        | {"num_key_value_heads": 32, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "vocab_size": 32000}
        | {"pretraining_tp": 1},
        6_738_415_616,
    ),
    "Llama-3.2-1B": (
        {"architectures": ["LlamaForCausalLM"], "attention_bias": False, "head_dim": 64, "hidden_act": "silu"}
        | {"hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": False}
        | {"num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "rms_norm_eps": 1e-5}
        | {"rope_theta": 500000.0, "tie_word_embeddings": True, "vocab_size": 128256}
        | {"rope_scaling": LLAMA3 | {"factor": 32.0, "original_max_position_embeddings": 8192}},
        1_235_814_400,
    ),
    "Qwen2.5-0.5B": (
        {"architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864}
        | {"max_position_embeddings": 32768, "max_window_layers": 24, "num_attention_heads": 14}
        | {
            "sliding_window": 32768,
            "num_hidden_layers": 24,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
        }
        | {"tie_word_embeddings": True, "use_mrope": False, "use_sliding_window": False, "vocab_size": 151936},
        494_032_768,
    ),
    "Qwen3-0.6B": (
        {"architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "head_dim": 128, "hidden_act": "silu"}
        | {"hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960, "rope_scaling": None}
        | {"num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-6}
        | {"rope_theta": 1000000, "sliding_window": None, "tie_word_embeddings": True, "vocab_size": 151936}
        | {"use_sliding_window": False},
        596_049_920,
    ),
    "Mistral-7B-v0.1": (
        {"architectures": ["MistralForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336}
        | {"max_position_embeddings": 32768, "num_attention_heads": 32, "num_hidden_layers": 32, "rope_theta": 10000.0}
        | {"num_key_value_heads": 8, "rms_norm_eps": 1e-5, "sliding_window": 4096, "tie_word_embeddings": False}
        | {"vocab_size": 32000},
        7_241_732_096,
    ),
    "glm-4-9b-hf": (GLM4_9B | {"architectures": ["GlmForCausalLM"], "model_type": "glm"}, 9_399_951_360),
    "GLM-4-9B-0414": (GLM4_9B | {"architectures": ["Glm4ForCausalLM"], "model_type": "glm4"}, 9_400_279_040),
    "OLMo-2-1124-7B": (
        {"architectures": ["Olmo2ForCausalLM"], "attention_bias": False, "hidden_act": "silu", "hidden_size": 4096}
        | {"intermediate_size": 11008, "max_position_embeddings": 4096, "model_type": "olmo2", "rope_scaling": None}
        | {"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "rms_norm_eps": 1e-6}
        | {"rope_theta": 500000, "tie_word_embeddings": False, "vocab_size": 100352},
        7_298_617_344,
    ),
    "gemma-3-1b-it": (
        {"architectures": ["Gemma3ForCausalLM"], "attn_logit_softcapping": None, "cache_implementation": "hybrid"}
        | {"final_logit_softcapping": None, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh"}
        | {"hidden_size": 1152, "intermediate_size": 6912, "max_position_embeddings": 32768, "attention_bias": False}
        | {"model_type": "gemma3_text", "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1}
        | {"query_pre_attn_scalar": 256, "rms_norm_eps": 1e-6, "rope_local_base_freq": 10000, "rope_scaling": None}
        | {"rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6, "vocab_size": 262144},
        999_885_952,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_configs_of_published_models_give_their_size(name):
    config, parameters = PUBLISHED[name]
    described = from_config(config)
    with torch.device("meta"):
        decoder = Decoder(described.settings, vocabulary=described.vocabulary, positions=described.positions)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == parameters


def test_gemma_3_has_a_window_in_all_layers_but_every_sixth():
    attention = from_config(PUBLISHED["gemma-3-1b-it"][0]).settings.attention
    assert [layer for layer in range(26) if attention.window_in(layer) is None] == [5, 11, 17, 23]
    assert (attention.window.size, attention.window.rope_theta, attention.rope_theta) == (512, 10_000.0, 1_000_000.0)
    glm = from_config(GLM4_9B | {"architectures": ["GlmForCausalLM"]}).settings.attention
    assert glm.rotary_channels == 64 and glm.qkv_bias


def test_weights_stored_as_bfloat16_keep_their_values(hub_models, tmp_path):
    model, _ = hub_models("qwen3")
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(tmp_path)
    model = type(model).from_pretrained(tmp_path, dtype=torch.float32)
    loaded = load_pretrained(tmp_path)
    assert {tensor.dtype for tensor in loaded.decoder.state_dict().values()} == {torch.float32}
    assert relative_error(model, loaded.decoder, tokens(40)) <= 1e-5
    halves = load_pretrained(tmp_path, dtype=torch.bfloat16).decoder.state_dict()
    assert {tensor.dtype for tensor in halves.values()} == {torch.bfloat16}
    for name, tensor in loaded.decoder.state_dict().items():
        assert torch.equal(tensor, halves[name].float())


def test_a_loaded_model_stays_what_it_is_when_its_file_is_replaced(saved):
    """Weights are mapped, so that they take no memory twice: a new download must not reach a model that is measured."""
    folder = saved("llama")
    decoder = load_pretrained(folder).decoder
    before = decoder(tokens(8))
    size = (folder / "model.safetensors").stat().st_size
    (folder / "new").write_bytes(b"\0" * size)
    (folder / "new").replace(folder / "model.safetensors")
    assert torch.equal(decoder(tokens(8)), before)
    loss = decoder(tokens(8), targets=tokens(8))
    loss.backward()  # measures of gradients need them
    assert all(parameter.grad is not None for parameter in decoder.parameters())


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"architectures": ["GptOssForCausalLM"]}, ['["GptOssForCausalLM"]', "LlamaForCausalLM, Qwen2ForCausalLM"]),
        ({"architectures": [["LlamaForCausalLM"]]}, ['architectures = [["LlamaForCausalLM"]]']),
        ({"layer_types": 2}, ["layer_types = 2 is not a list"]),
        ({"architectures": "absent"}, ["architectures = null", "Qwen3ForCausalLM"]),
        ({"hidden_size": "absent"}, ["hidden_size is missing"]),
        ({"rms_norm_eps": "absent"}, ["rms_norm_eps is missing"]),
        ({"vocab_size": "67"}, ['vocab_size = "67"', "int"]),
        ({"num_hidden_layers": 0}, ["num_hidden_layers = 0", "greater than 0"]),
        ({"num_key_value_heads": 3}, ["kv_heads = 3", "heads = 4"]),
        ({"head_dim": 7}, ["head_dim = 7", "odd"]),
        ({"hidden_act": "gelu"}, ['hidden_act = "gelu"', '"silu"']),
        ({"mlp_bias": True}, ["mlp_bias = true"]),
        ({"partial_rotary_factor": 0.5}, ["partial_rotary_factor = 0.5"]),
        ({"use_sliding_window": True}, ["use_sliding_window = true"]),
        ({"layer_types": ["full_attention", "sliding_attention"]}, ["layer_types", "sliding_attention"]),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, ["quantization_config", "gptq"]),
        ({"auto_map": {"AutoModelForCausalLM": "own.Model"}}, ["auto_map"]),
        ({"rope_parameters": LLAMA3 | {"factor": "absent"}}, ['factor = "absent"', "float"]),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, ["low_freq_factor is missing"]),
        ({"rope_parameters": {"full_attention": LLAMA3}}, ["rope_parameters.full_attention"]),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, ["partial_rotary_factor"]),
        ({"rope_parameters": 3}, ["rope_parameters = 3"]),
        *(
            ({"rope_scaling": {"type": kind, "factor": 2.0}}, [f'rope_scaling.rope_type = "{kind}"', "llama3"])
            for kind in ("linear", "dynamic", "yarn", "longrope", "mrope")
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_config_that_cannot_be_followed_is_refused_by_field(saved, changes, parts):
    folder = saved("llama")
    edit_config(folder, **changes)
    refused(folder, f"{folder / 'config.json'}: ", *parts)


def test_a_config_that_cannot_be_read_is_refused(saved):
    folder = saved("llama")
    (folder / "config.json").write_text("{")
    refused(folder, "config.json cannot be read")
    (folder / "config.json").unlink()
    refused(folder, "config.json is missing")


K = "model.layers.1.self_attn.k_proj.weight"


def test_weights_that_do_not_fit_are_refused_by_tensor(saved, hub_models):
    folder = saved("llama")
    path = str(folder / "model.safetensors")
    edit_weights(folder, lambda tensors: tensors.update({K: tensors[K][:16].clone()}))
    refused(folder, path, K, "[16, 32]", "[32, 32]")
    edit_weights(folder, lambda tensors: tensors.pop(K))
    refused(folder, path, f"{K} is missing")
    edit_weights(folder, lambda tensors: tensors.pop("lm_head.weight"))
    refused(folder, f"{K} and 1 more is missing")

    folder = saved("qwen3")
    edit_weights(folder, lambda tensors: tensors.update({"model.layers.0.self_attn.sinks": torch.zeros(4)}))
    refused(folder, "model.layers.0.self_attn.sinks", "no model that config.json describes")

    folder = saved("qwen2")
    edit_weights(folder, lambda tensors: tensors.update({K: tensors[K].to(torch.float8_e4m3fn)}))
    refused(folder, K, "F8_E4M3", "quantisation")

    fused = "model.layers.0.mlp.gate_up_proj.weight"
    folder = saved("glm4")
    edit_weights(folder, lambda tensors: tensors.update({fused: tensors[fused][:48].clone()}))
    refused(folder, fused, "[48, 32]", "[96, 32]")
    edit_weights(folder, lambda tensors: tensors.pop(fused))
    refused(folder, f"{fused} is missing")

    folder = saved("llama_bias")
    o = "model.layers.1.self_attn.o_proj.bias"
    edit_weights(folder, lambda tensors: tensors[o].add_(0.1))
    refused(folder, o, "attention_bias = true")
    edit_weights(folder, lambda tensors: tensors.pop(o))
    refused(folder, f"{o} is missing")


def test_tensors_that_follow_from_others_are_fine(saved):
    folder = saved("qwen2_tied")

    def store_more(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)

    edit_weights(folder, store_more)
    load_pretrained(folder)
    edit_weights(folder, lambda tensors: tensors["lm_head.weight"][3].add_(1))
    refused(folder, "model.safetensors", "lm_head.weight differs from model.embed_tokens.weight", "tie_word_embeddings")


def test_damaged_files_are_refused_by_name(saved):
    folder = saved("llama")
    path = folder / "model.safetensors"
    content = path.read_bytes()
    for damaged in (content[:-100], content[:5], b"", b"\xff" * 64, content + b"more"):
        path.write_bytes(damaged)
        refused(folder, f"{path} is damaged", "download the checkpoint again")
    path.rename(folder / "pytorch_model.bin")
    refused(folder, "pytorch_model.bin is a pickle", "safetensors", "save_pretrained")
    (folder / "pytorch_model.bin").unlink()
    refused(folder, f"{folder} has neither model.safetensors nor model.safetensors.index.json")


def test_shards_that_contradict_their_index_are_refused(hub_models, tmp_path):
    hub_models("llama")[0].save_pretrained(tmp_path, max_shard_size="20KB")
    index_path = tmp_path / "model.safetensors.index.json"
    index = json.loads(index_path.read_text())
    places = index["weight_map"]
    home = places[K]
    other = next(shard for shard in places.values() if shard != home)

    def indexed(**weight_map) -> None:
        index_path.write_text(json.dumps(index | {"weight_map": places | weight_map}))

    indexed(**{K: other})
    refused(tmp_path, K, home if home < other else other)
    indexed(**{K: "../elsewhere.safetensors"})
    refused(tmp_path, str(index_path), "../elsewhere.safetensors")
    indexed(**{"model.layers.9.input_layernorm.weight": home})
    refused(tmp_path, home, "model.layers.9.input_layernorm.weight is not in it")
    index_path.write_text(json.dumps({"weight_map": {name: of for name, of in places.items() if name != K}}))
    refused(tmp_path, home, f"{K} is not in model.safetensors.index.json")
    indexed()
    with_copy = load_file(tmp_path / other)
    with safe_open(tmp_path / home, "pt") as file:
        save_file(with_copy | {K: file.get_tensor(K)}, tmp_path / other)
    refused(tmp_path, other, f"{K} is in {home} by")
    save_file(with_copy, tmp_path / other)
    load_pretrained(tmp_path)
    (tmp_path / home).unlink()
    refused(tmp_path, f"{tmp_path / home} is missing")
    index_path.write_text("{}")
    refused(tmp_path, str(index_path), "weight_map")


def test_a_tokenizer_may_have_a_padding_token_that_the_model_lacks(saved):
    folder = saved("llama")
    path = folder / "tokenizer.json"
    added = [{"id": VOCABULARY, "content": "<pad>"}]
    path.write_text(json.dumps({"model": {"vocab": {"a": 0, "b": VOCABULARY - 1}}}))
    load_pretrained(folder)
    path.write_text(json.dumps({"model": {"vocab": {"a": 0}}, "added_tokens": added}))
    load_pretrained(folder)  # a padding token; a text that holds it is refused when it is packed
    with pytest.raises(PretrainedError, match="largest token id is 67, but the model's vocabulary is 67"):
        check_vocabulary(path, VOCABULARY)
    path.write_text(json.dumps({"model": {"vocab": [["a", -1.0]] * 70}}))  # Unigram
    with pytest.raises(PretrainedError, match="largest token id is 69"):
        check_vocabulary(path, 69)
    path.write_text("{}")
    refused(folder, str(path), "not a tokenizer.json")


@pytest.fixture
def hub(hub_models, monkeypatch, tmp_path):
    """A hub of one repository, some/model; the names that are asked of it."""
    asked = []
    commit = tmp_path / "snapshots" / ("a" * 40)

    def download(repository, name, *, repo_type, revision, local_files_only):
        asked.append(name)
        remote = tmp_path / "remote" / name
        if repository != "some/model" or not remote.is_file():
            raise errors.RemoteEntryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))
        commit.mkdir(parents=True, exist_ok=True)
        return shutil.copy(remote, commit / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(commit))
    hub_models("qwen3")[0].save_pretrained(tmp_path / "remote", max_shard_size="20KB")
    (tmp_path / "remote/pytorch_model.bin").write_bytes(b"a pickle")
    return asked


@pytest.mark.parametrize("revision", ["b" * 40, None], ids=["pinned", "newest"])
def test_of_a_hub_id_only_what_is_needed_is_fetched(hub, hub_models, revision):
    loaded = load_pretrained("some/model", revision=revision)
    assert relative_error(hub_models("qwen3")[0], loaded.decoder, tokens(20)) <= 1e-5
    shards = [name for name in hub if name.startswith("model-")]
    assert len(shards) > 2
    fixed = {"config.json", "model.safetensors", "model.safetensors.index.json"}
    assert set(hub) == fixed | set(shards) | {"tokenizer.json"}


def test_with_a_tokenizer_of_the_hub_comes_what_says_which_token_is_its_bos(hub, tmp_path):
    (tmp_path / "remote/tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}}))
    load_pretrained("some/model", revision="b" * 40)
    beside = {"tokenizer_config.json", "special_tokens_map.json", "config.json", "generation_config.json"}
    assert beside <= set(hub)


def test_a_hub_that_fails_is_not_taken_for_one_without_the_file(hub, tmp_path, monkeypatch):
    """Else the BOS would be looked for elsewhere, and another might be found."""
    (tmp_path / "remote/tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}}))
    (tmp_path / "remote/tokenizer_config.json").write_text("{}")
    download = huggingface_hub.hf_hub_download

    def failing(repository, name, **options):
        if name == "tokenizer_config.json":
            raise TimeoutError("the hub does not answer")
        return download(repository, name, **options)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", failing)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(PretrainedError, match=r"'tokenizer_config.json' of model some/model .* does not answer"):
        load_pretrained("some/model", revision="b" * 40)


def refusing(names: dict[str, Exception], monkeypatch) -> None:
    """Let the hub fail for these files, in other ways than by not having them."""
    download = huggingface_hub.hf_hub_download

    def failing(repository, name, **options):
        if name in names:
            raise names[name]
        return download(repository, name, **options)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", failing)


def test_weights_that_cannot_be_stored_are_not_called_weights_of_another_format(hub, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    refusing({"model.safetensors": full}, monkeypatch)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(PretrainedError, match=r"'model.safetensors' .* cannot be downloaded: .*No space left on"):
        load_pretrained("some/model", revision="b" * 40)
    assert "model.safetensors.index.json" not in hub


def test_offline_the_weights_of_the_cache_may_be_in_shards(hub, monkeypatch):
    """Of a model in shards the cache does not say that the hub has no single file."""
    refusing({"model.safetensors": errors.LocalEntryNotFoundError("not in the cache")}, monkeypatch)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    load_pretrained("some/model", revision="b" * 40)
    assert any(name.startswith("model-") for name in hub)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (errors.HTTPError, "the newest commit of some/model is not known: 407 Proxy Authentication Required; pin a"),
        (errors.RepositoryNotFoundError, "some/model: no such repository, or it is private; check the id"),
        (errors.GatedRepoError, "some/model is gated: accept its terms"),
    ],
)
def test_why_the_newest_commit_is_not_known_is_one_line(hub, monkeypatch, kind, said):
    def snapshot(*_, **__):
        more = {} if kind is errors.HTTPError else {"response": SimpleNamespace(headers={}, request=None)}
        raise kind("407 Proxy Authentication Required\nMore of it", **more)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(PretrainedError) as error:
        load_pretrained("some/model")
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_hub_model_that_cannot_be_read_is_refused_before_its_weights_are_fetched(hub, tmp_path):
    edit_config(tmp_path / "remote", hidden_act="gelu")
    with pytest.raises(PretrainedError, match="hidden_act"):
        load_pretrained("some/model", revision="b" * 40)
    assert hub == ["config.json"]
    edit_config(tmp_path / "remote", hidden_act="silu")
    (tmp_path / "remote/model.safetensors.index.json").unlink()
    with pytest.raises(PretrainedError, match=r"'model.safetensors' of model some/model .*only weights in safetensors"):
        load_pretrained("some/model", revision="b" * 40)


def test_a_source_that_is_nothing_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for source, revision, reason in [
        (tmp_path / "absent", None, "neither a folder nor a hub id"),
        (tmp_path, "b" * 40, "revision = .* with the local folder"),
        ("some/model", "main", "revision = 'main' of some/model can move"),
        ("some/model", "b" * 40, "'config.json' of model some/model at b+ cannot be reached"),
        ("some/model", None, "newest commit of some/model is not known.*pin a revision"),
    ]:
        with pytest.raises(PretrainedError, match=reason) as error:
            load_pretrained(source, revision=revision)
        assert "\n" not in str(error.value)


def test_a_cached_hub_model_needs_no_network_and_reading_needs_no_transformers(hub_models, tmp_path):
    """In a fresh process, as the command: the cache's own layout, HF_HUB_OFFLINE, and what is imported."""
    commit = "c" * 40
    snapshot = tmp_path / "hub/models--some--model/snapshots" / commit
    shutil.copytree(hub_models("qwen3")[1], snapshot)
    (tmp_path / "hub/models--some--model/refs").mkdir()
    (tmp_path / "hub/models--some--model/refs/main").write_text(commit)
    code = (
        "import sys; from spikesink.pretrained import __main__, load\n"
        "from spikesink.pretrained.formats import PretrainedError\n"
        f"load.load_pretrained({str(snapshot)!r})\n"
        "heavy = {'transformers', 'lightning', 'datasets', 'tokenizers', 'huggingface_hub', 'polars'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        f"load.load_pretrained('some/model', revision={commit!r})\n"
        "sys.argv = ['pretrained', 'check', 'some/model']\n"
        "assert __main__.main() == 0\n"
        f"sys.argv = ['pretrained', 'check', {str(tmp_path)!r}]\n"
        "sys.exit(__main__.main())"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    environment = {name: value for name, value in environment.items() if name != "HF_HUB_CACHE"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert result.returncode == 1, result.stderr
    assert result.stdout.strip() == (
        f"some/model loads: Qwen3ForCausalLM, {hub_models('qwen3')[0].num_parameters():,} parameters in float32, "
        "vocabulary 67, 512 positions"
    )
    assert result.stderr.strip() == (
        f"error: {tmp_path / 'config.json'} is missing: name a folder in the format of the Hugging Face hub"
    )


def test_checking_reads_no_weights(hub_models):
    assert all(tensor.is_meta for tensor in checked(hub_models("llama3")[1]).decoder.state_dict().values())


@pytest.mark.parametrize("value, is_number", [(float("nan"), False), (3e38, False), (0.0, True)])
def test_a_model_that_computes_no_numbers_is_not_measured(saved, value, is_number):
    """Of damaged weights and of an overflow the tables would be full of NaN."""
    folder = saved("llama")
    edit_weights(folder, lambda state: state["model.layers.0.mlp.down_proj.weight"].fill_(value))
    stream = SimpleNamespace(tokens=np.arange(30, dtype=np.uint16))
    decoder = load_pretrained(folder).decoder
    if is_number:
        check_finite(decoder, stream, str(folder))
        return
    with pytest.raises(
        InputError, match=f"^{folder}: the model's logits are no finite numbers, so its weights are dam"
    ):
        check_finite(decoder, stream, str(folder))
