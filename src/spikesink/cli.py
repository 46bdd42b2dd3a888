"""The command ``spikesink``: look at a study from its config and its files; pack it for another machine.

Running it is Snakemake's part.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import yaml

from spikesink.runs.command import said
from spikesink.runs.status import standings
from spikesink.runs.status import table as standing_table
from spikesink.study.errors import ConfigError, InputError
from spikesink.study.plan import assumptions, costs, human, same_settings, table
from spikesink.study.run import Run, Study
from spikesink.study.settings import Plan
from spikesink.workflow.check import checked_study
from spikesink.workflow.command_line import all_of
from spikesink.workflow.measure_plan import measure_costs, measure_table

NO_RUNS = "This study trains nothing: it measures published models."


def find_runs(study: Study, name: str, models: Sequence[str] = ()) -> list[Run]:
    """The run ``variant/seed<k>``, or all runs of ``variant``. Raises ConfigError.

    ``models``: names of published models that could have been given instead; the error lists them.
    """
    found = [run for run in study.runs if name in (run.variant, run.name)]
    if found:
        return found
    variant = name.partition("/")[0]
    variants = ", ".join(dict.fromkeys(run.variant for run in study.runs))
    if seeds := [f"seed{run.seed}" for run in study.runs if run.variant == variant]:
        known = [f"{variant} has {', '.join(seeds)}"]
    else:
        known = [f"variants are {variants}" if variants else "it trains nothing"]
        known += [f"published models are {', '.join(models)}"] if models else []
    raise ConfigError(f"run {name!r} is not in study {study.config.study!r}: {'; '.join(known)}")


def print_runs(study: Study) -> None:
    """One line a run: ablation, variant, seed, folder, and the label that figures show where the variant has one."""
    width = max((len(run.variant) for run in study.runs), default=0)
    if not study.runs:
        print(NO_RUNS)
    for run in study.runs:
        line = f"{run.ablation:14}  {run.variant:{width}}  seed {run.seed}  {run.folder}"
        print(f"{line}  ({run.label})" if run.label else line)


def print_plan(study: Study, plan: Plan, as_json: bool) -> None:
    planned = costs(study, plan)
    if as_json:
        print_json([asdict(cost) for cost in planned])
    else:
        measured = measure_table(study, list(measure_costs(study, plan)), plan)
        print("\n".join([table(planned) if planned else NO_RUNS, *same_settings(study), "", measured]))


def print_show(study: Study, name: str, as_json: bool) -> None:
    """The resolved config of the runs of that name: YAML documents, or a JSON list with what the runs will cost."""
    found = find_runs(study, name)
    planned = costs(replace(study, runs=tuple(found)))
    if as_json:
        print_json([asdict(cost) | {"settings": run.resolved()} for run, cost in zip(found, planned, strict=True)])
        return
    for number, (run, cost) in enumerate(zip(found, planned, strict=True)):
        print("---\n" if number else "", end="")
        print(f"# {run.folder}: {human(cost.parameters)} parameters, {human(cost.tokens)} tokens")
        print(yaml.safe_dump(run.resolved(), sort_keys=False), end="")


def results_of(study: Study) -> Path:
    return Path("results") / study.config.study


def print_summary(study: Study) -> None:
    """The closing table of a finished study and where its report and figures are."""
    from spikesink.tables.render.summary import summary, summary_of_models

    results = results_of(study)
    file, show = ("runs.csv", summary) if study.runs else ("mechanism.csv", summary_of_models)
    table = results / "tables" / file
    if not table.exists():
        raise ConfigError(f"{table} does not exist yet: run `snakemake` first")
    print(show(table))
    print(f"\nreport   {results}/report.html" if (results / "report.html").exists() else "")
    print(f"figures  {results}/figures/\ntables   {results}/tables/")


def print_status(study: Study, watch: float | None, as_json: bool) -> None:
    while True:
        found = standings(study)
        if as_json:
            print_json([asdict(standing) for standing in found])
        else:
            shown = standing_table(found) if found else NO_RUNS
            print(("\033[2J\033[H" if watch else "") + shown, flush=True)
        if not watch:
            return
        time.sleep(watch)


def print_why(study: Study, name: str) -> None:
    """What differs, for every run of that name, or for the published model of that name.

    Raises InputError for the first run that cannot be compared, after the others have been printed.
    """
    from spikesink.runs.why import differences, model_differences  # reads the package's code: not for every command

    if name in study.config.pretrained and name not in {run.variant for run in study.runs}:
        print_differences(f"pretrained model {name}", model_differences(name, study.config), "measured")
        return
    errors = []
    for run in find_runs(study, name, tuple(study.config.pretrained)):
        try:
            print_differences(run.folder, differences(run, study.config), "trained")
        except InputError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def print_differences(what: str, lines: list[str], done: str) -> None:
    print(f"{what}: " + ("nothing has changed" if not lines else f"would be {done} again"))
    print("".join(f"  {line}\n" for line in lines), end="")


def pack_study(study: Study, overlays: Sequence[str], output: Path) -> None:
    """Pack the tokens, where that has not been done, and write the archive for another machine."""
    from spikesink.workflow.elsewhere.call_snakemake import snakemake
    from spikesink.workflow.elsewhere.pack import check_can_be_packed, pack

    check_can_be_packed(study, output)
    indices = dict.fromkeys(f"{folder}/tokens.json" for folder in study.token_folders.values())
    snakemake([*indices, "--quiet", "all"], overlays, quiet=False)
    print(pack(study, output))


def unpack_results(study: Study, overlays: Sequence[str], archives: Sequence[Path]) -> int:
    """Take what has come home, and say what was refused and what is left."""
    from spikesink.workflow.elsewhere.call_snakemake import tell_snakemake
    from spikesink.workflow.elsewhere.unpack import arrived, unpack

    found = unpack(study, archives)
    tell_snakemake(study, found.placed, overlays)
    print(arrived(study, found))
    return 1 if found.refused else 0


def print_json(rows: Sequence) -> None:
    print(json.dumps(rows, indent=2))


def seconds(text: str) -> float:
    """A pause that time.sleep takes."""
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError(text)
    return value


def arguments() -> argparse.Namespace:
    """What the command line says. Raises ConfigError where --configfile stands twice."""
    parser = argparse.ArgumentParser(prog="spikesink", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    overlays = argparse.ArgumentParser(add_help=False)
    overlays.add_argument(
        "--configfile", nargs="*", action="append", default=[], help="overlays on config.yaml, as for snakemake"
    )
    commands.add_parser("runs", parents=[overlays], help="list the runs of the study")
    plan = commands.add_parser("plan", parents=[overlays], help="what the study will cost, before anything runs")
    plan.add_argument("--gpu", help="instead of plan.gpu of the config")
    plan.add_argument("--utilisation", help="instead of plan.utilisation of the config")
    plan.add_argument("--json", action="store_true", help="a list with one object per run")
    show = commands.add_parser("show", parents=[overlays], help="print a run's resolved config as YAML")
    show.add_argument("run", help="variant, or variant/seed<k>")
    show.add_argument("--json", action="store_true", help="a list with one object per run, its cost included")
    status = commands.add_parser("status", parents=[overlays], help="how far every run is, from files alone")
    status.add_argument(
        "--watch", nargs="?", type=seconds, const=5.0, metavar="SECONDS", help="show it again and again"
    )
    status.add_argument("--json", action="store_true", help="a list with one object per run")
    why = commands.add_parser("why", parents=[overlays], help="what has changed since a run was trained")
    why.add_argument("run", help="variant, variant/seed<k>, or the name of a published model in the config")
    commands.add_parser("folder", parents=[overlays], help="print the folder of the study's results")
    commands.add_parser("summary", parents=[overlays], help="print the results of a finished study")
    pack = commands.add_parser("pack", parents=[overlays], help="write an archive for a machine without Snakemake")
    pack.add_argument("--output", type=Path, help="a .tar, .tar.gz or .tar.xz file; by default <study>.tar.gz")
    unpack = commands.add_parser("unpack", parents=[overlays], help="bring the results of a packed study home")
    unpack.add_argument("results", nargs="+", type=Path, help="the results.tar that the other machine wrote")
    options = parser.parse_args()
    options.configfile = all_of("--configfile", options.configfile)
    return options


def main() -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `spikesink runs | head` ends quietly
    sys.stdout.reconfigure(errors="backslashreplace")  # a locale may lack a letter of a label, or the sign ×
    try:
        options = arguments()
        study, _ = checked_study(options.configfile)
        if options.command == "runs":
            print_runs(study)
        elif options.command == "plan":
            print_plan(study, assumptions(study.config.plan, options.gpu, options.utilisation), options.json)
        elif options.command == "show":
            print_show(study, options.run, options.json)
        elif options.command == "status":
            print_status(study, options.watch, options.json)
        elif options.command == "why":
            print_why(study, options.run)
        elif options.command == "pack":
            pack_study(study, options.configfile, options.output or Path(f"{study.config.study}.tar.gz"))
        elif options.command == "unpack":
            return unpack_results(study, options.configfile, options.results)
        elif options.command == "folder":
            print(results_of(study))
        else:
            print_summary(study)
    except (ConfigError, InputError, OSError) as error:
        print(f"error: {said(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # the end of --watch
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
