"""Rewrite the generated parts of README.md and docs/, so that no number of a study is typed by hand.

``python docs/generate.py`` rewrites. With ``--check`` it writes nothing, names every file that is
out of date, and fails if there is one.

A page marks a generated part with two comments, and everything between them is replaced:

    <!-- include: verdicts -->
    <!-- end -->

The names that may follow ``include:`` are in docs/parts.py. docs/config.md is generated as a whole.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from parts import PARTS

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(r"(<!-- include: (?P<name>\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def config_page() -> str:
    """docs/config.md: every key of the config, from the settings' docstrings."""
    command = [sys.executable, "-m", "spikesink.study.reference"]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def rewritten(text: str) -> str:
    """The text of a page with every marked part as its files have it now."""
    return MARKED.sub(lambda found: f"{found[1]}{PARTS[found['name']]()}\n{found[3]}", text)


def pages() -> dict[Path, str]:
    """README.md and the pages of docs/ as they should be."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    wanted = {path: rewritten(path.read_text()) for path in paths}
    return wanted | {ROOT / "docs/config.md": config_page()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python docs/generate.py", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; name the files that are out of date")
    options = parser.parse_args()
    stale = {path: text for path, text in pages().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        name = path.relative_to(ROOT)
        if options.check:
            print(f"{name} is out of date: run `python docs/generate.py`", file=sys.stderr)
        else:
            path.write_text(text)
            print(name)
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
