"""What rules of the workflow do for a whole study: write its plan, publish it, and draw the rules as a graph."""

import argparse
import json
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.runs.sums import noted
from spikesink.study.plan import Cost, costs, csv_text, table
from spikesink.study.resolve import resolve
from spikesink.workflow.graph import mermaid
from spikesink.workflow.measure_plan import MeasureCost, measure_costs, measure_table
from spikesink.workflow.published import publish


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.workflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    study = argparse.ArgumentParser(add_help=False)
    study.add_argument("--config", type=json.loads, required=True, help="the study's config, as JSON")
    study.add_argument("--workflow", default="workflow", help="folder that has scales/ and ablations/")
    study.add_argument("--output", type=Path, required=True, help="file to write")
    commands.add_parser("plan", parents=[study], help="write what every run of the study will cost, as CSV")
    commands.add_parser("publish", parents=[study], help="publish the finished study around this manifest.json")
    commands.add_parser("graph", help="read what `snakemake --rulegraph` writes, and write it as a Mermaid diagram")
    return parser.parse_args()


@one_line_errors()
def main() -> None:
    options = arguments()
    if options.command == "plan":
        study = resolve(options.config, options.workflow)
        planned, measured = costs(study), list(measure_costs(study))
        for name, rows, kind in (("plan.csv", planned, Cost), ("plan_measures.csv", measured, MeasureCost)):
            with noted(options.output.with_name(name)) as part:
                part.write_text(csv_text(rows, kind), encoding="utf-8")
        print(table(planned) if planned else "Nothing is trained.", measure_table(study, measured), sep="\n\n")
    elif options.command == "publish":
        print(publish(resolve(options.config, options.workflow), options.output.parent))
    else:
        print(mermaid(sys.stdin.read()))


if __name__ == "__main__":
    sys.exit(main())
