"""Damage the files of a finished study, one at a time, and run a job that reads each: no damage may become a number.

    python benchmarks/corruption.py --trials 1000 --seed 0 --folder /tmp/corruption

Every trial flips a bit of one file, cuts it short or deletes it, runs the command of a job that reads the file, and
puts the file back. The command must end with one line that names the file, or with the results that it has from the
whole file. A deleted file may also be one that Snakemake makes again: a dry run says so.

The folder holds a small study, made by the first call: trained runs, a published model (an exported run), all measures
and tables, a published copy, and a run that has stopped at a checkpoint. Prints the counts as a table in Markdown, and
exits with 1 if damage was used without a word, ended in a traceback, or was refused without the file's name.
"""

import argparse
import importlib
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks"), str(ROOT / "tests/workflow")]
os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

from reading_jobs import Job, jobs_of  # noqa: E402
from study_to_damage import STUDY, make  # noqa: E402
from tiny_study import run_snakemake  # noqa: E402

from spikesink.study.resolve import load  # noqa: E402

HARMS = ("flipped", "cut short", "deleted")
REFUSED, SAME, REMADE = "refused by name", "same result", "made again"
SILENT, TRACEBACK, UNNAMED = "USED WITHOUT A WORD", "TRACEBACK", "REFUSED WITHOUT THE NAME"
OUTCOMES = (REFUSED, SAME, REMADE, SILENT, TRACEBACK, UNNAMED)


def kind_of(path: Path) -> str:
    """The name of a file's kind, in the table."""
    parts = path.parts
    if "published" in parts:
        return "a published study's files"
    if ".sums" in parts:
        return "notes of sums"
    if parts[0] == "stopped":
        return "a stopped run's snapshots" if "snapshots" in parts else "checkpoints"
    if parts[0] == "model":
        return "a published model's files"
    if "parts" in parts:
        return "tables/parts/*.parquet"
    named = {"measures": "measures/*.parquet", "snapshots": "snapshots/*.safetensors"}
    return named.get(path.parent.name, path.name)


def damage(path: Path, chance: random.Random) -> str:
    """Harm a file at random; returns how."""
    content = path.read_bytes()
    harm = chance.choice(HARMS) if content else "deleted"
    if harm == "deleted":
        path.unlink()
    elif harm == "flipped":
        place = chance.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
    else:
        path.write_bytes(content[: chance.randrange(len(content))])
    return harm


def trial(job: Job, path: Path, out: Path, chance: random.Random, whole: dict[Job, str]) -> tuple[str, str, str]:
    """Damage a file that the job reads and run it: how, the outcome, what was printed. The file is put back."""
    with put_back(path):
        harm = damage(path, chance)
        code, printed, digest = job.run(out)
        is_made_again = harm == "deleted" and code == 0 and path.parts[0] == "results" and would_be_made(path)
    if code == 0 and job not in whole:
        whole[job] = job.run(out)[2]
    if outcome := outcome_of(code, printed, path):
        return harm, outcome, printed
    if digest == whole[job]:
        return harm, SAME, printed
    return harm, REMADE if is_made_again else SILENT, printed


@contextmanager
def put_back(path: Path) -> Iterator[None]:
    """The file, if it is there, is afterwards what it was before."""
    before = (path.read_bytes(), path.stat()) if path.is_file() else None
    try:
        yield
    finally:
        if before:
            content, times = before
            path.write_bytes(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def outcome_of(code: int, printed: str, path: Path) -> str | None:
    """How a job that read a harmed file has failed; None where it ended with results."""
    if code == 99 or "Traceback" in printed:
        return TRACEBACK
    if code == 0:
        return None
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    guarded = path.parent.parent / path.name if path.parent.name == ".sums" else path
    return REFUSED if len(errors) == 1 and guarded.name in errors[0] else UNNAMED


def would_be_made(path: Path) -> bool:
    """Whether `snakemake tables`, which has nothing to do for the whole study, makes a file that is gone."""
    result = run_snakemake(Path.cwd(), "--dry-run", "tables", "--configfile", f"{STUDY}.yaml")
    return result.returncode == 0 and "Nothing to be done" not in result.stdout + result.stderr


def table(counts: dict[str, Counter], outcomes: tuple[str, ...] = OUTCOMES) -> str:
    """The counts as Markdown: a row per kind of file, a column per outcome."""
    shown = [outcome for outcome in outcomes if any(counted[outcome] for counted in counts.values())]
    total = sum(counts.values(), Counter())
    rows = [(kind, counts[kind]) for kind in sorted(counts)] + [("all", total)]
    lines = [f"| file | {' | '.join(shown)} |", f"|---|{'---:|' * len(shown)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(str(c[o]) for o in shown)} |" for name, c in rows)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="where the study is made; kept for the next call")
    parser.add_argument("--project", type=Path, help="instead, a project with the finished study: a copy is damaged")
    parser.add_argument("--without", nargs="*", default=[], help="modules of jobs that take too long here")
    options = parser.parse_args()
    project = make(options.folder.resolve(), options.project)
    os.chdir(project)
    study = load([Path(f"{STUDY}.yaml")], Path("config.yaml"))
    jobs = [job for job in jobs_of(study) if not job.module.startswith(tuple(options.without))]
    for job in jobs:
        importlib.import_module(job.module)
    readers = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        for path in job.reads:
            readers[kind_of(path)][path].append(job)
    chance, begun, whole, counts = random.Random(options.seed), time.monotonic(), {}, defaultdict(Counter)
    for number in range(options.trials):
        kind = sorted(readers)[number % len(readers)]
        path = chance.choice(sorted(readers[kind]))
        job = chance.choice(readers[kind][path])
        harm, outcome, printed = trial(job, path, options.folder.resolve() / "out", chance, whole)
        counts[kind][outcome] += 1
        counts[kind][harm] += 1
        if outcome in (SILENT, TRACEBACK, UNNAMED):
            print(f"{outcome}: {path} {harm}, read by {job.module} {job.options[0]}: {printed[-600:]}", flush=True)
    print(table(counts))
    total = sum(counts.values(), Counter())
    faults = sum(total[outcome] for outcome in (SILENT, TRACEBACK, UNNAMED))
    harms = ", ".join(f"{total[harm]} {harm}" for harm in HARMS)
    print(f"\n{options.trials} trials ({harms}) in {time.monotonic() - begun:.0f} s: {faults} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
