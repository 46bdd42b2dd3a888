"""Give a model the standard tasks of lm-evaluation-harness, and check the tasks that a study names.

``python -m spikesink.measures.capabilities {tasks,answer}``. A run is exported first, and the harness loads the
export as it would any model. Code that comes with a model runs for exports alone, never for published models.
"""

import argparse
import difflib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from spikesink.measures.table import write_table
from spikesink.runs.command import one_line_errors, stay_offline
from spikesink.runs.described_files import check_unchanged, files_of_model
from spikesink.runs.folder import RunFolder
from spikesink.runs.json_file import json_object, read_intact_json
from spikesink.runs.json_kinds import MEASURED_MODEL
from spikesink.runs.sums import delete_and_run, noted
from spikesink.study.errors import InputError, first_line
from spikesink.study.settings import Capabilities, build

INSTALL = "pip install 'spikesink[capabilities]', or in this checkout `make capabilities`"
LIBRARIES = ("lm_eval", "transformers", "accelerate")


@one_line_errors(TypeError, ValueError)
def main() -> None:
    options = arguments()
    settings = build(Capabilities, json_object(options.settings, "--settings", "give the section capabilities"))
    check_installed()
    quiet()
    if options.step == "tasks":
        with noted(options.output) as part:
            part.write_text(json.dumps(described_tasks(settings), indent=1) + "\n", encoding="utf-8")
        return
    stay_offline()
    if options.run and RunFolder(options.run).has_diverged():
        print(f"{options.run} diverged: it is given no tasks, its table stays empty", file=sys.stderr)
        write_table(options.output, [])
        return
    with tempfile.TemporaryDirectory() as work:
        os.environ["HF_MODULES_CACHE"] = f"{work}/code"  # transformers copies an export's code there
        write_table(options.output, answers(options, settings, Path(work)))


def check_installed() -> None:
    """Raise InputError that names the extra where a library is missing."""
    for library in LIBRARIES:
        try:
            metadata.version(library)
        except metadata.PackageNotFoundError:
            raise InputError(f"{library} is not installed, which capabilities need: {INSTALL}") from None


def quiet() -> None:
    """Leave progress and errors of the libraries' lines."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


def manager(settings: Capabilities) -> Any:
    """The harness's tasks, and those of include_path. Raises InputError for a name that none of them has."""
    from lm_eval.tasks import TaskManager

    folder = settings.include_path
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"capabilities.include_path = {folder!r} is no folder here: correct it")
    found = TaskManager(include_path=folder)
    for name in settings.tasks:
        if name not in found.all_tasks:
            close = difflib.get_close_matches(name, found.all_tasks, n=3)
            near = f"did you mean {', '.join(close)}?" if close else "`lm-eval ls tasks` lists all"
            raise InputError(f"capabilities.tasks: lm-eval {metadata.version('lm_eval')} has no task {name!r}: {near}")
    return found


@contextmanager
def loading(name: str) -> Iterator[None]:
    """A task whose data cannot be had becomes an InputError that names it."""
    try:
        yield
    except Exception as error:  # the harness and its libraries have no common one
        raise InputError(
            f"capabilities.tasks: the task {name!r} cannot be loaded ({type(error).__name__}: {first_line(error)}): "
            "check its file, or run `snakemake capability_tasks` where the hub can be reached"
        ) from error


def described_tasks(settings: Capabilities) -> dict[str, Any]:
    """The libraries' versions and each task's; loading the tasks has brought their data into the hub's cache."""
    tasks = manager(settings)
    found = {}
    for name in settings.tasks:
        with loading(name):
            found |= {one: task.VERSION for one, task in tasks.load([name])["tasks"].items()}
    return {"libraries": {name: metadata.version(name) for name in LIBRARIES}, "tasks": found}


def answers(options: argparse.Namespace, settings: Capabilities, work: Path) -> list[dict]:
    """One row per task or group, metric and filter.

    task, metric, filter: as the harness names them; value: of the metric, a share for an accuracy; stderr: the
    harness's estimate of its standard error; samples: how many questions; version: of the task.
    """
    import lm_eval

    tasks = manager(settings)
    for name in settings.tasks:
        with loading(name):
            tasks.load([name])
    found = lm_eval.simple_evaluate(
        model=harness(options, settings, work),
        tasks=list(settings.tasks),
        num_fewshot=settings.num_fewshot,
        limit=settings.limit,
        task_manager=tasks,
        log_samples=False,
    )
    return list(rows_of(found))


def rows_of(found: Mapping[str, Any]) -> Iterator[dict]:
    """The rows of the harness's results, whose keys are "metric,filter" and "metric_stderr,filter"."""
    for task, values in found["results"].items():
        for key, value in values.items():
            metric, _, chosen = key.partition(",")
            if not chosen or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = values.get(f"{metric}_stderr,{chosen}")
            yield {
                "task": task,
                "metric": metric,
                "filter": chosen,
                "value": float(value),
                "stderr": float(error) if isinstance(error, int | float) else None,
                "samples": found["n-samples"].get(task, {}).get("effective"),
                "version": str(found["versions"].get(task, "")),
            }


def harness(options: argparse.Namespace, settings: Capabilities, work: Path) -> Any:
    """The model as the harness takes it, in float32: a run by its export, a published model by its own files."""
    import torch
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    class Scored(HFLM):
        """The harness puts a BOS before every window that it scores, so the tokenizer must not give another."""

        def loglikelihood_rolling(self, requests: list, disable_tqdm: bool = False) -> list[float]:
            kept, self.add_bos_token = self.add_bos_token, False
            try:
                return super().loglikelihood_rolling(requests, disable_tqdm)
            finally:
                self.add_bos_token = kept

    model, texts, context = exported(options, work) if options.run else published(options, work)
    is_ours = options.run is not None
    tokenizer = AutoTokenizer.from_pretrained(texts, trust_remote_code=is_ours)
    # Padding is masked, so that any token will do; the harness would add one that the model lacks.
    tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.convert_ids_to_tokens(0)
    torch.set_num_threads(options.threads)
    return Scored(
        pretrained=str(model),
        tokenizer=tokenizer,
        device="cuda" if options.gpus and torch.cuda.is_available() else "cpu",
        dtype="float32",
        batch_size=settings.batch_size,
        max_length=context,
        trust_remote_code=is_ours,
    )


def exported(options: argparse.Namespace, work: Path) -> tuple[Path, Path, int]:
    """The folder of the export of a run, twice: of model and tokenizer; and the context."""
    from spikesink.pretrained.export import export, read_run

    export(options.run, options.tokenizer, work / "model")
    return work / "model", work / "model", read_run(options.run)[2].sequence_length


def published(options: argparse.Namespace, work: Path) -> tuple[Path, Path, int]:
    """The folders of a published model and of its tokenizer, which starts texts as the study does; the context."""
    from spikesink.pretrained.tokenizer import tokenizer_files
    from spikesink.pretrained.vocabulary import largest_id

    described = read_intact_json(options.pretrained, delete_and_run(options.pretrained), MEASURED_MODEL)
    check_unchanged(files_of_model(described), options.pretrained)
    source, context = Path(described["tokenizer"]), described["positions"]
    size = max(described["vocabulary"], largest_id(source) + 1)
    files, _ = tokenizer_files(source, size, context, described["bos"], described["bos_token"])
    (work / "texts").mkdir()
    for name, content in files.items():
        (work / "texts" / name).write_text(content, encoding="utf-8")
    return Path(described["folder"]), work / "texts", context


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.measures.capabilities", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    tasks = steps.add_parser("tasks", help="check the names of tasks and fetch their data")
    answer = steps.add_parser("answer", help="give a model the tasks; opens no connection")
    model = answer.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", type=Path, help="the trained run's folder")
    model.add_argument("--pretrained", type=Path, help="the file that `python -m spikesink.pretrained fetch` wrote")
    answer.add_argument("--tokenizer", type=Path, help="tokenizer.json of the study, for a run")
    answer.add_argument("--gpus", type=int, default=1, help="0 stays on the CPU, as does a machine without a GPU")
    answer.add_argument("--threads", type=int, default=1, help="CPU threads")
    for step in (tasks, answer):
        step.add_argument("--settings", required=True, help="the section capabilities of the config, as JSON")
        step.add_argument("--output", type=Path, required=True, help="file to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
