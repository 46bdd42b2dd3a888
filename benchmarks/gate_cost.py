"""Processor seconds of every test and of its programs, as a plugin of pytest: what the gate spends its time on.

``PYTHONPATH=benchmarks pytest -p gate_cost tests/unit``, with or without processes of pytest-xdist, lists the dearest
files and tests. Programs that tests are forked from count while they run, for the test that they run for.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

SHOWN = 40
NAME = "processor seconds"
BEGAN = pytest.StashKey[float]()
spent: Counter[str] = Counter()


def processor_seconds() -> float:
    """Of this process and of all its programs, those that have ended and those that run."""
    seconds = sum(os.times()[:4])
    for program in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            seconds += sum(program.cpu_times()[:4])
    return seconds


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    item.stash[BEGAN] = processor_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    report = yield
    if call.when == "teardown":
        report.user_properties.append((NAME, processor_seconds() - item.stash[BEGAN]))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        spent[report.nodeid] += dict(report.user_properties).get(NAME, 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    files: Counter[str] = Counter()
    for test, seconds in spent.items():
        files[test.split("::")[0]] += seconds
    terminalreporter.write_line(f"{sum(files.values()):.0f} processor seconds; files, then tests:")
    for name, seconds in [*files.most_common(SHOWN), *spent.most_common(SHOWN)]:
        terminalreporter.write_line(f"{seconds:8.1f} s  {name}")
