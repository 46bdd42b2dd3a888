"""Stands in for the programs of the jobs in never_stale.py: what it writes is a digest of all that it was given.

It runs instead of ``python`` in every job, in 20 ms, and imports nothing but the standard library. A job's result is
the digest of its command, of the files that its program reads, and of the statements ``EDITED = <number>`` in the
modules that it runs. So it changes exactly when the result of the real program would.
``faults.json`` says which jobs fail.
"""

import hashlib
import json
import re
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
KNOWN = json.loads((HERE / "known.json").read_text())
"""What the harness knows of the package: files that programs read, modules that they run."""
IRRELEVANT = ("--threads", "--gpus", "--nodes", "--processes", "--checkpoints")
"""Options that change no result, each with a value."""


def main() -> int:
    program, *options = sys.argv[3:] if sys.argv[2] == "spikesink.workflow.forks" else sys.argv[2:]
    program = program.removeprefix("spikesink.")
    place = " ".join(options)
    faults = json.loads((HERE / "faults.json").read_text())
    fault = next((kind for key, kind in faults.items() if key in f"{program} {place}"), "")
    if fault == "slow":
        time.sleep(0.3)
    if fault == "fail":
        print("error: a fault was injected", file=sys.stderr)
        return 1
    read, code, written = STAGES[program](options)
    digest = hashlib.sha256(" ".join(relevant([program, *options])).encode())
    if absent := [path for path in read if not Path(path).is_file()]:
        print(f"error: {absent[0]} is missing", file=sys.stderr)
        return 1
    for path in read:
        digest.update(f"{path} {Path(path).read_text()}".encode())
    for module in code:
        digest.update(" ".join(re.findall(r"^EDITED = \d+", Path("src/spikesink", module).read_text(), re.M)).encode())
    for number, path in enumerate(written):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(f"{digest.hexdigest()} {path}\n")
        if fault == "partial" and number == 0:  # as on a disk that is full
            return 1
    return 0


def relevant(words: list[str]) -> list[str]:
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word not in IRRELEVANT and before not in IRRELEVANT
    ]


def value(options: list[str], name: str) -> str:
    return options[options.index(name) + 1]


def values(options: list[str], name: str) -> list[str]:
    rest = options[options.index(name) + 1 :]
    return rest[: next((place for place, word in enumerate(rest) if word.startswith("--")), len(rest))]


def data(options: list[str]) -> tuple:
    step, output, settings = options[0], value(options, "--output"), json.loads(value(options, "--settings"))
    text = [name for name in settings["corpus"]["files"]]
    if step == "corpus":
        return text, ["data/corpora.py"], [output]
    if step == "tokenizer":
        return (
            [*text, value(options, "--corpus")],
            ["data/tokenizer.py"],
            [output, output.replace(".json", "_config.json")],
        )
    splits = ["validation"] if "--pretrained" in options else ["train", "validation"]
    given = [value(options, name) for name in ("--corpus", "--tokenizer", "--pretrained") if name in options]
    files = ["tokens.json", *(f"{split}{ending}" for split in splits for ending in (".bin", "_documents.npy"))]
    return [*text, *given], ["data/packing.py"], [f"{output}/{file}" for file in files]


def training(options: list[str]) -> tuple:
    run, output, tokens = json.loads(value(options, "--run")), value(options, "--output"), value(options, "--tokens")
    gates = ["model/gates.py"] if run["model"]["gate"]["kind"] != "none" else []
    files = ["run.json", "model.safetensors", "metrics.csv", "snapshots/step1", "manifest.json"]
    read = [f"{tokens}/tokens.json", f"{tokens}/train.bin"]
    return read, ["model/decoder.py", *gates], [f"{output}/{file}" for file in files]


def pretrained(options: list[str]) -> tuple:
    folder = Path(options[-1])
    return sorted(map(str, folder.iterdir())), ["pretrained/load.py"], [value(options, "--output")]


def measures(options: list[str]) -> tuple:
    group, tokens = options[0], value(options, "--tokens")
    if "--run" in options:
        folder = value(options, "--run")
        read = [f"{folder}/{file}" for file in ("manifest.json", "model.safetensors", "snapshots/step1")]
    else:
        read, folder = [value(options, "--pretrained")], str(Path(value(options, "--pretrained")).parent)
    written = [f"{folder}/measures/{question}.parquet" for question in KNOWN["groups"][group]]
    read += [f"{tokens}/{file}" for file in ("tokens.json", "validation.bin", "validation_documents.npy")]
    return read, KNOWN["modules"][group], written


def capabilities(options: list[str]) -> tuple:
    """Which tasks there are depends on settings alone; answers, on a model and its tokenizer."""
    if options[0] == "tasks":
        return [], ["measures/capabilities.py"], [value(options, "--output")]
    folder = value(options, "--run") if "--run" in options else ""
    read = [f"{folder}/{file}" for file in ("manifest.json", "model.safetensors")] if folder else []
    read += [value(options, name) for name in ("--pretrained", "--tokenizer") if name in options]
    if "--tokens" in options:  # they calibrate quantised models
        read += [f"{value(options, '--tokens')}/{file}" for file in ("tokens.json", "validation.bin")]
    return read, ["measures/capabilities.py"], [value(options, "--output")]


def answers(folders: list[str], questions: list[str]) -> list[str]:
    return [f"{folder}/measures/{question}.parquet" for folder in folders for question in questions]


def models(options: list[str]) -> list[str]:
    return [model.rpartition("=")[2] for model in values(options, "--models")]


def collect(options: list[str]) -> tuple:
    runs, output = values(options, "--runs"), value(options, "--output")
    read = [f"{run}/manifest.json" for run in runs] + answers(runs, KNOWN["always"])
    return read, ["tables/collect.py"], [f"{output}/{part}.parquet" for part in KNOWN["parts"]]


def ablation(options: list[str]) -> tuple:
    stem = value(options, "--output")
    read = [f"{value(options, '--parts')}/runs.parquet"]
    return read, ["tables/ablation.py"], [f"{stem}.{ending}" for ending in ("html", "csv", "parquet", "md", "tex")]


def runs(options: list[str]) -> tuple:
    folder = value(options, "--output")
    names = ("runs.csv", "runs.html", "variants.html", "variants.md", "long.parquet", "statistics.csv")
    read = [f"{part}/runs.parquet" for part in values(options, "--parts")]
    return read, ["tables/runs.py"], [f"{folder}/{name}" for name in names]


def mechanism(options: list[str]) -> tuple:
    output = value(options, "--output")
    asked = [*KNOWN["table"], "capabilities"] if "--capabilities" in options else KNOWN["table"]
    read = answers(models(options), asked)
    return read, ["tables/mechanism.py"], [output, output.replace(".csv", ".html")]


def published_models(options: list[str]) -> tuple:
    read = [f"{value(options, '--results')}/pretrained/{name}/pretrained.json" for name in values(options, "--models")]
    return read, ["tables/published_models.py"], [value(options, "--output")]


def published_models_page(options: list[str]) -> tuple:
    return [value(options, "--models")], ["tables/published_models_page.py"], [value(options, "--output")]


def provenance(options: list[str]) -> tuple:
    names = [(variant, seed) for variant in values(options, "--variants") for seed in values(options, "--seeds")]
    folders = [f"{value(options, '--results')}/runs/{variant}/seed{seed}" for variant, seed in names]
    read = [f"{folder}/{file}" for folder in folders for file in ("run.json", "manifest.json")]
    return read, ["tables/provenance.py"], [value(options, "--output")]


def provenance_page(options: list[str]) -> tuple:
    return [value(options, "--provenance")], ["tables/provenance_page.py"], [value(options, "--output")]


def drawn(stem: str) -> list[str]:
    return [f"{stem}.{ending}" for ending in ("pdf", "png", "csv")]


def overview(options: list[str]) -> tuple:
    return [value(options, "--runs")], ["figures/__main__.py"], drawn(value(options, "--output"))


def of_ablation(options: list[str]) -> tuple:
    read = [f"{value(options, '--parts')}/{part}.parquet" for part in KNOWN["parts"]]
    return read, [f"figures/ablations/{options[0]}.py"], drawn(value(options, "--output"))


def of_mechanism(options: list[str]) -> tuple:
    read = answers(models(options), KNOWN["figures"][options[0]])
    return read, [f"figures/mechanism/{options[0]}.py"], drawn(value(options, "--output"))


def claims(options: list[str]) -> tuple:
    read = [*values(options, "--claims"), value(options, "--runs"), value(options, "--mechanism")]
    stem = value(options, "--output")
    return read, ["claims/verdict.py"], [f"{stem}.{ending}" for ending in ("csv", "md", "html")]


def nothing(options: list[str]) -> tuple:
    return [], [], []


STAGES = {
    "data": data,
    "training": training,
    "pretrained": pretrained,
    "measures": measures,
    "measures.capabilities": capabilities,
    "tables.collect": collect,
    "tables.ablation": ablation,
    "tables.runs": runs,
    "tables.mechanism": mechanism,
    "tables.published_models": published_models,
    "tables.published_models_page": published_models_page,
    "tables.provenance": provenance,
    "tables.provenance_page": provenance_page,
    "figures": overview,
    "figures.ablations": of_ablation,
    "figures.mechanism": of_mechanism,
    "claims": claims,
    "tracking": nothing,
}


if __name__ == "__main__":
    sys.exit(main())
