"""How far every run of a study is, read from files alone: also on a login node, or from a copy of the results."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spikesink.runs.folder import RunFolder
from spikesink.runs.json_file import read_json
from spikesink.runs.json_kinds import MANIFEST, PROGRESS, RUN
from spikesink.study.errors import InputError, one_line
from spikesink.study.run import Run, Study, canonical

SILENCE = timedelta(seconds=90)
"""A run whose progress is older than this is not running: training writes it every 15 seconds."""
FAILED = re.compile(r"error:|[\w.]*(Error|Exception)(:|$)")
"""Start of the last line in the log of a failed run: our own line on an error, or the end of a traceback."""
STOPPED = re.compile(r"stopped by SIG\w+")
"""Start of the last line in the log of a run that a signal stopped."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far one run is."""

    ablation: str
    variant: str
    seed: int
    status: str
    """waiting, running, interrupted (it resumes from its checkpoint, unless its settings, code or text have changed
    since), failed, finished, diverged, or out of date (trained with other settings than the config has now)."""
    step: int
    steps: int
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    note: str = ""
    """For a failed run: the last line of its log and the log's path. For an interrupted run: the log's path."""


@dataclass(frozen=True)
class Progress:
    """The last progress that a run has written."""

    updated: datetime
    step: int
    tokens_per_second: float | None
    seconds_left: float | None


def standings(study: Study) -> list[Standing]:
    """The standing of every run, in the order of the study's runs."""
    results, now = Path("results") / study.config.study, datetime.now(UTC)
    latest = read_progress(results / "checkpoints")
    return [standing(run, results, latest.get(run.name), now) for run in study.runs]


def read_progress(checkpoints: Path) -> dict[str, Progress]:
    """The latest progress of every run that has written one, by the run's name; unreadable files are ignored."""
    latest: dict[str, Progress] = {}
    for path in checkpoints.glob("*/progress.json"):
        found = if_readable(lambda path=path: read_json(path, "", PROGRESS)) or {}
        try:
            updated = datetime.fromisoformat(found["updated"]).astimezone(UTC)
            progress = Progress(updated, found["step"], found["tokens_per_second"], found["seconds_left"])
            if found["run"] not in latest or updated > latest[found["run"]].updated:
                latest[found["run"]] = progress
        except (KeyError, TypeError, ValueError):
            continue
    return latest


def standing(run: Run, results: Path, progress: Progress | None, now: datetime) -> Standing:
    """How far a run is, from its progress, its folder and its log, in this order."""
    log = results / "logs" / "train" / f"{run.variant}_seed{run.seed}.log"
    common = {"ablation": run.ablation, "variant": run.variant, "seed": run.seed, "steps": run.training.steps}
    if progress and now - progress.updated < SILENCE and not has_ended(log, progress):
        pace = {"tokens_per_second": progress.tokens_per_second, "seconds_left": progress.seconds_left}
        return Standing(**common, **pace, step=progress.step, status="running")
    folder = RunFolder(run.folder)
    if manifest := if_readable(lambda: read_json(folder.manifest, "", MANIFEST)):
        recorded = if_readable(lambda: read_json(folder.run, "", RUN)) or {}
        recorded.pop("code", None)
        status = manifest.get("status") or "unknown"
        status = status if canonical(recorded) == canonical(run.resolved()) else "out of date"
        speed, step = manifest.get("tokens_per_second"), manifest.get("steps") or run.training.steps
        return Standing(**common, status=status, step=step, tokens_per_second=speed)
    reached, last = progress.step if progress else 0, last_line(log)
    if FAILED.match(last) and (progress is None or has_ended(log, progress)):
        return Standing(**common, status="failed", step=reached, note=f"{last} ({log})")
    if progress:
        return Standing(**common, status="interrupted", step=reached, note=str(log))
    return Standing(**common, status="waiting", step=0)


def has_ended(log: Path, progress: Progress) -> bool:
    """Whether the log says that the run ended, and was last written after this progress.

    A log that is older than the progress is of an earlier attempt.
    """
    last = last_line(log)
    if not FAILED.match(last) and not STOPPED.match(last):
        return False
    return datetime.fromtimestamp(log.stat().st_mtime, UTC) >= progress.updated


def if_readable(read: Callable[[], dict]) -> dict | None:
    """What ``read`` returns; None where the file is missing, or incomplete because it is being copied."""
    try:
        return read()
    except InputError:
        return None


def last_line(path: Path) -> str:
    """The last line of a file that is not blank; empty where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return one_line(next((line.strip() for line in reversed(lines) if line.strip()), ""))


def table(found: list[Standing]) -> str:
    """A line per run, then how many runs have each status."""
    width = max(len(f"{one.variant}/seed{one.seed}") for one in found)
    lines = [line(one, width) for one in found]
    counts = Counter(one.status for one in found)
    left = sum(one.seconds_left or 0 for one in found)
    total = f"{len(found)} runs: " + ", ".join(f"{number} {status}" for status, number in counts.most_common())
    return "\n".join([*lines, "", total + (f"; {clock(left)} of training left in those running" if left else "")])


def line(one: Standing, width: int) -> str:
    share = f"{one.step:>8,}/{one.steps:,} steps" if one.step or one.status != "waiting" else ""
    speed = f"{one.tokens_per_second:,.0f} tokens/s" if one.tokens_per_second else ""
    left = f"{clock(one.seconds_left)} left" if one.seconds_left is not None else ""
    run = f"{one.variant}/seed{one.seed}"
    return (
        f"{run:{width}}  {one.status:11}  {'  '.join(part for part in (share, speed, left, one.note) if part)}".rstrip()
    )


def clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
