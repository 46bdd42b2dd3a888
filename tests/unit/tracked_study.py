"""A small study on disk, and what an MLflow store holds of it."""

import csv
import functools
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from spikesink.tables.statistics.statistics import TESTED, statistics
from spikesink.tracking import Mirror, default_uri, run_name, run_params, run_tags

STEPS = range(20, 220, 20)


def settings(variant: str, seed: int = 1) -> dict:
    return {
        "study": "tiny",
        "scale": "nano",
        "ablation": "norm",
        "variant": variant,
        "seed": seed,
        "tokenizer": {"kind": "trained", "vocabulary": 512},
        "model": {"layers": 2, "gate": {"kind": "none"}, "note": "n" * 900},
        "training": {"steps": 200, "loss_window": None, "optimiser": {"lr": 0.004}},
    }


def values(step: int, scale: float = 1.0) -> dict[str, float]:
    return {"tokens": step * 64.0, "loss": scale * 5 / step, "learning_rate": 1e-3, "gradient_norm": 1 / 3 / step}


def write_run(
    results: Path,
    variant: str,
    digest: str,
    scale: float = 1.0,
    steps: Iterable[int] = STEPS,
    seed: int = 1,
    status: str = "finished",
) -> Path:
    folder = results / "runs" / variant / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(settings(variant, seed)))
    rows = [",".join(str(value) for value in (step, *values(step, scale).values())) for step in steps]
    (folder / "metrics.csv").write_text("\n".join(["step,tokens,loss,learning_rate,gradient_norm", *rows, ""]))
    manifest = {
        "status": status,
        "digest": digest,
        "git": {"commit": "c0ffee", "dirty": False},
        "versions": {"torch": "2.13.0", "lightning": "2.6.6"},
        "hardware": {"device": "cpu"},
        "parameters": 7_000_000_001,
        "tokens": 12_800,
        "wall_seconds": 60.0,
        "tokens_per_second": 213.3,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def write_study(results: Path, variants: tuple[str, ...] = ("rms", "dyt")) -> Path:
    for variant in variants:
        write_run(results, variant, f"digest-{variant}")
    unfinished = write_run(results, "unfinished", "digest-unfinished") / "manifest.json"
    unfinished.write_text('{"status": "failed"}')
    (results / "tables").mkdir()
    rows = [f"norm,{variant},1,12.5,25.0,,0,finished" for variant in variants]
    header = "ablation,variant,seed,perplexity,sink_ratio,spike,spike_position,status"
    (results / "tables" / "runs.csv").write_text("\n".join([header, *rows, ""]))
    (results / "figures" / "norm").mkdir(parents=True)
    (results / "figures" / "norm" / "spikes.png").write_bytes(b"image")
    (results / "figures" / "norm" / "notes.txt").write_text("not a figure")
    return results


def mirror_for(uri: str, variant: str, folder: Path, digest: str | None = None, flush_seconds: float = 0.2) -> Mirror:
    config = settings(variant)
    tags, params = run_tags(config, digest or f"digest-{variant}"), run_params(config)
    return Mirror(uri, "tiny", run_name(config), tags, params, folder / "mlflow_run_id", flush_seconds=flush_seconds)


@functools.cache
def empty_database() -> bytes:
    """An MLflow database with empty tables. Made once, because it takes seconds."""
    from spikesink.tracking.store import open_store

    with tempfile.TemporaryDirectory() as folder:
        open_store(default_uri(folder), "another study", timeout_seconds=5)
        return (Path(folder) / "mlflow.db").read_bytes()


def new_store(folder: Path) -> str:
    """Make a folder of results whose MLflow store does not hold the study; returns the store's address."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mlflow.db").write_bytes(empty_database())
    return default_uri(folder)


def stored_runs(uri: str, study: str = "tiny") -> list:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(study)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def content(uri: str, artifacts: Path | None = None) -> dict:
    """Everything that a store holds about the study, in a form that can be compared with a later state."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    runs = {}
    for run in stored_runs(uri):
        history = {
            name: [(metric.step, metric.value, metric.timestamp) for metric in client.get_metric_history(run_id, name)]
            for run_id in [run.info.run_id]
            for name in run.data.metrics
        }
        info = (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time)
        runs[run.info.run_id] = (info, dict(run.data.tags), dict(run.data.params), history)
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (artifacts or Path("-")).rglob("*.*")}
    return {"runs": runs, "files": files}


def steps_of(uri: str, run_id: str, name: str = "loss") -> list[int]:
    from mlflow import MlflowClient

    return sorted(metric.step for metric in MlflowClient(tracking_uri=uri).get_metric_history(run_id, name))


def faults_of(uri: str, results: Path) -> dict[str, str]:
    """By finished run, how the store differs from metrics.csv, which has every step and value once.

    The files and the store are read here by other code than the sync's.
    """
    from mlflow import MlflowClient

    client, faults = MlflowClient(tracking_uri=uri), {}
    runs = [run for run in stored_runs(uri) if run.data.tags.get("spikesink.superseded") != "true"]
    for path in sorted(results.glob("runs/*/seed1/metrics.csv")):
        if '"finished"' not in path.with_name("manifest.json").read_text():
            continue
        name = f"{path.parents[1].name}/seed1"
        found = [run.info.run_id for run in runs if run.info.run_name == name]
        if len(found) != 1:
            faults[name] = f"{len(found)} runs"
            continue
        record = defaultdict(list)
        with path.open() as file:
            for row in csv.DictReader(file):
                for metric in row.keys() - {"step"}:
                    record[metric].append((int(row["step"]), float(row[metric])))
        for metric, points in record.items():
            stored = sorted((point.step, point.value) for point in client.get_metric_history(found[0], metric))
            if stored != points:
                repeated = len(stored) - len(set(stored))
                faults[name] = f"{metric}: {len(points)} rows, {len(stored)} stored, {repeated} repeated"
    return faults


def write_seeds(results: Path, perplexities: Mapping[str, Iterable[float | None]], scale: float = 1.0) -> Path:
    """A study of several seeds with its tables: by variant the perplexity of seed 1, 2, ..., None where it diverged.

    The spike is the square of the perplexity.
    """
    rows = []
    for variant, values_by_seed in perplexities.items():
        for seed, perplexity in enumerate(values_by_seed, start=1):
            status = "diverged" if perplexity is None else "finished"
            write_run(results, variant, f"digest-{variant}-{seed}", scale, seed=seed, status=status)
            ablation = "baseline" if variant == "baseline" else "norm"
            names = {"study": "tiny", "scale": "nano", "ablation": ablation, "variant": variant, "seed": seed}
            numbers = dict.fromkeys(TESTED, perplexity) | {"spike": perplexity and perplexity**2}
            rows.append(names | {"label": variant.upper(), "stands_for": None, "status": status, **numbers})
    tables = results / "tables"
    tables.mkdir(exist_ok=True)
    runs = pl.DataFrame(rows, infer_schema_length=None).cast(dict.fromkeys(TESTED, pl.Float64))
    runs.write_csv(tables / "runs.csv")
    statistics(runs).write_csv(tables / "statistics.csv")
    return results
