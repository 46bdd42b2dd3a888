"""The JSON schema of config.yaml, generated from the settings.

``python -m spikesink.study.schema > workflow/schemas/config.schema.json`` writes it.
"""

import json

from pydantic import TypeAdapter

from spikesink.study.settings import Config, Model, Training


def config_schema() -> dict:
    """Draft 2020-12 schema of a config or an overlay: every key optional, no unknown key.

    Keys are optional because an overlay holds only what it changes; completeness is checked when the study is resolved.
    The overrides of a variant have the shape of the model and the training that they override.
    """
    schema = TypeAdapter(Config).json_schema()
    definitions = schema["$defs"]
    for kind in (Model, Training):
        definitions |= TypeAdapter(kind).json_schema().get("$defs", {})
    for definition in (schema, *definitions.values()):
        definition.pop("required", None)
        definition.pop("title", None)
        for value in definition.get("properties", {}).values():
            value.pop("title", None)
    overrides = definitions["Variant"]["properties"]
    for name, kind in (("model", "Model"), ("training", "Training")):
        overrides[name] = {
            "anyOf": [{"$ref": f"#/$defs/{kind}"}, {"type": "null"}],
            "default": None,
            "description": overrides[name]["description"],
        }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "spikesink study", **schema}


if __name__ == "__main__":
    print(json.dumps(config_schema(), indent=2))
