"""One parent run per variant, whose children are the runs of its seeds.

A parent's metrics are the study's statistics over seeds, ``perplexity`` by the name that it has in the children, so
that MLflow compares variants as it compares runs (``results.variants``). Its params are those that all seeds share.
What MLflow cannot take back, a param or a metric that holds no longer, makes a new parent, and the old one is
superseded, as is the parent of a variant that has left the study.
"""

from collections.abc import Iterable
from typing import Any

from spikesink.study.names import BASELINE
from spikesink.tracking.experiment import NOTE, SUPERSEDED, Experiment
from spikesink.tracking.results import TabulatedVariant


def complete_variants(experiment: Experiment, variants: Iterable[TabulatedVariant]) -> dict[str, str]:
    """Make the parents complete; returns the parent's id by the name of a run."""
    wanted = {variant.name: variant for variant in variants}
    with experiment.lock():
        gone = [run for run in experiment.tagged(kind="variant") if run.data.tags["spikesink.variant"] not in wanted]
        experiment.supersede(gone)
    parents: dict[str, str] = {}
    for variant in wanted.values():
        with experiment.lock():
            parent = complete_variant(experiment, variant).info.run_id
        parents |= {run.name: parent for run in variant.runs}
    return parents


def complete_variant(experiment: Experiment, variant: TabulatedVariant) -> Any:
    """Make one parent complete; returns it."""
    identity = {"spikesink.kind": "variant", "spikesink.variant": variant.name}
    stored = experiment.tagged(kind="variant", variant=variant.name)
    stored.sort(key=lambda run: SUPERSEDED in run.data.tags)
    chosen = next((run for run in stored if can_become(run, variant)), None)
    experiment.supersede(run for run in stored if run is not chosen)
    if chosen is None:
        start = min((run.time_of(0) for run in variant.runs), default=None)
        chosen = experiment.create(variant.name, identity, start)
    experiment.restore(chosen, variant.name)
    experiment.describe(chosen, variant.params, identity | variant.tags | {NOTE: description(variant)})
    experiment.measure(chosen, variant.metrics)
    end = max((run.end for run in variant.runs), default=None)
    experiment.end(chosen, "FINISHED" if variant.metrics["seeds_finished"] else "FAILED", end)
    return chosen


def can_become(run: Any, variant: TabulatedVariant) -> bool:
    """Whether the stored run can become the variant's: nothing is stored that no longer holds."""
    params = run.data.params.items() <= variant.params.items()
    return params and run.data.metrics.keys() <= variant.metrics.keys()


def description(variant: TabulatedVariant) -> str:
    """What MLflow shows as the description."""
    ablation, left_out = variant.tags["ablation"], variant.tags["left_out"]
    seeds = int(variant.metrics["seeds_finished"])
    what = "What all variants are compared with" if ablation == BASELINE else f"A variant of the ablation {ablation}"
    parts = [f"{what}: means over {seeds} seeds (of perplexities and spikes geometric) with their 95 % intervals."]
    if seeds < 2:
        parts = [f"{what}: {'one seed' if seeds else 'no seed'} finished, so there is no interval."]
    if any(name.endswith("_change") for name in variant.metrics):
        parts.append("Changes are against the baseline, of perplexities and spikes ratios.")
    if left_out:
        parts.append(f"Left out of means: {left_out}.")
    return " ".join(parts)
