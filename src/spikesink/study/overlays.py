"""Overlays: what a later file makes of the files before it, beyond a merge key by key."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from spikesink.study.errors import ConfigError
from spikesink.study.shared import ABLATIONS, SCALES, read_shared
from spikesink.study.strict_yaml import merge

OF_SCALE = ("corpus", "evaluation", "tokenizer", "model", "training", "pretrained", "measures", "resources")
"""Sections that a study takes from the file of its scale."""
NEEDED = ("corpus", "tokenizer", "model", "training")
"""Those of them that have no default."""


def without_scale(content: dict[str, Any], workflow: Path) -> dict[str, Any]:
    """The content of a file without the sections that it has as the file of its scale has them.

    They are put beneath the config anyway. So the file of a scale gives way to another scale that a later file names.
    """
    sections = read_shared(workflow, SCALES, content.get("scale"))
    return {
        key: value
        for key, value in content.items()
        if key not in OF_SCALE or key not in sections or value != sections[key]
    }


def overlaid(base: Mapping, overlay: Mapping, workflow: Path, name: str) -> dict[str, Any]:
    """``overlay`` over ``base``; null removes what ``base`` itself has. Raises ConfigError that names the overlay.

    A variant of workflow/ablations stays null, which says that the study does without it.
    """
    before, after = base.get("scale"), overlay.get("scale")
    if before and after and before != after and all(key in base for key in NEEDED):
        raise ConfigError(
            f"{name}: scale = {after!r} would change nothing, because the files before it have all settings of scale "
            f"{before!r}: leave these sections out there, or give the file of {after!r} after --configfile"
        )
    merged = merge(base, overlay)
    drop(merged, base, overlay, "cross", f"{name}: cross")
    drop(merged, base, overlay, "variants", f"{name}: variants")
    for ablation in mapping(overlay.get("variants")):
        inside = [mapping(config.get("variants")) for config in (merged, base, overlay)]
        drop(*inside, ablation, f"{name}: variants.{ablation}", keep=read_shared(workflow, ABLATIONS, ablation))
        if inside[0].get(ablation) == {} != inside[2][ablation]:
            del merged["variants"][ablation]
    return merged


def drop(
    merged: dict, base: Mapping, overlay: Mapping, section: str, path: str, keep: Collection[str] = frozenset()
) -> None:
    """Take out of a section of ``merged`` what ``base`` has there and ``overlay`` sets to null, but not ``keep``.

    Raises ConfigError where there is nothing to take out.
    """
    own, changes = mapping(base.get(section)), mapping(overlay.get(section))
    gone = [key for key, value in changes.items() if value is None and key not in keep]
    for key in gone:
        if key not in own:
            known = ", ".join([*own, *keep][:20]) or "nothing to remove"
            raise ConfigError(f"{path}.{key} = null removes nothing: before it there is {known}; correct the name")
    if gone:
        merged[section] = {key: value for key, value in merged[section].items() if key not in gone}


def mapping(value: Any) -> Mapping:
    """The value where it is a mapping, else an empty one: its check says what is wrong."""
    return value if isinstance(value, Mapping) else {}
