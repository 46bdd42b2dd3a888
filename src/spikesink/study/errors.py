"""The errors that are a user's to mend: each message is one line that names what was found and what to do."""

AFFECTS_RESULTS = False


class ConfigError(ValueError):
    """A config that cannot be run. The message is one line: key, value, remedy."""


class InputError(ValueError):
    """An input that cannot be used. The message is one line: file, fault, remedy."""
