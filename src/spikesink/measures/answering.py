"""One measuring job: the tables of a group of questions about one model."""

import argparse
import sys
from importlib import import_module

from spikesink.measures.fitting import fitted, progress, short_of_memory
from spikesink.measures.groups import GROUPS
from spikesink.measures.loading import subject_of
from spikesink.measures.probes.observe import LOGITS_ON_CPU
from spikesink.measures.probes.once import kept
from spikesink.measures.table import write_table
from spikesink.runs.folder import RunFolder
from spikesink.runs.json_file import json_object
from spikesink.study.settings import Measures, build
from spikesink.training.freed_memory import keep_freed_memory


def measure(options: argparse.Namespace) -> None:
    """Write the table of every question of the group; all are empty for a run that diverged."""
    group = GROUPS[options.group]
    output = options.output or RunFolder(options.run or options.pretrained.parent).measures
    if options.run and RunFolder(options.run).has_diverged():
        print(f"{options.run} diverged: there is nothing to measure, its tables stay empty", file=sys.stderr)
        for question in group.questions:
            write_table(output / f"{question}.{options.format}", [])
        return
    settings = build(Measures, json_object(options.settings, "--settings", "give the measures section as JSON"))
    subject = subject_of(options)
    keep_freed_memory(largest=LOGITS_ON_CPU)
    settings = fitted(settings, subject, options.group)
    with short_of_memory(settings, options.group), progress(subject, options.group), kept():
        for module in group.modules:
            for question, rows in import_module(module).answers(subject, settings):
                write_table(output / f"{question}.{options.format}", rows)
