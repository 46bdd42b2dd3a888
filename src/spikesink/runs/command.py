"""What the package's command lines share: an expected error is one line, not a traceback."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import wraps

from spikesink.runs.disk_faults import in_one_line
from spikesink.study.errors import ConfigError, InputError, one_line

AFFECTS_RESULTS = False


def one_line_errors(*expected: type[Exception]) -> Callable[[Callable[..., int | None]], Callable[..., int]]:
    """A decorator for ``main``: an expected error becomes ``error: ...`` on standard error and exit status 1.

    ``expected`` are the errors of this command, beside InputError, ConfigError and the system's errors on files. What
    ``main`` returns is the exit status, where it returns nothing 0.
    """

    def decorate(main: Callable[..., int | None]) -> Callable[..., int]:
        @wraps(main)
        def command(*arguments: object) -> int:
            try:
                return main(*arguments) or 0
            except (InputError, ConfigError, OSError, *expected) as error:
                print(f"error: {said(error)}", file=sys.stderr)
                return 1

        return command

    return decorate


def number_from(least: int) -> Callable[[str], int]:
    """A ``type`` of an argparse option: a whole number that is not below ``least``."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return value

    return number


def stay_offline() -> None:
    """Let Hugging Face's libraries use what has been fetched and open no connection; to be called before their import.

    Only the jobs that run where Snakemake runs fetch: those of the corpus and of published models.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"


def said(error: Exception) -> str:
    """What the error says, in one line; of the system's errors the file, the fault and what to do."""
    return one_line(in_one_line(error) if isinstance(error, OSError) and error.strerror else str(error))
