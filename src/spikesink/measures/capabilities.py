"""Give a model the standard tasks of lm-evaluation-harness, and check the tasks that a study names.

``python -m spikesink.measures.capabilities {tasks,answer}``. A run is exported first, and the harness loads the
export as it would any model. Code that comes with a model runs for exports alone, never for published models.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spikesink.measures.accuracies import ACCURACIES, FULL_PRECISION, MEAN_ACCURACY
from spikesink.measures.harnessed import exported, harness, in_every_setting, published
from spikesink.measures.standard_tasks import check_installed, described_tasks, loaded, manager
from spikesink.measures.table import write_table
from spikesink.runs.command import number_from, one_line_errors, stay_offline
from spikesink.runs.folder import RunFolder
from spikesink.runs.json_file import json_object
from spikesink.runs.sums import noted
from spikesink.study.errors import InputError
from spikesink.study.settings import Capabilities, build


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


def quiet() -> None:
    """Leave progress and errors of the libraries' lines."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("lm_eval", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)


def answers(options: argparse.Namespace, settings: Capabilities, work: Path) -> list[dict]:
    """One row per setting, task or group, metric and filter.

    setting: full_precision, or how the model is quantised, as in the measure ``quantisation``; task, metric, filter: as
    the harness names them; value: of the metric, a share for an accuracy; stderr: the harness's estimate of its
    standard error; samples: how many questions; version: of the task. The task mean_accuracy is the mean of the
    accuracies that 2603.17771 averages, where all of them were asked for.
    """
    asked = exported(options, work) if options.run else published(options, work)
    tasks = manager(settings, asked.texts)
    check_lengths(loaded(tasks, settings), settings, asked.context)
    table = rows_in(FULL_PRECISION, harness(asked, options, settings), tasks, settings)
    if settings.quantisation:
        for name, model in in_every_setting(asked, options, settings):
            table += rows_in(name, model, tasks, settings)
    return table


def check_lengths(tasks: Mapping[str, Any], settings: Capabilities, context: int) -> None:
    """Raise InputError where texts of a length that is asked for do not fit into the model."""
    longest = max(settings.context_lengths)
    made = [name for name, task in tasks.items() if str(longest) in lengths_in(task)]
    if made and longest > context:
        raise InputError(
            f"capabilities.context_lengths: the task {made[0]!r} makes texts of {longest:,} tokens, and this model "
            f"takes {context:,}: name lengths up to that"
        )


def lengths_in(task: Any) -> set[str]:
    """The lengths of the texts that a task has made, as RULER notes them in its documents."""
    documents = task.dataset.get("test", ()) if isinstance(task.dataset, Mapping) else ()
    names = getattr(documents, "column_names", ())
    return set(map(str, documents.unique("max_length"))) if "max_length" in names else set()


def rows_in(setting: str, model: Any, tasks: Any, settings: Capabilities) -> list[dict]:
    """The rows of a model in a setting."""
    import lm_eval

    found = lm_eval.simple_evaluate(
        model=model,
        tasks=list(settings.tasks),
        num_fewshot=settings.num_fewshot,
        limit=settings.limit,
        task_manager=tasks,
        log_samples=False,
    )
    rows = list(rows_of(found))
    return [{"setting": setting} | row for row in [*rows, *mean_accuracy(rows)]]


def rows_of(found: Mapping[str, Any]) -> Iterator[dict]:
    """The rows of the harness's results, whose keys are "metric,filter" and "metric_stderr,filter".

    RULER has a metric for every length that it knows, which is -1 where no text has it. These have no row.
    """
    for task, values in found["results"].items():
        for key, value in values.items():
            metric, _, chosen = key.partition(",")
            if not chosen or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            if metric.isdigit() and value == -1:
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


def mean_accuracy(rows: list[dict]) -> list[dict]:
    """The row of the mean of ``ACCURACIES``, where the rows have all of them; no row otherwise."""
    values = {(row["task"], row["metric"]): row["value"] for row in rows}
    wanted = [(task, metric) for task, metric, _ in ACCURACIES.values()]
    if not all(one in values for one in wanted):
        return []
    mean = sum(values[one] for one in wanted) / len(wanted)
    row = {"task": MEAN_ACCURACY, "metric": "acc", "filter": "none", "value": mean}
    return [row | {"stderr": None, "samples": None, "version": ""}]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.measures.capabilities", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    tasks = steps.add_parser("tasks", help="check the names of tasks and fetch their data")
    answer = steps.add_parser("answer", help="give a model the tasks; opens no connection")
    model = answer.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", type=Path, help="the trained run's folder")
    model.add_argument("--pretrained", type=Path, help="the file that `python -m spikesink.pretrained fetch` wrote")
    answer.add_argument("--tokenizer", type=Path, help="tokenizer.json of the study, for a run")
    answer.add_argument("--tokens", type=Path, help="folder of the packed tokens that calibrate a quantisation")
    answer.add_argument(
        "--gpus", type=number_from(0), default=1, help="0 stays on the CPU, as does a machine without a GPU"
    )
    answer.add_argument("--threads", type=number_from(1), default=1, help="CPU threads")
    for step in (tasks, answer):
        step.add_argument("--settings", required=True, help="the section capabilities of the config, as JSON")
        step.add_argument("--output", type=Path, required=True, help="file to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
