"""The programs that stand in for those of the jobs in benchmarks/never_stale.py know every one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OF_WHOLE_STUDIES = {"workflow"}
"""They plan and publish a study, which the benchmark does not ask for."""


def test_every_program_of_a_rule_has_a_stand_in():
    """The benchmark runs for hours, and would end at the first job of a new rule."""
    rules = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    programs = set(re.findall(r'Job\(\s*"spikesink\.([\w.]+)"', rules)) - OF_WHOLE_STUDIES
    known = set(re.findall(r'^    "([\w.]+)": \w+,$', (ROOT / "benchmarks/stand_in.py").read_text(), re.M))
    assert programs and programs - known == set()
