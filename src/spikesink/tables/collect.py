"""Collect the runs of one ablation, and the baseline's, into four tables that everything else is drawn from.

runs.parquet    one row per run: its numbers (``spikesink.tables.measured``), sizes, speed, status
states.parquet  one row per run and hidden state: channel magnitudes
heads.parquet   one row per run, layer and head: attention on the sink
curves.parquet  one row per run and logged step: loss and gradient norm

A run that did not finish keeps its row and its status, without measures.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
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
from spikesink.tables.inputs import InputError, json_object, one_line_errors, read_json, read_table
from spikesink.tables.measured import perplexity, sinks, spike

BASELINE = "baseline"
FINISHED = "finished"


def read_run(folder: Path, ablation: str) -> dict:
    """What run.json says of a run of the baseline or of the ablation."""
    path = folder / "run.json"
    run = read_json(path, "train this run first")
    try:
        facts = {key: run[key] for key in ("study", "scale", "ablation", "variant", "seed")}
        facts |= {key: run["model"]["attention"][key] for key in ("heads", "head_dim")}
        facts |= {key: run["training"][key] for key in ("loss_window", "sequence_length")}
    except KeyError as error:
        raise InputError(f"{path}: has no key {error}: train this run again") from error
    if facts["ablation"] not in (BASELINE, ablation):
        raise InputError(f"{path}: is a run of {facts['ablation']}, not of {ablation}: take it out of --runs")
    return facts


def numbers_of(run: dict, positions: pl.DataFrame, heads: pl.DataFrame, states: pl.DataFrame) -> dict:
    """Perplexity, sinks and spike of a finished run."""
    window = run["loss_window"]
    inside = perplexity(positions, tuple(window)) if window else perplexity(positions)
    return {"perplexity": perplexity(positions), "perplexity_loss_window": inside, **sinks(heads), **spike(states)}


def collect(folders: Iterable[Path], ablation: str, variants: Mapping[str, dict]) -> dict[str, pl.DataFrame]:
    """The four tables of an ablation: runs, states, heads, curves. Raises InputError.

    ``variants`` holds the label and ``stands_for`` of the variants that have either.
    """
    rows, states, heads, curves = [], [], [], []
    for folder in folders:
        run = read_run(folder, ablation)
        name, known = f"{run['variant']} with seed {run['seed']}", variants.get(run["variant"], {})
        manifest = read_json(folder / "manifest.json", f"train {name} first")
        status = manifest.get("status", "unknown")
        identity = {key: run[key] for key in ("ablation", "variant", "seed")} | {
            "label": known.get("label") or run["variant"].replace("_", " "),
            "status": status,
        }
        window = run["loss_window"] or (None, None)
        row = {
            **identity,
            "stands_for": known.get("stands_for"),
            **{key: run[key] for key in ("study", "scale", "heads", "head_dim", "sequence_length")},
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
                measures / "attention.parquet",
                ATTENTION,
                remedy,
                ["sink_share", "sink_share_gu", "sink_mass", "largest_key_mass"],
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
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run folders, the baseline's first")
    parser.add_argument(
        "--variants", default="{}", help='JSON object {variant: {"label": ..., "stands_for": ...}} of those with either'
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for runs, states, heads and curves")
    options = parser.parse_args()

    def work() -> None:
        variants = json_object(options.variants, "--variants", "give one JSON object, or leave it out")
        tables = collect(options.runs, options.ablation, variants)
        options.output.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.write_parquet(options.output / f"{name}.parquet")

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
