"""Nothing that a config, a folder or a foreign study names is run by a shell."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
SHELL = re.compile(r"^ *shell:\n((?: *(?:\"[^\n]*\"|#[^\n]*)\n)+)", re.M)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_value_in_a_shell_line_is_quoted(path):
    text = path.read_text()
    lines = SHELL.findall(text)
    assert len(lines) == len(re.findall(r"^ *shell:", text, re.M)), "a shell line that this test does not see"
    for line in lines:
        assert [value for value in re.findall(r"\{([^{}]*)\}", line) if not value.endswith(":q")] == []
