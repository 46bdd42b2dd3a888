"""Passwords and tokens in addresses: refused in a config, and masked in whatever is printed.

A config is published, copied into records and given to programs as an argument, which every user of a machine can read.
So a secret never stands in it. MLflow reads its own from the environment or from ~/.mlflow/credentials.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from spikesink.study.errors import ConfigError, without_secrets

AFFECTS_RESULTS = False


def refuse_secrets(config: Mapping[str, Any]) -> None:
    """Raises ConfigError where a text of a config, at any depth, is an address with a password or a token in it."""
    for path, text in texts(config, ""):
        if without_secrets(text) != text:
            raise ConfigError(
                f"{path} = {without_secrets(text)}: holds a password or a token, and a config is published: take it "
                "out. MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, "
                "from the environment, PostgreSQL reads PGPASSWORD, the hub HF_TOKEN"
            )


def texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a config with its path, keys included."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield path or "config", str(key)
            yield from texts(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from texts(item, f"{path}[{number}]")
