"""The jobs that corruption.py runs: of every kind that reads files of a study, one, and the files that it reads."""

import hashlib
import io
import json
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path

from study_to_damage import PUBLISHED

from spikesink.runs.identity import identity
from spikesink.study.run import Study, canonical
from spikesink.workflow import drawn

ROOT = Path(__file__).parents[1]
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
        Job("spikesink.measures", "forward", "--run", str(folder), *told, "--output", "{out}",
            reads=[*trained, *held_out]),
        Job("spikesink.measures", "dynamics", "--run", str(folder), *told, "--output", "{out}",
            reads=[*trained, *held_out, *below(folder, "snapshots/step*")]),
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
            Job("spikesink.measures", "forward", "--pretrained", str(described), *told,
                reads=[*below(folder, "pretrained.json"), *below(tokens, "*"), *below(source, "*.json"),
                       *below(source, "*.safetensors")]),
        ]  # fmt: skip
    if jobs:
        place, table = Path("results", study.config.study), "published_models.csv"
        described = below(place, "pretrained/*/pretrained.json")
        jobs += [
            Job("spikesink.tables.published_models", "--results", str(place), "--models", *study.config.pretrained,
                "--output", f"{{out}}/{table}", reads=described),
            Job("spikesink.tables.published_models_page", "--models", str(place / table), "--output", "{out}/page.html",
                reads=below(place, table)),
        ]  # fmt: skip
    return jobs


def jobs_of_tables(study: Study, place: Path) -> list[Job]:
    """Those that make tables, pages and figures."""
    about = drawn.of_study(study)
    ablation = study.ablations[0]
    runs = [run.folder for run in study.runs if run.ablation in ("baseline", ablation)]
    asked = [f"{question}.*" for question in drawn.QUESTIONS_OF_ALL]
    answers = [path for run in runs for pattern in asked for path in below(f"{run}/measures", pattern)]
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
