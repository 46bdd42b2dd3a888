"""The mechanism of several models in numbers: one row per model, the headlines of its measures side by side.

``spikesink.tables.headlines`` has a module per topic that explains its columns.
"""

import argparse
import sys
from pathlib import Path

import polars as pl

from spikesink.tables.headlines.amplifier import amplifier
from spikesink.tables.headlines.consequences import consequences
from spikesink.tables.headlines.gradients import gradients
from spikesink.tables.headlines.layered import layered
from spikesink.tables.headlines.normalised import normalised
from spikesink.tables.headlines.reshaped import reshaped
from spikesink.tables.headlines.sinks import sinks
from spikesink.tables.headlines.spikes import spikes
from spikesink.tables.headlines.training import training
from spikesink.tables.inputs import labelled, one_line_errors, read_measures
from spikesink.tables.mechanism_page import mechanism_page

TOPICS = (spikes, amplifier, normalised, sinks, gradients, reshaped, layered, training, consequences)

READ = (
    "lifecycle",
    "spike_channels",
    "vocabulary_probe",
    "delimiter_probe",
    "amplifier_alignment",
    "amplifier_spectrum",
    "amplifier_norms",
    "silu_identity",
    "first_token_value_output",
    "normalisation",
    "normalised_channels",
    "sink_geometry",
    "attention_distance",
    "gradient_sink_ratio",
    "gradients",
    "value_gradient_bounds",
    "reshaping",
    "reshaping_slopes",
    "layers",
    "valve_strength",
    "onsets",
    "independence",
    "quantisation",
    "streaming",
    "interventions",
)
"""The measures that the headlines are taken from."""


def mechanism(models: dict[str, Path]) -> pl.DataFrame:
    """One row per model by label and folder; one without measures, because it diverged, has a row without numbers.

    Raises InputError.
    """
    rows = []
    for label, folder in models.items():
        tables = read_measures(folder, READ)
        measured = not tables["lifecycle"].is_empty()
        row = {"model": label, "measured": measured}
        for topic in TOPICS if measured else ():
            row |= topic(tables)
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.mechanism", description=__doc__)
    parser.add_argument("--models", nargs="+", required=True, metavar="LABEL=FOLDER", help="folders with measures/")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write, beside it a page")
    options = parser.parse_args()

    def work() -> None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        models = mechanism(labelled(options.models))
        models.write_csv(options.output)
        options.output.with_suffix(".html").write_text(mechanism_page(models))

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
