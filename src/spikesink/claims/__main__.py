"""Judge the papers' claims by a study's tables: claims.csv with one row per claim, and a page as Markdown and HTML."""

import argparse
import sys
from pathlib import Path

import polars as pl

from spikesink.claims.formats import html, markdown
from spikesink.claims.mixed_model import components, effects, read_heads
from spikesink.claims.observations import read_observations
from spikesink.claims.page import blocks_of, counts
from spikesink.claims.reading import read_claims
from spikesink.claims.verdict import Finding, judge_all
from spikesink.runs.command import one_line_errors
from spikesink.tables.outputs import write_table, write_text


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.claims", description=__doc__)
    parser.add_argument(
        "--claims", type=Path, nargs="+", required=True, help="files of claims, or folders of such files"
    )
    parser.add_argument("--runs", type=Path, help="runs.csv of the study, if anything was trained")
    parser.add_argument("--mechanism", type=Path, help="mechanism.csv of the study, if there is one")
    parser.add_argument("--controls", nargs="*", default=[], help="published models that no claim is judged by")
    parser.add_argument("--parts", type=Path, nargs="*", default=[], help="folders of the study's collected ablations")
    parser.add_argument("--study", required=True, help="name of the study, for the page's title")
    parser.add_argument("--output", required=True, help="path of the results without .csv, .md, .html")
    options = parser.parse_args()
    observed = read_observations(options.runs, options.mechanism, options.controls)
    claims = read_claims(options.claims, observed.names)
    findings = judge_all(claims, observed)
    heads = read_heads(options.parts) if options.parts else None
    mixed, spreads = (effects(heads), components(heads)) if heads is not None else ([], None)
    scale = f"scale {observed.scale}" if options.runs else "of published models alone"
    title = f"Claims of the papers in study {options.study}, {scale}"
    blocks = blocks_of(findings, mixed, spreads)
    write_table(pl.DataFrame(findings, schema=Finding._fields, orient="row"), f"{options.output}.csv")
    write_text(markdown(title, blocks), f"{options.output}.md")
    write_text(html(title, blocks), f"{options.output}.html")
    print(counts(findings))


if __name__ == "__main__":
    sys.exit(main())
