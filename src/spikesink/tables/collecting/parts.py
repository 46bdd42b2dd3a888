"""The four tables of an ablation, from the files of its runs and of the baseline's.

runs    one row per run: its numbers (``spikesink.tables.collecting.measured``), sizes, speed, status
states  one row per run and hidden state: channel magnitudes
heads   one row per run, layer and head: attention on the sink
curves  one row per run and logged step: loss and gradient norm

A run that did not finish keeps its row in runs and its status, and has no measures.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from spikesink.quantities import BOTH, CAPABILITIES, QUANTITIES
from spikesink.runs.folder import FINISHED, RunFolder
from spikesink.runs.sums import intact
from spikesink.study.errors import InputError
from spikesink.study.labels import called
from spikesink.study.names import BASELINE
from spikesink.study.run import canonical
from spikesink.tables.collecting.equal_loss import with_equal_loss
from spikesink.tables.collecting.measured import over_documents, perplexity_of, sinks, spike
from spikesink.tables.collecting.reductions import take
from spikesink.tables.contracts import (
    ACTIVATIONS,
    ATTENTION,
    COURSE,
    CURVES,
    DOCUMENT_PERPLEXITY,
    HEADS,
    IDENTITY,
    METRICS,
    PERPLEXITY,
    RUNS,
    STATES,
)
from spikesink.tables.inputs import read_measures, read_table
from spikesink.tables.topics import abilities

FINITE = {
    "perplexity": ["nll_nats"],
    "attention": ["sink_share", "sink_share_gu", "sink_mass", "largest_key_mass"],
    "activations": ["top1", "top2", "top3", "median", "maximum"],
}
"""By measure, the columns that must be there, every value a finite number. Others may be newer than a measure."""
KEYS = {"perplexity": ["position", "tokens"], "attention": ["layer", "head"], "activations": ["state"]}
"""By measure, the columns that say what a row is about."""


def collect(
    folders: Iterable[Path], ablation: str, variants: Mapping[str, dict], capabilities: bool = False
) -> dict[str, pl.DataFrame]:
    """The tables runs, states, heads and curves of an ablation.

    ``folders`` are the runs' folders. ``variants`` has label and ``stands_for`` of the variants that have either.
    ``capabilities``: whether the runs were given tasks, whose answers are read then. Raises InputError.
    """
    rows, courses, parts = [], {}, {"states": [], "heads": [], "curves": []}
    for path in folders:
        folder = RunFolder(path)
        run = settings_of(folder, ablation)
        row = described(run, folder.facts(), variants.get(run["variant"], {}))
        name = f"{run['variant']} with seed {run['seed']}"
        finished = row["status"] == FINISHED
        if finished:
            again = f"measure {name} again"
            positions, heads, states = measures_of(folder, again)
            row |= numbers_of(run, positions, heads, states) | over_documents(documents_of(folder, again))
            row |= abilities.columns(read_measures(path, abilities.READS))
            row |= declared_numbers(path, capabilities)
            if (course := course_of(folder, again)) is not None:
                courses[run["variant"], run["seed"]] = course
            parts["heads"].append(identified(row, heads, HEADS))
            parts["states"].append(identified(row, states, STATES))
        if finished or folder.metrics.exists():
            curve = read_table(folder.metrics, METRICS, f"train {name} again", may_be_empty=not finished)
            parts["curves"].append(identified(row, curve, CURVES))
        rows.append(row)
    with_equal_loss(rows, courses)
    schemas = {"states": STATES, "heads": HEADS, "curves": CURVES}
    return {"runs": pl.DataFrame([{key: row.get(key) for key in RUNS} for row in rows], schema=RUNS)} | {
        name: pl.concat(tables) if tables else pl.DataFrame(schema=schemas[name]) for name, tables in parts.items()
    }


def settings_of(folder: RunFolder, ablation: str) -> dict[str, Any]:
    """What run.json says of a run of the baseline or of the ablation. Raises InputError."""
    run = folder.settings()
    try:
        facts = {key: run[key] for key in ("study", "scale", "ablation", "variant", "seed")}
        facts |= {key: run["model"]["attention"][key] for key in ("heads", "head_dim")}
        facts |= {key: run["training"][key] for key in ("loss_window", "sequence_length")}
        facts |= {"bos": (run.get("tokenizer") or {}).get("bos")} | learning_rate(run)
    except KeyError as error:
        raise InputError(f"{folder.run}: has no key {error}: train this run again") from error
    if facts["loss_window"] is not None and len(facts["loss_window"]) != 2:
        raise InputError(f"{folder.run}: loss_window has {len(facts['loss_window'])} numbers, not two: train it again")
    if facts["ablation"] not in (BASELINE, ablation):
        raise InputError(f"{folder.run}: is a run of {facts['ablation']}, not of {ablation}: take it out of --runs")
    return facts


def learning_rate(run: dict[str, Any]) -> dict[str, Any]:
    """The peak learning rate, and a digest of all other settings of a run."""
    optimiser = run["training"].get("optimiser", {})
    rest = {key: value for key, value in optimiser.items() if key != "lr"}
    others = canonical({"model": run["model"], "training": run["training"] | {"optimiser": rest}})
    return {"lr": optimiser.get("lr"), "without_lr": sha256(others.encode()).hexdigest()[:16]}


def described(run: dict[str, Any], manifest: dict[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a run before its measures: what it is, how it ended, sizes and speed."""
    first, last = run["loss_window"] or (None, None)
    return {
        **{key: run[key] for key in ("ablation", "variant", "seed")},
        "label": called(run["variant"], names.get("label")),
        "status": manifest.get("status", "unknown"),
        "stands_for": names.get("stands_for"),
        **{key: run[key] for key in ("study", "scale", "heads", "head_dim", "sequence_length", "bos")},
        **{key: run[key] for key in ("lr", "without_lr")},
        **{key: manifest.get(key) for key in ("parameters", "tokens", "tokens_per_second", "wall_seconds", "digest")},
        "loss_window_first": first,
        "loss_window_last": last,
    }


def measures_of(folder: RunFolder, remedy: str) -> list[pl.DataFrame]:
    """The measures perplexity, attention and activations of a finished run. Raises InputError."""
    schemas = {"perplexity": PERPLEXITY, "attention": ATTENTION, "activations": ACTIVATIONS}
    return [
        read_table(folder.measure(name), schemas[name], remedy, finite, required=[*KEYS[name], *finite])
        for name, finite in FINITE.items()
    ]


def documents_of(folder: RunFolder, remedy: str) -> pl.DataFrame | None:
    """The perplexity by document; None of a run that was measured before it existed. Raises InputError."""
    path = folder.measure("document_perplexity")
    return read_table(path, DOCUMENT_PERPLEXITY, remedy, ["nll_nats"]) if path.exists() else None


def course_of(folder: RunFolder, remedy: str) -> pl.DataFrame | None:
    """Loss, sinks and spike by snapshot; None of a run without snapshots, or measured before. Raises InputError."""
    path = folder.measure("course")
    if not path.exists() or pl.read_parquet(intact(path, remedy), glob=False).is_empty():
        return None
    return read_table(path, COURSE, remedy, ["loss", "sink_share", "sink_mass"])


def numbers_of(run: dict, positions: pl.DataFrame, heads: pl.DataFrame, states: pl.DataFrame) -> dict:
    """Perplexity, sinks and spike of a finished run."""
    window = run["loss_window"]
    inside = perplexity_of(positions, tuple(window) if window else None)
    whole = {"perplexity": perplexity_of(positions), "perplexity_loss_window": inside}
    return whole | {"draw_seed": positions["draw_seed"][0]} | sinks(heads) | spike(states)


def declared_numbers(path: Path, capabilities: bool) -> dict[str, float | None]:
    """The quantities of every run that are one number of one measure's table, as they declare it."""
    declared = {name: one.taken for name, one in QUANTITIES.items() if one.table == BOTH and one.taken}
    asked = dict.fromkeys(taken.question for taken in declared.values())
    tables = read_measures(path, (name for name in asked if capabilities or name != CAPABILITIES))
    return {name: take(tables, taken) if taken.question in tables else None for name, taken in declared.items()}


def identified(row: dict[str, Any], table: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A table of a run with the run's identity in front: ``columns`` has those of the identity and of the table."""
    identity = [pl.lit(row[key], kind).alias(key) for key, kind in columns.items() if key in IDENTITY]
    return table.with_columns(identity).select(*columns)
