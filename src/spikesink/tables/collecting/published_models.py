"""What the published models of a study are: one row per model with its source, its numbers and its files."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePath

import polars as pl

from spikesink.runs.json_file import read_intact_json
from spikesink.runs.json_kinds import MEASURED_MODEL
from spikesink.study.errors import InputError
from spikesink.tables.contracts import PUBLISHED_MODELS

REMEDY = "fetch the model again"


def published_models(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per model, from the file that ``python -m spikesink.pretrained fetch`` wrote about it, by its name.

    Of a local path the name alone is kept, as the path says nothing elsewhere. Raises InputError.
    """
    rows = []
    for model, path in files.items():
        known = read_intact_json(path, REMEDY, MEASURED_MODEL)
        digests = {name: one["digest"] for name, one in (known.get("files") or {}).items()}
        libraries = known.get("converted_by") or {}
        is_local = known.get("revision") is None
        row = known | {
            "model": model,
            "source": PurePath(known["source"]).name if is_local else known["source"],
            "packages": ", ".join(known.get("packages") or ()) or None,
            "converted_by": ", ".join(f"{name} {version}" for name, version in libraries.items()) or None,
            "files": json.dumps(digests, sort_keys=True),
        }
        rows.append({name: row.get(name) for name in PUBLISHED_MODELS})
    try:
        return pl.DataFrame(rows, schema=PUBLISHED_MODELS, orient="row")
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(f"a pretrained.json holds something unexpected ({error}): {REMEDY}") from error
