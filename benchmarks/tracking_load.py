"""Many runs log to one MLflow store at once: how much the live mirrors store, and how much is left to the sync.

``python benchmarks/tracking_load.py {sqlite,postgresql} [--runs 64] [--rows 500]``; figures in tracking_load.md.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "services"))

from mirrored_runs import Job, run_together
from mlflow_server import MANY_CONNECTIONS, serving
from postgres import postgres
from tracked_study import faults_of

from spikesink.tracking import default_uri
from spikesink.tracking.mirror import FLUSH_SECONDS
from spikesink.tracking.sync import sync


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", choices=["sqlite", "postgresql"], help="a file, or MLflow's server on a database")
    parser.add_argument("--runs", type=int, default=64, help="processes")
    parser.add_argument("--rows", type=int, default=500, help="rows of four metrics that each logs")
    parser.add_argument("--row-seconds", type=float, default=0.1, help="time between two rows")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        uri = default_uri(folder)
        if options.store == "postgresql":
            uri = stack.enter_context(serving(folder, stack.enter_context(postgres()), MANY_CONNECTIONS)).uri
        study = folder / "tiny"
        shared = {"uri": uri, "results": str(study), "rows": options.rows, "row_seconds": options.row_seconds}
        jobs = [
            Job(variant=f"run{number}", scale=1.0 + number, flush_seconds=FLUSH_SECONDS, **shared)
            for number in range(options.runs)
        ]
        start = time.monotonic()
        outcomes = run_together(jobs, folder / "processes")
        trained = time.monotonic()
        incomplete = faults_of(uri, study)
        checked = time.monotonic()
        print(sync("tiny", study, uri))
        synced = time.monotonic()
        closing = [outcome.closing_seconds for outcome in outcomes]
        print(f"runs {options.runs}, rows {options.rows}, values {4 * options.runs * options.rows}")
        print(f"processes that failed: {sum(outcome.code != 0 for outcome in outcomes)}")
        print(f"complete from the live mirror alone: {options.runs - len(incomplete)}")
        print(f"lines on standard error: {sum(len(outcome.errors) for outcome in outcomes)}")
        print(f"waited for all rows, longest: {1000 * max(outcome.logging_seconds for outcome in outcomes):.0f} ms")
        print(f"closing, median and longest: {statistics.median(closing):.1f} s, {max(closing):.1f} s")
        print(f"training {trained - start:.0f} s, sync {synced - checked:.1f} s")
        remaining = faults_of(uri, study)
        print(f"complete after the sync: {options.runs - len(remaining)}")
    return 1 if remaining else 0


if __name__ == "__main__":
    sys.exit(main())
