"""Runs Snakemake in processes forked from this one, which has imported it: most of what a start costs.

A request is a line of JSON on standard input: the arguments, the folder, the environment, the files for standard output
and error, the program that jobs find as ``python``, and a script to run first or null. The answer is a line with the
exit status. Nothing of spikesink is imported here: a run imports it from its own project, as ``python -m snakemake`` in
that folder does.
"""

import json
import os
import runpy
import sys
from multiprocessing import get_context

import requests  # noqa: F401
import snakemake.cli
import snakemake.report.html_reporter
import snakemake.storage

LIMIT_SECONDS = 1500


def run(
    arguments: list[str], folder: str, environment: dict[str, str], files: list[str], python: str, first: str | None
) -> None:
    """The body of a forked process."""
    for descriptor, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    sys.executable = python
    sys.argv = ["snakemake", *arguments]
    if first:
        runpy.run_path(first)
    snakemake.cli.main()


if __name__ == "__main__":
    for line in sys.stdin:
        process = get_context("fork").Process(target=run, kwargs=json.loads(line))
        process.start()
        process.join(LIMIT_SECONDS)
        process.kill()
        process.join()
        print(process.exitcode, flush=True)
