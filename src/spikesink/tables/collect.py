"""Collect the runs of one ablation, and the baseline's, into four tables that everything else is drawn from.

runs.parquet    one row per run: its numbers (``spikesink.tables.measured``), sizes, speed, status
states.parquet  one row per run and hidden state: channel magnitudes
heads.parquet   one row per run, layer and head: attention on the sink
curves.parquet  one row per run and logged step: loss and gradient norm

A run that did not finish keeps its row and its status, without measures.
"""

import argparse
import sys
from pathlib import Path

import polars as pl

from spikesink.tables.contracts import (
    ACTIVATIONS,
    ATTENTION,
    CURVES,
    HEADS,
    METRICS,
    PERPLEXITY,
    RUNS,
    STATES,
)
from spikesink.tables.inputs import InputError, one_line_errors, read_json, read_table
from spikesink.tables.measured import perplexity, sinks, spike

BASELINE = "baseline"
FINISHED = "finished"
STUDY_KEYS = ("study", "scale", "ablations", "runs")
RUN_KEYS = (
    "ablation",
    "variant",
    "seed",
    "label",
    "stands_for",
    "folder",
    "heads",
    "head_dim",
    "loss_window",
    "sequence_length",
)


def read_study(path: Path) -> dict:
    """study.json, checked for its keys."""
    remedy = "let the workflow write it again"
    study = read_json(path, remedy)
    for keys, holder in ((STUDY_KEYS, [study]), (RUN_KEYS, study.get("runs", []))):
        for entry in holder:
            missing = [key for key in keys if key not in entry]
            if missing:
                raise InputError(f"{path}: has no key {missing[0]!r}: {remedy}")
    return study


def runs_of(study: dict, ablation: str) -> list[dict]:
    """The study's entries for the baseline and for the ablation, baseline first, else in the study's order."""
    if ablation not in (*study["ablations"], BASELINE):
        known = ", ".join(study["ablations"])
        raise InputError(f"--ablation {ablation}: study {study['study']!r} has no such ablation: use one of {known}")
    baseline = [run for run in study["runs"] if run["ablation"] == BASELINE]
    return baseline + [run for run in study["runs"] if run["ablation"] == ablation != BASELINE]


def label_of(run: dict) -> str:
    """What figures call the variant."""
    return run["label"] or run["variant"].replace("_", " ")


def numbers_of(run: dict, positions: pl.DataFrame, heads: pl.DataFrame, states: pl.DataFrame) -> dict:
    """Perplexity, sinks and spike of a finished run."""
    window = run["loss_window"]
    inside = perplexity(positions, tuple(window)) if window else perplexity(positions)
    return {"perplexity": perplexity(positions), "perplexity_loss_window": inside, **sinks(heads), **spike(states)}


def collect(study_file: Path, ablation: str) -> dict[str, pl.DataFrame]:
    """The four tables of an ablation: runs, states, heads, curves. Raises InputError."""
    study = read_study(study_file)
    rows, states, heads, curves = [], [], [], []
    for run in runs_of(study, ablation):
        folder, name = Path(run["folder"]), f"{run['variant']} with seed {run['seed']}"
        manifest = read_json(folder / "manifest.json", f"train {name} first")
        status = manifest.get("status", "unknown")
        identity = {key: run[key] for key in ("ablation", "variant", "seed")} | {
            "label": label_of(run),
            "status": status,
        }
        window = run["loss_window"] or (None, None)
        row = {
            "study": study["study"],
            "scale": study["scale"],
            **identity,
            **{key: run[key] for key in ("stands_for", "heads", "head_dim", "sequence_length")},
            **{
                key: manifest.get(key)
                for key in ("parameters", "tokens", "tokens_per_second", "wall_seconds", "digest")
            },
            "loss_window_first": window[0],
            "loss_window_last": window[1],
        }
        metrics = folder / "metrics.csv"
        if status == FINISHED:
            remedy, measures = f"measure {name} again", folder / "measures"
            positions = read_table(measures / "perplexity.parquet", PERPLEXITY, remedy, ["nll_nats"])
            run_heads = read_table(
                measures / "attention.parquet", ATTENTION, remedy, ["sink_share", "sink_share_gu", "mass_0", "mass_max"]
            )
            run_states = read_table(
                measures / "activations.parquet", ACTIVATIONS, remedy, ["top1", "top2", "top3", "median", "maximum"]
            )
            row |= numbers_of(run, positions, run_heads, run_states)
            heads.append(identified(identity, run_heads, HEADS))
            states.append(identified(identity, run_states, STATES))
        if status == FINISHED or metrics.exists():
            curve = read_table(metrics, METRICS, f"train {name} again", may_be_empty=status != FINISHED)
            curves.append(identified(identity, curve, CURVES))
        rows.append(row)
    return {
        "runs": pl.DataFrame([{key: row.get(key) for key in RUNS} for row in rows], schema=RUNS),
        "states": pl.concat(states) if states else pl.DataFrame(schema=STATES),
        "heads": pl.concat(heads) if heads else pl.DataFrame(schema=HEADS),
        "curves": pl.concat(curves) if curves else pl.DataFrame(schema=CURVES),
    }


def identified(identity: dict, table: pl.DataFrame, columns: dict) -> pl.DataFrame:
    """The table with the run's identity in front."""
    return table.with_columns(pl.lit(value, columns[key]).alias(key) for key, value in identity.items()).select(
        *columns
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.collect", description=__doc__.splitlines()[0])
    parser.add_argument("--study-file", type=Path, required=True, help="the study's study.json")
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs, states, heads and curves")
    options = parser.parse_args()

    def work() -> None:
        tables = collect(options.study_file, options.ablation)
        options.output.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.write_parquet(options.output / f"{name}.parquet")

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
