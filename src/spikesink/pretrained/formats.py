"""Our settings from the config.json of a Hugging Face checkpoint, and the other way for Llama and Qwen3.

It writes the keys of transformers 4, which version 5 and other readers understand too. It reads the keys of both.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spikesink.pretrained.architectures import ARCHITECTURES, Architecture
from spikesink.pretrained.keys import check_keys, field, unsupported
from spikesink.pretrained.rope import ROPE_SCALING, Rope, ropes
from spikesink.runs.lfs import PULL, is_lfs_pointer
from spikesink.study.kinds import VALVES
from spikesink.study.settings import Attention, FeedForward, Gate, Initialisation, Model, Norm, Valve, Window

CONFIG = "config.json"
LLAMA, QWEN3 = "LlamaForCausalLM", "Qwen3ForCausalLM"


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
    name = supported_architecture(config)
    facts = ARCHITECTURES[name]
    check_keys(config, facts)
    layers = field(config, "num_hidden_layers", int)
    heads, width = field(config, "num_attention_heads", int), field(config, "hidden_size", int)
    head_dim = field(config, "head_dim", int, width // heads if facts.head_dim else None)
    attention_bias = not facts.qkv_bias and field(config, "attention_bias", bool, facts.attention_bias)
    is_null = "num_key_value_heads" in config  # null means as many as heads; without the key most have another default
    rotary, windowed = ropes(config, facts)
    scalar = float(head_dim)
    if "query_pre_attn_scalar" in facts.reads:
        scalar = field(config, "query_pre_attn_scalar", float, 256.0)
    # The defaults are those of the architecture in transformers, which leaves some keys out.
    return Described(
        architecture=name,
        settings=Model(
            layers=layers,
            d_model=width,
            attention=Attention(
                heads=heads,
                head_dim=head_dim,
                kv_heads=field(config, "num_key_value_heads", int, heads if facts.key_value_heads or is_null else None),
                rope_theta=rotary.theta,
                rope_scaling=rotary.scaling,
                rotary_channels=None if rotary.share == 1 else int(head_dim * rotary.share),
                score_scale=None if scalar == head_dim else scalar**-0.5,
                window=window(config, facts, layers, windowed),
                qkv_bias=facts.qkv_bias or attention_bias,
                qk_norm=facts.qk_norm,
            ),
            feed_forward=FeedForward(kind=facts.feed_forward, width=field(config, "intermediate_size", int)),
            norm=Norm(kind=facts.norm, eps=field(config, "rms_norm_eps", float)),
            tied_embeddings=field(config, "tie_word_embeddings", bool, facts.tied),
            scaled_embeddings=facts.scaled_embeddings,
        ),
        vocabulary=field(config, "vocab_size", int),
        positions=field(config, "max_position_embeddings", int),
        output_bias=attention_bias and facts.output_bias,
    )


def supported_architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    if names not in [[name] for name in ARCHITECTURES]:
        raise ValueError(f"architectures = {json.dumps(names)} is not supported: only {', '.join(ARCHITECTURES)} are")
    model_type = ARCHITECTURES[names[0]].model_type
    if config.get("model_type") not in (None, model_type):  # by which transformers chooses the class
        raise unsupported("model_type", config["model_type"], f'"{model_type}" for {names[0]}')
    return names[0]


def window(config: Mapping[str, Any], facts: Architecture, layers: int, rotary: Rope | None) -> Window | None:
    """The sliding windows of the layers; None: there are none. ``rotary``: the angles of these layers."""
    kinds = config.get("layer_types")
    if not isinstance(kinds, list | None):
        raise ValueError(f"layer_types = {json.dumps(kinds)} is not a list: use the config.json of the weights")
    if facts.windows != "pattern":
        for kind in kinds or ():
            if kind != "full_attention":
                raise unsupported("layer_types", kind, '"full_attention"')
        is_off = "sliding_window" in config and config["sliding_window"] is None
        return None if facts.windows is None or is_off else Window(size=field(config, "sliding_window", int, 4096))
    if kinds is None:
        every = field(config, "sliding_window_pattern", int, 6)
        kinds = ["sliding_attention" if (layer + 1) % every else "full_attention" for layer in range(layers)]
    for kind in kinds:
        if kind not in ("full_attention", "sliding_attention"):
            raise unsupported("layer_types", kind, '"full_attention" and "sliding_attention"')
    if len(kinds) != layers:
        raise ValueError(
            f"layer_types has {len(kinds)} entries for {layers} layers: use the config.json of the weights"
        )
    chosen = tuple(layer for layer, kind in enumerate(kinds) if kind == "sliding_attention")
    if not chosen:
        return None
    return Window(size=field(config, "sliding_window", int, 4096), layers=chosen, rope_theta=rotary.theta)


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
        "model_type": ARCHITECTURES[architecture].model_type,
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
