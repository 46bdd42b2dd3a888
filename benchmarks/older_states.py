"""Take a key or a column out of the files of a finished study, one at a time, and run the jobs that read the file.

    python benchmarks/older_states.py --folder /tmp/corruption

A state of an older version, or one that somebody else made, may lack what today's jobs read, and all its sums are
right. Every key of every kind of JSON file, and every column of every table, is left out once for every job that reads
the file. The job must end with its results (what is not there reads as not measured), or with one line that names the
file. The folder is that of corruption.py. Prints the counts as a table in Markdown, and exits with 1 if a job ended in
a traceback or was refused without the file's name.
"""

import argparse
import importlib
import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks"), str(ROOT / "tests/workflow")]
os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import polars as pl  # noqa: E402
from corruption import REFUSED, TRACEBACK, UNNAMED, kind_of, outcome_of, put_back, table  # noqa: E402
from reading_jobs import Job, jobs_of  # noqa: E402
from study_to_damage import STUDY, make  # noqa: E402

from spikesink.runs.json_file import OWN_SUM, with_sum  # noqa: E402
from spikesink.runs.sums import MANIFEST, file_sum, listed_sums, note_of  # noqa: E402
from spikesink.study.resolve import load  # noqa: E402

ENDED = "ended with results"
OUTCOMES = (REFUSED, ENDED, TRACEBACK, UNNAMED)
NOT_TAKEN = ((OWN_SUM,), ("added_tokens",))
"""The sum, which is made again, and the special tokens: a tokenizer.json without them is another tokenizer."""
LARGEST = 60
"""Keys of a mapping: one with more is a vocabulary, or a list of packages."""


def places(value: object, place: tuple = ()) -> Iterator[tuple]:
    """Every key in a JSON value, as the way to it; the first item stands for all of a list or of a vocabulary."""
    if isinstance(value, dict):
        for key, item in list(value.items())[: 1 if len(value) > LARGEST else None]:
            yield (*place, key)
            yield from places(item, (*place, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*place, 0))


def lacks(path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """What a file may lack: its name, and how to take it out. Sums are right afterwards."""
    if path.suffix == ".json":
        content = json.loads(path.read_bytes())
        for place in places(content):
            if place not in NOT_TAKEN:
                yield ".".join(map(str, place)), lambda place=place: without_key(path, place)
    elif path.suffix in (".csv", ".parquet"):
        read, write = (
            (pl.read_csv, pl.DataFrame.write_csv)
            if path.suffix == ".csv"
            else (pl.read_parquet, pl.DataFrame.write_parquet)
        )
        whole = read(path, glob=False)
        for column in whole.columns:
            yield column, lambda column=column: write(whole.drop(column), path)


def without_key(path: Path, place: tuple) -> None:
    content = json.loads(path.read_bytes())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    path.write_text(json.dumps(with_sum(content) if OWN_SUM in content else content))


def trial(job: Job, path: Path, take_out: Callable[[], None], out: Path) -> tuple[str, str]:
    """Take something out and run the job: the outcome, and what was printed. The file is put back."""
    with ExitStack() as kept:
        for file in (path, *(manifest for manifest, _ in manifests_of(path))):
            kept.enter_context(put_back(file))
            kept.enter_context(put_back(note_of(file)))
        take_out()
        sum_again(path)
        code, printed, _ = job.run(out)
    return outcome_of(code, printed, path) or ENDED, printed


def sum_again(path: Path) -> None:
    """The sums of a changed file, and of the manifests that change with it, are right afterwards."""
    note_of(path).unlink(missing_ok=True)
    for manifest, name in manifests_of(path):
        content = json.loads(manifest.read_bytes())
        content["sha256"][name] = file_sum(path)
        manifest.write_text(json.dumps(with_sum(content) if OWN_SUM in content else content))
        sum_again(manifest)


def manifests_of(path: Path) -> Iterator[tuple[Path, str]]:
    """The manifests that hold the sum of a file, and its name there."""
    for folder in path.parents:
        name = path.relative_to(folder).as_posix()
        if name in listed_sums(folder / MANIFEST):
            yield folder / MANIFEST, name


def trials(jobs: list[Job]) -> Iterator[tuple[Job, Path, str, Callable[[], None]]]:
    """Every job with every key or column of one file of each name that it reads."""
    for job in jobs:
        files = {(kind_of(path), path.name): path for path in reversed(job.reads) if ".sums" not in path.parts}
        for path in files.values():
            for name, take_out in lacks(path):
                yield job, path, name, take_out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the study is made; kept for the next call")
    parser.add_argument("--project", type=Path, help="instead, a project with the finished study: a copy is changed")
    parser.add_argument("--without", nargs="*", default=[], help="modules of jobs that take too long here")
    parser.add_argument("--trials", type=int, help="so many of them, drawn at random; by default all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.chdir(make(options.folder.resolve(), options.project))
    study = load([Path(f"{STUDY}.yaml")], Path("config.yaml"))
    jobs = [job for job in jobs_of(study) if not job.module.startswith(tuple(options.without))]
    for job in jobs:
        importlib.import_module(job.module)
    tried = list(trials(jobs))
    if options.trials is not None:
        tried = random.Random(options.seed).sample(tried, options.trials)
    begun, counts = time.monotonic(), defaultdict(Counter)
    for job, path, name, take_out in tried:
        outcome, printed = trial(job, path, take_out, options.folder.resolve() / "out")
        counts[kind_of(path)][outcome] += 1
        if outcome in (TRACEBACK, UNNAMED):
            print(
                f"{outcome}: {path} without {name}, read by {job.module} {job.options[0]}: {printed[-600:]}", flush=True
            )
    print(table(counts, OUTCOMES))
    faults = sum(counted[outcome] for counted in counts.values() for outcome in (TRACEBACK, UNNAMED))
    print(f"\n{len(tried)} trials in {time.monotonic() - begun:.0f} s: {faults} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
