"""What becomes of an overlay: refused with one line, or accepted, by both commands."""

from pathlib import Path
from typing import NamedTuple

from later_checks import check_later
from malformed import ROOT
from snakemake.common.configfile import load_configfile

from spikesink.study.errors import ConfigError
from spikesink.workflow.check import checked_study

WORKFLOW = ROOT / "workflow"
BASE = "study: nano\nscale: nano\nablations: [norm/sandwich]\n"
LONGEST = 1500


class Outcome(NamedTuple):
    """What became of one overlay."""

    refusal: str | None
    """The line that refuses it; None where it is accepted."""
    fault: str | None = None
    """What is wrong with that; None where nothing is."""


def outcome_of(content: bytes, folder: Path) -> Outcome:
    """Try an overlay on a small study, in a folder for its files."""
    base, overlay = folder / "config.yaml", folder / "overlay.yaml"
    base.write_text(BASE)
    overlay.write_bytes(content)
    try:
        study, _ = checked_study([overlay], base, workflow=WORKFLOW)
    except ConfigError as error:
        return Outcome(str(error), fault_of(str(error)))
    except Exception as error:
        return Outcome(repr(error), f"a traceback: {error!r}")
    try:
        load_configfile(str(overlay))
    except Exception as error:
        return Outcome(None, f"Snakemake alone refuses it: {error!r}")
    try:
        check_later(study, WORKFLOW)
    except Exception as error:
        return Outcome(None, f"a later job refuses it: {error!r}")
    return Outcome(None)


def fault_of(message: str) -> str | None:
    """What is wrong with the line that refuses a config. It is to name a key or a file, the fault, and what to do."""
    if not message.isprintable() or len(message) > LONGEST:
        return f"not one readable line: {message[:300]!r}"
    words = ("use", "write", "remove", "set", "name", "did you mean", "known keys", "must", "lower", "should", "save")
    words += ("check", "put", "correct", "leave", "list", "choose", "give", "it is called", "belong", "rename", "take")
    words += ("make it", "is not divisible", "unknown", "need", "close", "install", "go together", "raise", "begin")
    return None if any(word in message for word in words) else f"no remedy: {message}"
