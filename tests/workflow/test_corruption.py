"""Damaged files of a finished study, and files of an older version, are used or refused by name: short rounds of
benchmarks/corruption.py and benchmarks/older_states.py."""

import re
import subprocess
import sys

from tiny_study import ROOT


def test_no_damage_becomes_a_number(finished, tmp_path):
    """A bit that flips on a disk, or a copy that ended early, would be a value in a table."""
    harness = [sys.executable, str(ROOT / "benchmarks/corruption.py"), "--trials", "32", "--seed", "1"]
    # Training takes seconds before it reads anything.
    harness += ["--folder", str(tmp_path), "--project", str(finished), "--without", "spikesink.training"]
    result = subprocess.run(harness, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^32 trials \(\d+ flipped, \d+ cut short, \d+ deleted\) in \d+ s: 0 faults$", result.stdout, re.M)
    refused = int(re.search(r"^\| all \| (\d+) \|", result.stdout, re.M)[1])
    assert refused >= 20, result.stdout


def test_no_older_state_ends_in_a_traceback(finished, tmp_path):
    """A study that was published before a key or a column existed must stay readable."""
    harness = [sys.executable, str(ROOT / "benchmarks/older_states.py"), "--trials", "40", "--seed", "1"]
    harness += ["--folder", str(tmp_path), "--project", str(finished)]
    harness += ["--without", "spikesink.training", "spikesink.measures"]  # seconds each, before they read anything
    result = subprocess.run(harness, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^40 trials in \d+ s: 0 faults$", result.stdout, re.M)
    assert re.search(r"^\| all \| \d+ \| \d+ \|$", result.stdout, re.M), result.stdout
