"""The command ``spikesink``: look at a study from its config and its files. Running it is Snakemake's part."""

import argparse
import json
import signal
import sys
from pathlib import Path

from spikesink.study import ConfigError, Run, Study, load


def find_run(study: Study, name: str) -> Run:
    """A run by ``variant`` (its first seed) or ``variant/seed<k>``. Raises ConfigError."""
    for run in study.runs:
        if name in (run.variant, f"{run.variant}/seed{run.seed}"):
            return run
    known = ", ".join(dict.fromkeys(run.variant for run in study.runs))
    raise ConfigError(f"run {name!r} is not in study {study.config.study!r}: variants are {known}")


def print_runs(study: Study) -> None:
    width = max(len(run.variant) for run in study.runs)
    for run in study.runs:
        print(f"{run.ablation:14}  {run.variant:{width}}  seed {run.seed}  {run.folder}")


def print_summary(study: Study) -> None:
    """The closing table of a finished study and where its report and figures are."""
    from spikesink.tables.summary import summary

    results = Path("results") / study.config.study
    runs = results / "tables" / "runs.csv"
    if not runs.exists():
        raise ConfigError(f"{runs} does not exist yet: run `snakemake` first")
    print(summary(runs))
    print(f"\nreport   {results}/report.html" if (results / "report.html").exists() else "")
    print(f"figures  {results}/figures/\ntables   {results}/tables/")


def main() -> int:
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `spikesink runs | head` ends quietly
    parser = argparse.ArgumentParser(prog="spikesink", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    overlays = argparse.ArgumentParser(add_help=False)
    overlays.add_argument("--configfile", nargs="*", default=[], help="overlays on config.yaml, as for snakemake")
    commands.add_parser("runs", parents=[overlays], help="list the runs of the study")
    show = commands.add_parser("show", parents=[overlays], help="print a run's resolved config as JSON")
    show.add_argument("run", help="variant, or variant/seed<k>")
    commands.add_parser("summary", parents=[overlays], help="print the results of a finished study")
    options = parser.parse_args()
    try:
        study = load(options.configfile)
        if options.command == "runs":
            print_runs(study)
        elif options.command == "show":
            print(json.dumps(find_run(study, options.run).resolved(), indent=2))
        else:
            print_summary(study)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
