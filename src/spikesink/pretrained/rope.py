"""The rotary frequencies that a config.json asks for."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from spikesink.pretrained.architectures import Architecture
from spikesink.pretrained.keys import field, unsupported
from spikesink.study.settings import RopeScaling

ROPE_SCALING = {
    "factor": "factor",
    "low_freq_factor": "low_frequency_factor",
    "high_freq_factor": "high_frequency_factor",
    "original_max_position_embeddings": "original_positions",
}
"""Llama 3's rope settings by their names in config.json."""
FULL, SLIDING = "full_attention", "sliding_attention"
LOCAL_THETA = 10_000.0
"""Gemma 3's base in layers with a window where config.json says none."""


class Rope(NamedTuple):
    """The rotary frequencies of a kind of layer."""

    theta: float
    scaling: RopeScaling | None
    share: float
    """Of a head's channels that rotate."""


def ropes(config: Mapping[str, Any], facts: Architecture) -> tuple[Rope, Rope | None]:
    """The frequencies of layers that see all positions, and of those with a window where these have their own.

    From rope_theta and rope_scaling (transformers 4) or rope_parameters (5). Raises ValueError.
    """
    key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
    rope = config.get(key) or {}
    if not isinstance(rope, Mapping):
        raise ValueError(f"{key} = {json.dumps(rope)} is not an object")
    outside = {name: config.get(name) for name in ("rope_theta", "partial_rotary_factor")}
    if facts.windows != "pattern":
        return one_rope(rope, key, outside, facts), None
    local = {"rope_theta": config.get("rope_local_base_freq")}
    if key == "rope_scaling" and config.get("rope_parameters"):
        raise unsupported(key, rope, "null beside rope_parameters")
    if key == "rope_scaling" or not rope:
        return one_rope(rope, key, outside, facts), one_rope({}, key, local, facts._replace(theta=LOCAL_THETA))
    for name in rope:
        if name not in (FULL, SLIDING):
            raise ValueError(
                f"{key}.{name} is not supported beside {FULL} and {SLIDING}: choose a checkpoint without it"
            )
    found = []
    for name, given, theta in ((FULL, outside, facts.theta), (SLIDING, local, LOCAL_THETA)):
        if not isinstance(rope.get(name) or {}, Mapping):
            raise ValueError(f"{key}.{name} = {json.dumps(rope[name])} is not an object")
        found.append(one_rope(rope.get(name) or {}, f"{key}.{name}", given, facts._replace(theta=theta)))
    if found[1].scaling is not None:
        raise unsupported(f"{key}.{SLIDING}.rope_type", "llama3", '"default"')
    return found[0], found[1]


def one_rope(rope: Mapping[str, Any], key: str, outside: Mapping[str, Any], facts: Architecture) -> Rope:
    """The frequencies that an object of config.json with the path ``key`` asks for; ``outside`` has what it lacks."""
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in ("default", "llama3"):
        raise unsupported(f"{key}.rope_type", kind, '"default" and "llama3"')
    known = {"rope_type", "type", "rope_theta", *(ROPE_SCALING if kind == "llama3" else ())}
    if facts.rotary_share is not None:
        known.add("partial_rotary_factor")
    for name, value in rope.items():
        if name == "partial_rotary_factor" and value in (None, 1.0):
            continue
        if name not in known:
            raise ValueError(f"{key}.{name} is not supported with rope_type {kind!r}: choose a checkpoint without it")
    given = {**outside, **rope}
    theta, share = field(given, "rope_theta", float, facts.theta), 1.0
    if facts.rotary_share is not None:
        share = field(given, "partial_rotary_factor", float, facts.rotary_share)
    if share > 1:
        raise unsupported("partial_rotary_factor", share, "a share up to 1")
    if kind == "default":
        return Rope(theta, None, share)
    kinds = {name: int if name == "original_max_position_embeddings" else float for name in ROPE_SCALING}
    scaling = RopeScaling(**{ours: field(rope, name, kinds[name]) for name, ours in ROPE_SCALING.items()})
    return Rope(theta, scaling, share)
