"""The command ``spikesink`` as a program: what scripts read of it, and locales that lack its letters."""

import os
import subprocess
import sys

from tiny_project import OPTIONS, RESULTS, study_in


def spikesink(folder, *words: str, **around: str) -> str:
    """What the command prints in a folder."""
    command = [sys.executable, "-m", "spikesink.cli", *words, *OPTIONS]
    ended = subprocess.run(command, cwd=folder, env=os.environ | around, capture_output=True, timeout=100)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode("ascii")


def test_the_folder_of_a_study_is_one_line_for_a_makefile(tmp_path):
    study_in(tmp_path)
    assert spikesink(tmp_path, "folder") == f"{RESULTS}\n"


def test_a_locale_without_the_letters_of_a_label_shows_their_codes(tmp_path):
    study_in(tmp_path, variants={"mine": {"wide": {"label": "breit × β", "model": {"layers": 2}}}})
    around = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "(breit \\xd7 \\u03b2)" in spikesink(tmp_path, "runs", **around)
