"""The JSON schema of config.yaml, generated from the settings.

``python -m spikesink.study.schema > workflow/schemas/config.schema.json`` writes it.
"""

import json
import re
from copy import deepcopy
from typing import Any

from pydantic import TypeAdapter

from spikesink.study import settings
from spikesink.study.docstrings import field_texts
from spikesink.study.multiples import MULTIPLE
from spikesink.study.settings import Config, Model, Training

MULTIPLE_TEXT = {"type": "string", "pattern": f"^{MULTIPLE.pattern}$"}


def config_schema() -> dict:
    """Draft 2020-12 schema of a config, a scale or an overlay: every key optional, no unknown key.

    Keys are optional because an overlay holds only what it changes; completeness is checked when the study is resolved.
    What differs in a variant has the shape of the model and the training; there a number may be a multiple too, "0.5x".
    """
    schema = TypeAdapter(Config).json_schema()
    definitions = schema.pop("$defs")
    for kind in (Model, Training):
        definitions |= TypeAdapter(kind).json_schema().get("$defs", {})
    describe(schema, Config)
    for name, definition in definitions.items():
        describe(definition, getattr(settings, name))
    changes = {f"{name}Change": with_multiples(definitions[name]) for name in shapes(definitions, "Model", "Training")}
    overrides = definitions["Variant"]["properties"]
    for name, kind in (("model", "ModelChange"), ("training", "TrainingChange")):
        overrides[name] |= {"anyOf": [{"$ref": f"#/$defs/{kind}"}, {"type": "null"}]}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "spikesink study"}
    return {**head, "$defs": definitions | changes, **schema}


def describe(definition: dict, kind: type) -> None:
    """Give every key of a definition its text; no key is required or has a title."""
    definition.pop("required", None)
    definition.pop("title", None)
    for name, text in field_texts(kind).items():
        value = definition["properties"][name]
        value.pop("title", None)
        value["description"] = re.sub(r"\s*\n\s*", " ", text)


def shapes(definitions: dict, *names: str) -> list[str]:
    """These definitions and all that they refer to."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += re.findall(r'"#/\$defs/(\w+)"', json.dumps(definitions[name]))
    return found


def with_multiples(definition: dict) -> dict:
    """The definition for a variant: a multiple may stand in place of a number, and no key has a default."""
    changed = deepcopy(definition)
    for name, value in changed["properties"].items():
        value.pop("default", None)
        changed["properties"][name] = allow_multiples(value)
    return changed


def allow_multiples(value: Any) -> Any:
    if isinstance(value, list):
        return [allow_multiples(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") in ("integer", "number"):
        number = {key: item for key, item in value.items() if key != "description"}
        rest = {key: item for key, item in value.items() if key == "description"}
        return {"anyOf": [number, MULTIPLE_TEXT], **rest}
    if "$ref" in value:
        return value | {"$ref": f"{value['$ref']}Change"}
    return {key: allow_multiples(item) for key, item in value.items()}


if __name__ == "__main__":
    print(json.dumps(config_schema(), indent=2))
