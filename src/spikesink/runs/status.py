"""Where every run of a study stands, from files alone: during a run, on a login node or on a copy of the results."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spikesink.study.run import Run, Study, canonical

SILENCE = timedelta(seconds=90)
"""A run whose progress is older than this is not running: training writes it every 15 seconds."""
FAILED = re.compile(r"error:|[\w.]*(Error|Exception)(:|$)")
"""How the log of a failed run ends: with our own one line, or with the last line of a traceback."""
STOPPED = re.compile(r"stopped by SIG\w+")
"""How the log of a run ends that a signal stopped."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far one run is."""

    ablation: str
    variant: str
    seed: int
    status: str
    """waiting, running, interrupted (resumes from its checkpoint), failed, finished, diverged, or out of date (finished
    with other settings than the config has now)."""
    step: int
    steps: int
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    note: str = ""
    """Of a failed run its last words and the path of its log, of an interrupted one that path."""


@dataclass(frozen=True)
class Progress:
    """What a run that trains, or trained, wrote last."""

    updated: datetime
    step: int
    tokens_per_second: float | None
    seconds_left: float | None


def standings(study: Study, now: datetime | None = None) -> list[Standing]:
    """One standing per run, in the order of the study's runs."""
    results = Path("results") / study.config.study
    latest = read_progress(results / "checkpoints")
    return [standing(run, results, latest.get(name(run)), now or datetime.now(UTC)) for run in study.runs]


def name(run: Run) -> str:
    return f"{run.variant}/seed{run.seed}"


def read_progress(checkpoints: Path) -> dict[str, Progress]:
    """The latest progress.json of every run that has one; what is none, or a part of one, is ignored."""
    latest: dict[str, Progress] = {}
    for path in checkpoints.glob("*/progress.json"):
        found = read_json(path) or {}
        try:
            updated = datetime.fromisoformat(found["updated"]).astimezone(UTC)
            progress = Progress(updated, found["step"], found["tokens_per_second"], found["seconds_left"])
            if found["run"] not in latest or updated > latest[found["run"]].updated:
                latest[found["run"]] = progress
        except (KeyError, TypeError, ValueError):
            continue
    return latest


def standing(run: Run, results: Path, progress: Progress | None, now: datetime) -> Standing:
    log = results / "logs" / "train" / f"{run.variant}_seed{run.seed}.log"
    common = {"ablation": run.ablation, "variant": run.variant, "seed": run.seed, "steps": run.training.steps}
    if progress and now - progress.updated < SILENCE and not has_ended(log, progress):
        pace = {"tokens_per_second": progress.tokens_per_second, "seconds_left": progress.seconds_left}
        return Standing(**common, **pace, step=progress.step, status="running")
    manifest = read_json(Path(run.folder) / "manifest.json")
    if manifest:
        recorded = read_json(Path(run.folder) / "run.json") or {}
        recorded.pop("code", None)
        status = manifest["status"] if canonical(recorded) == canonical(run.resolved()) else "out of date"
        speed, step = manifest.get("tokens_per_second"), manifest.get("steps", run.training.steps)
        return Standing(**common, status=status, step=step, tokens_per_second=speed)
    reached, last = progress.step if progress else 0, last_line(log)
    if FAILED.match(last) and (progress is None or has_ended(log, progress)):
        return Standing(**common, status="failed", step=reached, note=f"{last} ({log})")
    if progress:
        return Standing(**common, status="interrupted", step=reached, note=str(log))
    return Standing(**common, status="waiting", step=0)


def has_ended(log: Path, progress: Progress) -> bool:
    """Whether the log says that the run ended after this progress; what a later attempt writes comes after the log."""
    last = last_line(log)
    if not FAILED.match(last) and not STOPPED.match(last):
        return False
    return datetime.fromtimestamp(log.stat().st_mtime, UTC) >= progress.updated


def read_json(path: Path) -> dict | None:
    """None where the file is missing or, caught in the middle of a copy, incomplete."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def last_line(path: Path) -> str:
    """The last line that says something."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def table(found: list[Standing]) -> str:
    """A line per run and the counts."""
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
