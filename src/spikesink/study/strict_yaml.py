"""YAML files, read strictly, and merged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spikesink.study.errors import ConfigError

# The same parser in C, where PyYAML was built with it, reads a large study in a seventh of the time.
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UniqueKeys(SafeLoader):
    """YAML in which a mapping that names a key twice is an error instead of a silent loss."""

    def construct_document(self, node: yaml.Node) -> Any:
        """Plain values straight from the nodes: half the time of PyYAML's way, which allows for cycles."""
        if isinstance(node, yaml.MappingNode):
            return self.construct_unique(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.construct_document(item) for item in node.value]
        constructor = self.yaml_constructors.get(node.tag, self.yaml_constructors[None])
        return constructor(self, node)

    def construct_unique(self, node: yaml.MappingNode) -> dict:
        content = {}
        for key_node, value_node in node.value:
            key = self.construct_document(key_node)
            where = key_node.start_mark
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{where.name}, line {where.line + 1}: {key!r} cannot be a key: use a name")
            if key in content:
                raise ConfigError(
                    f"{where.name}, line {where.line + 1}: {key!r} stands twice here: rename or remove one"
                )
            content[key] = self.construct_document(value_node)
        return content


def read_yaml(path: Path | str) -> dict:
    """A YAML mapping from a file; a duplicate key, bad syntax or a missing file raises ConfigError."""
    try:
        with open(path) as file:
            content = yaml.load(file, UniqueKeys)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not valid YAML ({getattr(error, 'problem', error)})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds a {type(content).__name__}, not a mapping of keys")
    return content


def merge(base: Mapping, overlay: Mapping) -> dict:
    """``overlay`` over ``base``: mappings merge key by key, anything else replaces (as Snakemake merges configs)."""
    merged = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = merge(merged[key], value)
        merged[key] = value
    return merged
