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
import hashlib
import importlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks"), str(ROOT / "tests/workflow")]
os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

from study_to_damage import PUBLISHED, STUDY, make  # noqa: E402

from spikesink.runs.identity import identity  # noqa: E402
from spikesink.study.resolve import load  # noqa: E402
from spikesink.study.run import Study, canonical  # noqa: E402
from spikesink.workflow import drawn  # noqa: E402

HARMS = ("flipped", "cut short", "deleted")
REFUSED, SAME, REMADE = "refused by name", "same result", "made again"
SILENT, TRACEBACK, UNNAMED = "USED WITHOUT A WORD", "TRACEBACK", "REFUSED WITHOUT THE NAME"
OUTCOMES = (REFUSED, SAME, REMADE, SILENT, TRACEBACK, UNNAMED)
MADE_ANEW = ("manifest.json", "progress.json", ".sums", ".damaged")
"""Outputs that say when they were made, repeat what another says, or are a checkpoint that was set aside."""


class Job:
    """The command of one job, and the files that it reads: ``python -m module options``, with {out} in options."""

    def __init__(self, module: str, *options: str, reads: list[Path], start: Callable[[Path], None] | None = None):
        is_package = (ROOT / "src" / module.replace(".", "/")).is_dir()
        self.module, self.options = f"{module}.__main__" if is_package else module, options
        self.reads = [path for path in reads if path.is_file()]
        self.start = start
        """What stands in the folder of the outputs before."""

    def run(self, out: Path) -> tuple[int, str, str]:
        """Exit status (99: a traceback), what was printed, and a digest of the outputs."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        if self.start:
            self.start(out)
        code, printed = self.call(out)
        digest = hashlib.sha256()
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            if not any(part.endswith(MADE_ANEW) for part in path.relative_to(out).parts):
                digest.update(f"{path.relative_to(out)} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
        return code, printed, digest.hexdigest()

    def call(self, out: Path) -> tuple[int, str]:
        sys.argv = [self.module, *(option.replace("{out}", str(out)) for option in self.options)]
        text = io.StringIO()
        try:
            with redirect_stdout(text), redirect_stderr(text):
                code = sys.modules[self.module].main() or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            text.write(traceback.format_exc())
            code = 99
        return code, text.getvalue()


def below(folder: str | Path, pattern: str) -> list[Path]:
    """Files that match, and the notes of their sums."""
    found = [path for path in sorted(Path(folder).glob(pattern)) if path.is_file()]
    return found + [note for path in found if (note := path.parent / ".sums" / path.name).is_file()]


def noted(file: str) -> list[Path]:
    """A file and the note of its sum."""
    return below(Path(file).parent, Path(file).name)


def jobs_of(study: Study) -> list[Job]:
    """A job of every kind that reads files of the study; the working directory is its project."""
    place = Path("results", study.config.study)
    text = canonical({"corpus": asdict(study.config.corpus), "tokenizer": asdict(study.config.tokenizer)})
    data, tokens = place / "data", place / "data/tokens"
    corpus = ("--settings", text, "--corpus", f"{data}/corpus.json")
    run = study.runs[0]
    folder, measures = Path(run.folder), canonical(asdict(study.config.measures))
    told = ("--tokens", str(tokens), "--settings", measures, "--gpus", "0")
    trained = [*below(folder, "*.json"), *below(folder, "model.safetensors")]
    held_out = [*below(tokens, "tokens.json"), *below(tokens, "validation*")]
    train = ("--run", json.dumps(identity(run)), "--tokens", str(tokens), "--output", "{out}/run", "--gpus", "0")
    jobs = [
        Job("spikesink.data", "tokenizer", *corpus, "--output", "{out}/tokenizer.json",
            reads=below(data, "corpus.json")),
        Job("spikesink.data", "tokens", *corpus, "--tokenizer", f"{data}/tokenizer.json", "--output", "{out}/tokens",
            reads=[*below(data, "corpus.json"), *below(data, "tokenizer*.json")]),
        Job("spikesink.training", *train, "--checkpoints", "{out}/checkpoints",
            reads=[*below(tokens, "tokens.json"), *below(tokens, "train.bin")]),
        Job("spikesink.training", *train, "--checkpoints", "{out}/checkpoints",
            reads=[*sorted(Path("stopped").glob("*/*.ckpt/*")), *sorted(Path("stopped").glob("*/snapshots/*"))],
            start=lambda out: shutil.copytree("stopped", out / "checkpoints")),
        Job("spikesink.measures", "quality", "--run", str(folder), *told, "--output", "{out}",
            reads=[*trained, *held_out]),
        Job("spikesink.measures", "dynamics", "--run", str(folder), *told, "--output", "{out}",
            reads=[*trained, *held_out, *below(folder, "snapshots/*")]),
        Job("spikesink.measures", "spikes", "--run", str(folder), *told, "--output", "{out}",
            reads=[*trained, *held_out, *below(data, "tokenizer.json")]),
    ]  # fmt: skip
    return [*jobs, *jobs_of_models(study, corpus, measures), *jobs_of_tables(study, place), *jobs_of_readers()]


def jobs_of_models(study: Study, corpus: tuple[str, ...], measures: str) -> list[Job]:
    """Those that read published models, if the study has any."""
    jobs = []
    for name, model in study.config.pretrained.items():
        folder, source = Path("results", study.config.study, "pretrained", name), Path(model.source)
        described, tokens = folder / "pretrained.json", folder / "tokens"
        told = ("--tokens", str(tokens), "--settings", measures, "--gpus", "0", "--output", "{out}")
        jobs += [
            Job("spikesink.data", "tokens", *corpus, "--pretrained", str(described), "--output", "{out}/tokens",
                reads=[*below(folder, "pretrained.json"), *below(source, "*.json")]),
            Job("spikesink.measures", "quality", "--pretrained", str(described), *told,
                reads=[*below(folder, "pretrained.json"), *below(tokens, "*"), *below(source, "*.json"),
                       *below(source, "*.safetensors")]),
        ]  # fmt: skip
    return jobs


def jobs_of_tables(study: Study, place: Path) -> list[Job]:
    """Those that make tables, pages and figures."""
    about = drawn.of_study(study)
    ablation = study.ablations[0]
    runs = [run.folder for run in study.runs if run.ablation in ("baseline", ablation)]
    answers = [path for run in runs for question in drawn.ALWAYS for path in below(f"{run}/measures", f"{question}.*")]
    records = [path for run in runs for name in ("run.json", "manifest.json") for path in below(run, name)]
    curves = [path for run in runs for path in below(run, "metrics.csv")]
    deep = [path for file in drawn.table_files(about) for path in noted(file)]
    models = [f"{label}={place}/{folder}" for label, folder in about.in_depth.items()]
    tables, parts = place / "tables", place / "tables/parts" / ablation
    compared = [f"{label}={place}/{folder}" for label, folder in about.compared["compared"].items()]
    shown = [path for file in drawn.figure_files(about, "compared", "streaming") for path in noted(file)]
    claims = sorted(str(path) for path in Path("workflow/claims").glob("*.yaml"))
    variants = list(dict.fromkeys(run.variant for run in study.runs))
    one = ("--ablation", ablation)
    return [
        Job("spikesink.tables.collect", *one, "--runs", *runs, "--variants", "{}", "--output", "{out}",
            reads=[*records, *curves, *answers]),
        Job("spikesink.tables.mechanism", "--models", *models, "--output", "{out}/mechanism.csv", reads=deep),
        Job("spikesink.tables.ablation", "--parts", str(parts), *one, "--output", "{out}/table",
            reads=below(parts, "runs.parquet")),
        Job("spikesink.tables.runs", "--parts", str(parts), "--output", "{out}", reads=below(parts, "runs.parquet")),
        Job("spikesink.tables.provenance", "--results", str(place), "--variants", *variants, "--seeds",
            *map(str, study.config.seeds), "--output", "{out}/provenance.csv", reads=records),
        Job("spikesink.tables.provenance_page", "--provenance", f"{place}/provenance.csv", "--study", "x", "--output",
            "{out}/page.html", reads=below(place, "provenance.csv")),
        Job("spikesink.figures", "--runs", f"{tables}/runs.csv", "--output", "{out}/figure",
            reads=below(tables, "runs.csv")),
        Job("spikesink.figures.ablations", "sink_map", "--parts", str(parts), *one, "--output", "{out}/figure",
            reads=[*below(parts, "heads.parquet"), *below(parts, "runs.parquet")]),
        Job("spikesink.figures.ablations", "training", "--parts", str(parts), *one, "--output", "{out}/figure",
            reads=below(parts, "curves.parquet")),
        Job("spikesink.figures.ablations", "ablation", "--parts", str(parts), *one, "--output", "{out}/figure",
            reads=below(parts, "runs.parquet")),
        Job("spikesink.figures.mechanism", "streaming", "--models", *compared, "--output", "{out}/figure", reads=shown),
        Job("spikesink.claims", "--claims", *claims, "--runs", f"{tables}/runs.csv", "--mechanism",
            f"{tables}/mechanism.csv", "--parts", str(parts), "--study", "x", "--output", "{out}/claims",
            reads=[*below(tables, "runs.csv"), *below(tables, "mechanism.csv"), *below(parts, "heads.parquet")]),
        Job("readers_of_results", "tracking", str(place), "{out}/read.txt",
            reads=[*records, *curves, *below(tables, "runs.csv"), *below(tables, "statistics.csv")]),
        Job("readers_of_results", "summary", str(place), "{out}/read.txt", reads=below(tables, "runs.csv")),
    ]  # fmt: skip


def jobs_of_readers() -> list[Job]:
    """The reading of a published study, before anything of it is drawn."""
    reads = [path for path in sorted(Path("results", PUBLISHED).rglob("*")) if path.is_file()]
    return [Job("readers_of_results", "published", PUBLISHED, "{out}/read.txt", reads=reads)] if reads else []


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
    before, times = path.read_bytes(), path.stat()
    harm = damage(path, chance)
    try:
        code, printed, digest = job.run(out)
        is_made_again = harm == "deleted" and code == 0 and path.parts[0] == "results" and would_be_made(path)
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    if code == 0 and job not in whole:
        whole[job] = job.run(out)[2]
    if code == 99 or "Traceback" in printed:
        return harm, TRACEBACK, printed
    if code:
        errors = [line for line in printed.splitlines() if line.startswith("error: ")]
        guarded = path.parent.parent / path.name if path.parent.name == ".sums" else path
        return harm, REFUSED if len(errors) == 1 and guarded.name in errors[0] else UNNAMED, printed
    if digest == whole[job]:
        return harm, SAME, printed
    return harm, REMADE if is_made_again else SILENT, printed


def would_be_made(path: Path) -> bool:
    """Whether `snakemake tables`, which has nothing to do for the whole study, makes a file that is gone."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "tables", "--configfile", f"{STUDY}.yaml"]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode == 0 and "Nothing to be done" not in result.stdout + result.stderr


def table(counts: dict[str, Counter]) -> str:
    """The counts as Markdown: a row per kind of file, a column per outcome."""
    shown = [outcome for outcome in OUTCOMES if any(counted[outcome] for counted in counts.values())]
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
