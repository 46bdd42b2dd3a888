"""Complete an MLflow store from the files of a study; running it again changes nothing.

Every run folder that is finished or has diverged becomes one MLflow run with all params, every row of ``metrics.csv``
once, summary values and provenance, under the parent of its variant if the tables list it (``variants.py``); the
study's tables, figures and claims become artifacts of a run named ``study``. Runs are found by the tags that the live
mirror sets too, so a mirrored run is completed, not repeated. A stored run whose config digest or whose metrics differ
from the files, or repeat a step, keeps its values, is tagged ``spikesink.superseded`` and named so, and is replaced by
a new one.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from spikesink.runs.sums import NOTES
from spikesink.study.errors import without_secrets
from spikesink.tracking.experiment import NOTE, PARENT, Experiment
from spikesink.tracking.results import EndedRun, ended_runs, tabulated_variants
from spikesink.tracking.variants import complete_variants

STUDY_FILES = ("tables/**/*", "figures/**/*.pdf", "figures/**/*.png", "figures/**/*.csv", "claims.*", "provenance.*")

Curves = Mapping[str, Mapping[int, float]]


def sync(study: str, results: Path, uri: str) -> str:
    """Make the store complete for one study.

    Parameters
    ----------
    study : the study's name, which names the MLflow experiment.
    results : the study's folder, ``results/<study>``.
    uri : the store.

    Returns one line that says what changed. Raises MlflowException when the store cannot be reached or refuses,
    ValueError when a file of a run is damaged.
    """
    runs = ended_runs(results)
    tabulated = tabulated_variants(results, runs)
    experiment = Experiment(uri, study)
    parents = complete_variants(experiment, tabulated)
    for run in runs:
        with experiment.lock():
            complete_run(experiment, run, parents.get(run.name))
    with experiment.lock():
        complete_study(experiment, results)
    return (
        f"MLflow {without_secrets(uri)}: study {study!r} complete with {len(tabulated)} variants and {len(runs)} "
        f"runs ({experiment.created} new, {experiment.superseded} superseded, {experiment.values} values added) "
        f"and {experiment.files} files"
    )


def complete_run(experiment: Experiment, run: EndedRun, parent: str | None) -> None:
    """Make one run complete; ``parent`` is the id of its variant's run."""
    same_name = experiment.tagged(run=run.name)
    chosen, missing = None, run.metrics
    for old in same_name:
        if old.data.tags.get("spikesink.digest") == run.digest:
            histories = {
                name: experiment.client.get_metric_history(old.info.run_id, name)
                for name in run.metrics
                if name in old.data.metrics
            }
            stored = {name: {metric.step: metric.value for metric in history} for name, history in histories.items()}
            # Two processes mirrored the run at once, or a request was carried out long after it was given up.
            repeats = any(len(history) > len(stored[name]) for name, history in histories.items())
            if not repeats and not contradicts(stored, run.metrics):
                chosen, missing = old, missing_points(stored, run.metrics)
                break
    experiment.supersede(old for old in same_name if old is not chosen)
    if chosen is None:
        chosen = experiment.create(run.name, run.tags, run.time_of(0))
    experiment.restore(chosen, run.name)
    experiment.describe(chosen, run.params, run.tags | {PARENT: parent})
    points = [(name, value, run.time_of(step), step) for name in missing for step, value in missing[name].items()]
    experiment.measure(chosen, run.summary, points)
    for path in (run.folder.run, run.folder.manifest):
        experiment.upload(chosen, path)
    experiment.end(chosen, run.status, run.end)


def contradicts(stored: Curves, record: Curves) -> bool:
    """Whether stored values differ from the record, because the run was trained again."""
    return any(
        math.isfinite(value) and not math.isclose(value, stored[name][step], rel_tol=1e-3, abs_tol=1e-12)
        for name in stored
        for step, value in record[name].items()
        if step in stored[name]
    )


def missing_points(stored: Curves, record: Curves) -> dict[str, dict[int, float]]:
    """What the record has and the store has not."""
    return {
        name: {step: value for step, value in steps.items() if step not in stored.get(name, {})}
        for name, steps in record.items()
    }


def complete_study(experiment: Experiment, results: Path) -> None:
    """Store the study's tables, figures and claims as artifacts of the run named study, in their folders."""
    found = {path for pattern in STUDY_FILES for path in results.glob(pattern) if path.is_file()}
    files = sorted(path for path in found if NOTES not in path.parts)
    stored = experiment.tagged(kind="study")
    if not files and not stored:
        return
    run = stored[0] if stored else experiment.create("study", {"spikesink.kind": "study"})
    experiment.tag(run, {NOTE: "Tables, figures and claims of the whole study: see its artifacts."})
    for path in files:
        folder = path.parent.relative_to(results).as_posix()
        experiment.upload(run, path, None if folder == "." else folder)
    experiment.end(run, "FINISHED")
