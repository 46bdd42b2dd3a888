"""Snakemake's command line, checked before Snakemake reads anything: files after --configfile, values after --config.

profiles/default calls ``check_command_line``. Snakemake would answer a faulty one with a traceback, before it reads the
Snakefile. Here it is also seen to that the folder can be written, and that libraries have a cache.
"""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from spikesink.study.errors import ConfigError
from spikesink.study.strict_yaml import read_yaml

CACHE = Path(".snakemake/cache")
VALUE = re.compile(r"[A-Za-z_][\w-]*\w=.*", re.S)


def check_command_line(arguments: Sequence[str]) -> None:
    """End the program with one line where a file cannot be read, a value has no name, or the folder is another's."""
    check_writable()
    find_a_cache()
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--configfile", "--configfiles", nargs="*", action="append", default=[])
    parser.add_argument("--config", "-C", nargs="*", action="append", default=[])
    try:
        options, _ = parser.parse_known_args(arguments)
        for path in all_of("--configfile", options.configfile):
            if not Path(path).suffix and not Path(path).exists():
                raise ConfigError(
                    f"{path}: all that stands after --configfile is taken for its files, and this is none: "
                    f"write -- before what is to be made: --configfile FILE -- {path}"
                )
            read_yaml(path)
        names = set()
        for value in all_of("--config", options.config):
            if not VALUE.fullmatch(value):
                raise ConfigError(
                    f"--config {value}: is no key=value: write for example study=mine, and -- before what is to be made"
                )
            if (name := value.partition("=")[0]) in names:
                raise ConfigError(f"--config: {name!r} stands twice: remove one")
            names.add(name)
    except ConfigError as error:
        raise SystemExit(f"config error: {error}") from None
    except argparse.ArgumentError:
        return  # Snakemake says what is wrong with its options


def all_of(option: str, given: Sequence[Sequence[str]]) -> Sequence[str]:
    """The words after an option. Raises ConfigError where it stands twice: Snakemake would forget the first ones."""
    if len(given) > 1:
        raise ConfigError(f"{option} stands twice: write all that belongs to it after one, {option} ONE TWO")
    return given[0] if given else []


def check_writable() -> None:
    """End the program with one line in a folder of another user, where Snakemake could not keep its records."""
    kept = Path(".snakemake")
    folders = [kept, *(path for path in kept.iterdir() if path.is_dir())] if kept.is_dir() else [Path()]
    for path in folders:
        if not os.access(path, os.W_OK | os.X_OK):
            raise SystemExit(
                f"{path.absolute()} cannot be written by you: run snakemake in a copy of the folder; "
                "spikesink status, summary and why work here"
            )


def find_a_cache() -> None:
    """Where the user's cache cannot be written, as in a home that is read-only or missing, one beside the results."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        cache.mkdir(parents=True, exist_ok=True)
        usable = os.access(cache, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):  # the second: nothing says where the home is
        usable = False
    if not usable:
        os.environ["XDG_CACHE_HOME"] = str(CACHE.absolute())
        os.environ.setdefault("MPLCONFIGDIR", str(CACHE.absolute() / "matplotlib"))  # else every job lists all fonts
