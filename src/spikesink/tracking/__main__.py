"""``python -m spikesink.tracking sync --study NAME``: complete the MLflow store from a study's files."""

import argparse
import sys
from pathlib import Path

from spikesink.study.errors import without_secrets
from spikesink.tracking.store import default_uri, reason
from spikesink.tracking.sync import sync


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns 1, with one line on standard error, when the store or a file is not usable."""
    parser = argparse.ArgumentParser(prog="python -m spikesink.tracking", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("sync", help="complete the store from the files of a study")
    command.add_argument("--study", required=True, help="name of the study, and of its MLflow experiment")
    command.add_argument("--results", type=Path, help="the study's folder (results/<study>)")
    command.add_argument("--uri", help="MLflow server or store (mlflow.db beside the study's folder)")
    options = parser.parse_args(arguments)
    results = options.results or Path("results") / options.study
    uri = options.uri or default_uri(results.parent)
    try:
        print(sync(options.study, results, uri))
    except Exception as trouble:
        print(
            f"spikesink: MLflow store {without_secrets(uri)} is not complete: {reason(trouble)}. "
            "The results are unharmed; run the sync again when that is solved.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
