"""The error of the data steps about text."""


class CorpusError(ValueError):
    """A corpus that cannot be read; the message names file or key, value and what to do."""
