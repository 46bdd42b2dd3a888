"""Errors that the user can fix. Each message is one line that names what was found and what to do."""

AFFECTS_RESULTS = False


class ConfigError(ValueError):
    """A config that cannot be run. The message is one line: key, value, remedy."""


class InputError(ValueError):
    """An input that cannot be used. The message is one line: file, fault, remedy."""


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its type where it says nothing: for a message of one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
