"""How far every run of a study is, read from files alone: also on a login node, or from a copy of the results."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spikesink.runs.folder import RunFolder
from spikesink.runs.identity import identity, run_digest
from spikesink.runs.json_file import read_json
from spikesink.runs.json_kinds import MANIFEST, PROGRESS, RUN, TOKENS
from spikesink.study.errors import InputError, one_line
from spikesink.study.run import Run, Study, canonical

SILENCE = timedelta(seconds=90)
"""A run whose progress is older than this is not running: training writes it every 15 seconds. One whose progress is
that far in the future was stopped before the clock was set back."""
FAILED = re.compile(r"error:|[\w.]*(Error|Exception)(:|$)")
"""Start of the last line in the log of a failed run: our own line on an error, or the end of a traceback."""
STOPPED = re.compile(r"stopped by SIG\w+")
"""Start of the last line in the log of a run that a signal stopped."""
OTHER = "other settings, code or text"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far one run is."""

    ablation: str
    variant: str
    seed: int
    status: str
    """waiting, running, interrupted (it resumes from its checkpoint), failed, finished, diverged, or out of date
    (trained with other settings than the config has now)."""
    step: int
    steps: int
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    note: str = ""
    """For a failed run: the last line of its log and the log's path. For an interrupted run: the log's path. For one
    that runs, or had begun, with other settings, code or text than now: that this is so."""


@dataclass(frozen=True)
class Progress:
    """The last progress that a run wrote while its settings, code and text were the same."""

    digest: str
    """Their digest, which is the name of the folder that the run resumes from."""
    updated: datetime
    step: int
    tokens_per_second: float | None
    seconds_left: float | None


def standings(study: Study) -> list[Standing]:
    """The standing of every run, in the order of the study's runs."""
    results, now = Path("results") / study.config.study, datetime.now(UTC)
    found, tokens = read_progress(results / "checkpoints"), tokens_sha256(results)
    return [standing(run, results, found[run.name], tokens, now) for run in study.runs]


def read_progress(checkpoints: Path) -> dict[str, list[Progress]]:
    """All progress of every run, the latest last, by the run's name; unreadable files are ignored."""
    of_runs: dict[str, list[Progress]] = defaultdict(list)
    for path in checkpoints.glob("*/progress.json"):
        found = if_readable(lambda path=path: read_json(path, "", PROGRESS)) or {}
        try:
            updated = datetime.fromisoformat(found["updated"]).astimezone(UTC)
            pace = found["tokens_per_second"], found["seconds_left"]
            of_runs[found["run"]].append(Progress(path.parent.name, updated, found["step"], *pace))
        except (KeyError, TypeError, ValueError):
            continue
    for progress in of_runs.values():
        progress.sort(key=lambda one: one.updated)
    return of_runs


def tokens_sha256(results: Path) -> str | None:
    """The sum of the packed tokens to train on; None where they are not here, as in most copies."""
    index = if_readable(lambda: read_json(results / "data/tokens/tokens.json", "", TOKENS)) or {}
    return index.get("splits", {}).get("train", {}).get("sha256")


def is_of(run: Run, tokens: str | None, progress: Progress) -> bool:
    """Whether the run as it is now would go on from this progress. Without tokens nobody can tell: taken as true."""
    return tokens is None or progress.digest == run_digest(identity(run), tokens)


def standing(run: Run, results: Path, found: list[Progress], tokens: str | None, now: datetime) -> Standing:
    """How far a run is, from its progress, its folder and its log, in this order.

    ``tokens`` is the sum of the packed tokens, see ``tokens_sha256``.
    """
    progress = found[-1] if found else None
    log = results / "logs" / "train" / f"{run.variant}_seed{run.seed}.log"
    common = {"ablation": run.ablation, "variant": run.variant, "seed": run.seed, "steps": run.training.steps}
    if progress and abs(now - progress.updated) < SILENCE and not has_ended(log, progress):
        pace = {"tokens_per_second": progress.tokens_per_second, "seconds_left": progress.seconds_left}
        note = "" if is_of(run, tokens, progress) else f"with {OTHER} than now"
        return Standing(**common, **pace, step=progress.step, status="running", note=note)
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
    if resumed := next((one for one in reversed(found) if is_of(run, tokens, one)), None):
        return Standing(**common, status="interrupted", step=resumed.step, note=str(log))
    note = f"step {reached:,} was with {OTHER}, it starts again" if progress else ""
    return Standing(**common, status="waiting", step=0, note=note)


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
    """A time as 5:07, or from an hour on as 1:05:07."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
