"""pdflatex sets an ablation's tables as a paper would."""

import shutil
import subprocess

import pytest
from written_tables import HOSTILE, TWO_SEEDS, written_tables

PAPER = r"""\documentclass[%s]{article}
\usepackage{booktabs,graphicx}
\begin{document}
\input{norm}
\end{document}
"""


def program() -> str:
    """pdflatex, if both packages are there."""
    missing = "this test runs pdflatex: install the Debian packages texlive-latex-base and texlive-latex-recommended"
    found, finder = shutil.which("pdflatex"), shutil.which("kpsewhich")
    if found is None or finder is None:
        pytest.fail(missing, pytrace=False)
    style = subprocess.run([finder, "booktabs.sty"], capture_output=True, text=True, timeout=60)
    if style.returncode:
        pytest.fail(missing, pytrace=False)
    return found


@pytest.mark.parametrize("layout", ["twocolumn", "onecolumn"])
@pytest.mark.parametrize(("study", "seeds"), [(TWO_SEEDS, (0, 1)), (HOSTILE, (0,)), (HOSTILE, (0, 1, 2))])
def test_the_tables_compile_and_fit_the_page(tmp_path, monkeypatch, study, seeds, layout):
    folder = written_tables(tmp_path, monkeypatch, study, "norm", seeds)["tex"].parent
    (folder / "paper.tex").write_text(PAPER % layout)
    command = [program(), "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    log = (folder / "paper.log").read_text(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    for complaint in ("Overfull", "Missing character", "undefined"):
        assert complaint not in log
