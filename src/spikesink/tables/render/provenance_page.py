"""The provenance of a study as a page: what all its runs share, then how every run differs from the baseline."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

import polars as pl

from spikesink.runs.json_file import json_object
from spikesink.runs.why import changes, show
from spikesink.study.names import BASELINE
from spikesink.tables.contracts import SOFTWARE
from spikesink.tables.render.page import page

STYLE = """
th, td { padding: .25em .8em .25em 0; }
code, pre { font-size: 12.5px; }
pre { white-space: pre-wrap; max-width: 48em; margin: .3em 0; }
summary { cursor: pointer; }
"""
TRACE = (
    "To trace a number: the CSV file beside every figure names variant and seed, as the tables do. That row below has "
    "the settings of the run and the digest and commit of its code; above it are text, software and machine. "
    "spikesink why VARIANT/seedK, in a checkout with the results, says what has changed since."
)
SHARED = {
    "commit": "commit",
    "tokens_sha256": "packed text, SHA-256",
    "tokenizer_sha256": "tokenizer, SHA-256",
    "machine": "processor",
    "device": "trained on",
    "threads": "CPU threads of a run",
    "precision": "precision",
    "system": "system",
}
"""Headings of the columns of which usually all runs have one value; where they do not, the page counts them."""


def provenance_page(runs: pl.DataFrame, study: str) -> str:
    """HTML that loads nothing, from the table of ``spikesink.tables.collecting.provenance``."""
    scale, seeds = ", ".join(runs["scale"].drop_nulls().unique()), ", ".join(map(str, sorted(set(runs["seed"]))))
    statuses = runs["status"].value_counts(sort=True).iter_rows()
    counts = escape(", ".join(f"{count} {status}" for status, count in statuses))
    hours = (runs["wall_seconds"].sum() or 0) / 3600
    return page(
        f"Provenance of study {study}",
        STYLE,
        [
            f"<p>Scale {escape(scale)}, seeds {seeds}: {len(runs)} runs, {counts}; {hours:.1f} hours of training, "
            f"begun {known(runs['started'].min())}, ended {known(runs['finished'].max())}.</p>",
            f"<p>{TRACE}</p>",
            "<h2>All runs</h2>\n<table>",
            *shared_rows(runs),
            "</table>\n<h2>Every run</h2>\n<table>",
            row(
                "th", ("variant", "seed", "status", "digest", "code", "commit", "minutes", "differs from the baseline")
            ),
            *run_rows(runs),
            "</table>",
        ],
    )


def known(value: Any) -> str:
    """The value as HTML."""
    return escape(str(value)) if value is not None else "unknown"


def shared_rows(runs: pl.DataFrame) -> Iterator[str]:
    """The value that all runs share or, where they differ, every value with the number of its runs."""
    changed = pl.when("dirty").then(pl.lit(" with changes")).otherwise(pl.lit(""))
    unknown = "unknown: " + pl.col("reason")  # what git says, for example of a checkout that another user owns
    runs = runs.with_columns((pl.col("commit") + changed).fill_null(unknown))
    software = [", ".join(f"{name} {each[name]}" for name in SOFTWARE) for each in runs.to_dicts()]
    runs = runs.with_columns(pl.Series("software", software))
    for name, heading in (SHARED | {"software": "software"}).items():
        found = runs[name].value_counts(sort=True).rows()
        texts = [known(value) + (f" ({count} runs)" if len(found) > 1 else "") for value, count in found]
        yield f"<tr><td>{heading}</td><td><code>{'<br>'.join(texts)}</code></td></tr>"


def run_rows(runs: pl.DataFrame) -> Iterator[str]:
    """A row per run; a click on what differs shows all its settings."""
    rows = runs.to_dicts()
    baseline = next((settings_of(run) for run in rows if run["variant"] == BASELINE), {})
    for run in rows:
        settings = settings_of(run)
        words = "; ".join(f"{key} = {show(value)}" for key, _, value in changes(baseline, settings)) or "nothing"
        whole = (
            f"<details><summary>{escape(words)}</summary><pre>{escape(json.dumps(settings, indent=1))}</pre></details>"
        )
        minutes = "" if run["wall_seconds"] is None else f"{run['wall_seconds'] / 60:.1f}"
        commit = f"{(run['commit'] or 'unknown')[:10]}{' +' if run['dirty'] else ''}"
        cells = (run["variant"], run["seed"], run["status"], run["digest"], run["code"], commit, minutes)
        yield row("td", cells).removesuffix("</tr>") + f"<td>{whole}</td></tr>"


def settings_of(run: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run. Raises InputError."""
    return json_object(run["settings"] or "{}", f"settings of {run['variant']}", "collect the provenance again")


def row(tag: str, cells: tuple) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"
