"""Where every run of a study stands, from files alone: during a run, on a login node or on a copy of the results."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spikesink.study import Run, Study, canonical

SILENCE = timedelta(seconds=90)
"""A run whose progress is older than this is not running: training writes it every 15 seconds."""


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
    """Of a failed run its last words, of one that is not finished the path of its log."""


def standings(study: Study, now: datetime | None = None) -> list[Standing]:
    """One standing per run, in the order of the study's runs."""
    results = Path("results") / study.config.study
    progress = read_progress(results / "checkpoints")
    return [standing(run, results, progress.get(name(run)), now or datetime.now(UTC)) for run in study.runs]


def name(run: Run) -> str:
    return f"{run.variant}/seed{run.seed}"


def read_progress(checkpoints: Path) -> dict[str, dict]:
    """The latest progress.json of every run that has one."""
    latest: dict[str, dict] = {}
    for path in checkpoints.glob("*/progress.json"):
        found = read_json(path)
        if found and found["updated"] > latest.get(found["run"], {"updated": ""})["updated"]:
            latest[found["run"]] = found
    return latest


def standing(run: Run, results: Path, progress: dict | None, now: datetime) -> Standing:
    log = results / "logs" / "train" / f"{run.variant}_seed{run.seed}.log"
    folder, steps = Path(run.folder), run.training.steps
    common = {"ablation": run.ablation, "variant": run.variant, "seed": run.seed, "steps": steps}
    if progress and now - datetime.fromisoformat(progress["updated"]) < SILENCE:
        pace = {key: progress[key] for key in ("step", "tokens_per_second", "seconds_left")}
        return Standing(**common, **pace, status="running")
    manifest = read_json(folder / "manifest.json")
    if manifest:
        recorded = read_json(folder / "run.json") or {}
        recorded.pop("code", None)
        current = canonical(recorded) == canonical(json.loads(canonical(run.resolved())))
        status = manifest["status"] if current else "out of date"
        speed = manifest.get("tokens_per_second")
        return Standing(**common, status=status, step=manifest.get("steps", steps), tokens_per_second=speed)
    last = last_line(log)
    if last.startswith("error:"):
        return Standing(**common, status="failed", step=(progress or {}).get("step", 0), note=f"{last} ({log})")
    if progress:
        return Standing(**common, status="interrupted", step=progress["step"], note=str(log))
    return Standing(**common, status="waiting", step=0)


def read_json(path: Path) -> dict | None:
    """None where the file is missing or, caught in the middle of a copy, incomplete."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def last_line(path: Path) -> str:
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
