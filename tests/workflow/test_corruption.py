"""Damaged files of a finished study, and files of an older version, are used or refused by name: short rounds of
benchmarks/corruption.py and benchmarks/older_states.py, in this process, which has imported what the jobs need."""

import re
import sys
from importlib import import_module

import pytest
from tiny_study import ROOT


@pytest.fixture
def ran(finished, tmp_path, monkeypatch, capsys):
    """What a harness printed that damages a copy of the finished study and finds no fault."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)  # the harness goes into its copy

    def run(harness: str, *options: str) -> str:
        given = ["--folder", str(tmp_path), "--project", str(finished), "--seed", "1", *options]
        monkeypatch.setattr(sys, "argv", [harness, *given])
        status, printed = import_module(harness).main(), capsys.readouterr().out
        assert status == 0, printed
        return printed

    return run


def test_no_damage_becomes_a_number(ran):
    """A bit that flips on a disk, or a copy that ended early, would be a value in a table."""
    # Training takes seconds before it reads anything.
    printed = ran("corruption", "--trials", "32", "--without", "spikesink.training")
    assert re.search(r"^32 trials \(\d+ flipped, \d+ cut short, \d+ deleted\) in \d+ s: 0 faults$", printed, re.M)
    refused = int(re.search(r"^\| all \| (\d+) \|", printed, re.M)[1])
    assert refused >= 20, printed


def test_no_older_state_ends_in_a_traceback(ran):
    """A study that was published before a key or a column existed must stay readable."""
    # Seconds each, before they read anything.
    printed = ran("older_states", "--trials", "40", "--without", "spikesink.training", "spikesink.measures")
    assert re.search(r"^40 trials in \d+ s: 0 faults$", printed, re.M)
    assert re.search(r"^\| all \| \d+ \| \d+ \|$", printed, re.M), printed
