"""Our settings from the config.json of a Hugging Face Llama or Qwen checkpoint, and the other way.

It writes the keys of transformers 4, which version 5 and other readers understand too. It reads the keys of both.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spikesink.pretrained.keys import check_keys, unsupported
from spikesink.runs.lfs import PULL, is_lfs_pointer
from spikesink.study.kinds import VALVES
from spikesink.study.settings import Attention, FeedForward, Gate, Initialisation, Model, Norm, RopeScaling, Valve

CONFIG = "config.json"
LLAMA, QWEN2, QWEN3 = "LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"
MODEL_TYPES = {LLAMA: "llama", QWEN2: "qwen2", QWEN3: "qwen3"}
# Llama 3's rope settings by their names in config.json.
ROPE_SCALING = {
    "factor": "factor",
    "low_freq_factor": "low_frequency_factor",
    "high_freq_factor": "high_frequency_factor",
    "original_max_position_embeddings": "original_positions",
}


class PretrainedError(ValueError):
    """A checkpoint that cannot be read or written. The message is one line: file, tensor or field, what to do."""


def refuse_pointer(path: Path) -> None:
    """Raise PretrainedError for a Git LFS pointer. What else is wrong with the file is left to its reader."""
    with suppress(OSError):
        if is_lfs_pointer(path):
            raise PretrainedError(f"{path} {PULL}")


@dataclass(frozen=True)
class Described:
    """What a config.json says."""

    architecture: str
    """Name of the architecture in transformers."""
    settings: Model
    """Our settings of the same model."""
    vocabulary: int
    """Number of token ids."""
    positions: int
    """Longest context that the model was made for, in tokens."""
    output_bias: bool = False
    """Whether the checkpoint has a bias after the output projection; ours has none, so only zeros can be read."""


def read_config(folder: Path) -> Described:
    """Read config.json. Raises PretrainedError."""
    path = folder / CONFIG
    refuse_pointer(path)
    try:
        config = json.loads(path.read_bytes())
        if not isinstance(config, dict):
            raise ValueError("it is not a JSON object")
    except FileNotFoundError:
        raise PretrainedError(f"{path} is missing: name a folder in the format of the Hugging Face hub") from None
    except (OSError, ValueError) as error:
        raise PretrainedError(f"{path} cannot be read ({error}): download it again") from None
    try:
        return from_config(config)
    except ValueError as error:
        raise PretrainedError(f"{path}: {error}") from None


def from_config(config: Mapping[str, Any]) -> Described:
    """Our settings for the content of a config.json. Raises ValueError that names a field our decoder cannot follow."""
    architecture = supported_architecture(config)
    check_keys(config, has_window_switch=architecture != LLAMA)
    layer_types = config.get("layer_types") or ()
    for layer_type in layer_types:
        if layer_type != "full_attention":
            raise unsupported("layer_types", layer_type, '"full_attention"')
    attention_bias = architecture != QWEN2 and field(config, "attention_bias", bool, False)
    heads, width = field(config, "num_attention_heads", int), field(config, "hidden_size", int)
    theta, scaling = rope(config)
    is_null = "num_key_value_heads" in config  # null means as many as heads; without the key Qwen has another default
    # The defaults are those of the architecture in transformers, which leaves some keys out.
    return Described(
        architecture=architecture,
        settings=Model(
            layers=field(config, "num_hidden_layers", int),
            d_model=width,
            attention=Attention(
                heads=heads,
                head_dim=field(config, "head_dim", int, None if architecture == QWEN3 else width // heads),
                kv_heads=field(config, "num_key_value_heads", int, heads if architecture == LLAMA or is_null else None),
                rope_theta=theta,
                rope_scaling=scaling,
                qkv_bias=architecture == QWEN2 or attention_bias,
                qk_norm=architecture == QWEN3,
            ),
            feed_forward=FeedForward(width=field(config, "intermediate_size", int)),
            norm=Norm(eps=field(config, "rms_norm_eps", float)),
            tied_embeddings=field(config, "tie_word_embeddings", bool, False),
        ),
        vocabulary=field(config, "vocab_size", int),
        positions=field(config, "max_position_embeddings", int),
        output_bias=attention_bias,
    )


def supported_architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    if not isinstance(names, list) or len(names) != 1 or names[0] not in MODEL_TYPES:
        raise ValueError(f"architectures = {json.dumps(names)} is not supported: only {', '.join(MODEL_TYPES)} are")
    if config.get("model_type") not in (None, MODEL_TYPES[names[0]]):  # by which transformers chooses the class
        raise unsupported("model_type", config["model_type"], f'"{MODEL_TYPES[names[0]]}" for {names[0]}')
    return names[0]


def rope(config: Mapping[str, Any]) -> tuple[float, RopeScaling | None]:
    """Base and scaling, from rope_theta and rope_scaling (transformers 4) or rope_parameters (5)."""
    key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
    rope = config.get(key) or {}
    if not isinstance(rope, Mapping):
        raise ValueError(f"{key} = {json.dumps(rope)} is not an object")
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in ("default", "llama3"):
        raise unsupported(f"{key}.rope_type", kind, '"default" and "llama3"')
    known = {"rope_type", "type", "rope_theta", *(ROPE_SCALING if kind == "llama3" else ())}
    for name, value in rope.items():
        if name == "partial_rotary_factor" and value in (None, 1.0):
            continue
        if name not in known:
            raise ValueError(f"{key}.{name} is not supported with rope_type {kind!r}: choose a checkpoint without it")
    theta = field({**config, **rope}, "rope_theta", float, 10_000.0)
    if kind == "default":
        return theta, None
    kinds = {name: int if name == "original_max_position_embeddings" else float for name in ROPE_SCALING}
    return theta, RopeScaling(**{ours: field(rope, name, kinds[name]) for name, ours in ROPE_SCALING.items()})


def field(config: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """The field ``name``. Raises ValueError where it is missing, not of type ``kind``, or a number below or at 0."""
    value = config.get(name)
    value = default if value is None else value
    if value is None:
        raise ValueError(f"{name} is missing: use the config.json that belongs to the weights")
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} = {json.dumps(value)} is not of type {kind.__name__}")
    if kind is not bool and not 0 < value < math.inf:
        raise ValueError(f"{name} = {value} must be a number greater than 0")
    return value


def to_config(settings: Model, vocabulary: int, positions: int) -> dict[str, Any]:
    """The content of config.json for a model with these settings, as Llama, or as Qwen3 with norms on queries and keys.

    Raises PretrainedError that names every setting for which the format has no place. A model with biases on queries,
    keys and values gets a bias of 0 after the output projection too, which these formats tie to the others. Qwen2 has
    no such bias, but its model type makes transformers split text as Qwen does, whatever the tokenizer says.
    """
    shape = settings.attention
    architecture = QWEN3 if shape.qk_norm else LLAMA
    config = {
        "architectures": [architecture],
        "model_type": MODEL_TYPES[architecture],
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "num_hidden_layers": settings.layers,
        "hidden_size": settings.d_model,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.head_dim,
        "attention_bias": shape.qkv_bias,
        "rope_theta": float(shape.rope_theta),
        "rope_scaling": None,
        "intermediate_size": settings.feed_forward.width,
        "hidden_act": "silu",
        "rms_norm_eps": float(settings.norm.eps),
        "tie_word_embeddings": settings.tied_embeddings,
        "dtype": "float32",
    }
    if shape.rope_scaling is not None:
        scaling = asdict(shape.rope_scaling)
        config["rope_scaling"] = {"rope_type": "llama3"} | {name: scaling[ours] for name, ours in ROPE_SCALING.items()}
    # What a reader would make of it is compared with the settings: a setting that this file does not know is refused.
    wanted, held = leaves(computed(settings)), leaves(from_config(config).settings)
    lost = [f"{name} = {value!r}" for name, value in wanted.items() if held.get(name) != value]
    if architecture == LLAMA and settings.d_model % shape.heads:
        lost.append(f"model.attention.heads = {shape.heads}, no divisor of model.d_model = {settings.d_model}")
    if lost:
        raise PretrainedError(
            f"{', '.join(lost)}: the {architecture} format has no place for that, export a variant without it"
        )
    return config


def computed(settings: Model) -> Model:
    """The settings, with every one that does not change the forward pass set to its default."""
    value, key = (
        Valve() if valve.kind in VALVES and not VALVES[valve.kind].changes_forward else valve
        for valve in (settings.value_valve, settings.key_valve)
    )
    return replace(
        settings,
        attention=replace(settings.attention, kv_heads=settings.attention.key_value_heads),
        norm=Norm(kind=settings.norm.kind, eps=settings.norm.eps),
        gate=Gate() if settings.gate.kind == "none" else settings.gate,
        value_valve=value,
        key_valve=key,
        initialisation=Initialisation(),
    )


def leaves(settings: Model) -> dict[str, Any]:
    """Every single setting by its path, such as model.norm.kind."""

    def walk(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        for name, item in value.items():
            if isinstance(item, Mapping):
                yield from walk(item, f"{path}.{name}")
            else:
                yield f"{path}.{name}", item

    return dict(walk(asdict(settings), "model"))
