"""A study does not depend on where it lies, on what the shell around it has set, nor on what its texts say."""

import csv
import json
import os
import shlex
import sqlite3
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from planted import FIELD, FOLDER, HIT, LABEL, SECRET, STORE, plant
from tiny_study import configure, copy_project

from spikesink.tables.render.latex_text import escaped_cell as in_latex
from spikesink.tables.render.markdown_text import escaped as in_markdown

AROUND = {
    # A locale without UTF-8, in which Python neither coerces nor guesses.
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    # A cell of Jupyter, whose display is not installed here.
    "MPLBACKEND": "module://a_display.that_is_not_installed",
    # The shell of `srun --ntasks=4 --pty bash`, and the ranks of another launcher.
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "bash",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "LOCAL_RANK": "3",
    "WORLD_SIZE": "4",
    "HOME": "/dev/null/home",
    "XDG_CACHE_HOME": "/dev/null/cache",
    "OMP_NUM_THREADS": "1",
    # Where secrets belong.
    **dict.fromkeys(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD", "HF_TOKEN"), SECRET),
}
TARGETS = (
    *("results/tiny/tables/odd.html", "results/tiny/tables/variants.md", "results/tiny/provenance.html"),
    *("results/tiny/figures/odd_ablation.png", "results/tiny/figures/mechanism/compared_context_use.png"),
    "results/tiny/pretrained/m/tokens/tokens.json",
)


def snakemake(project: Path, *options: str) -> str:
    """What Snakemake says of the study in a session of all kinds at once, with the permissions of a group."""
    ended = subprocess.run(
        [sys.executable, "-m", "snakemake", *options, "--cores", "2", "--configfile", "tiny.yaml"],
        cwd=project,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | AROUND,
        capture_output=True,
        timeout=600,
        preexec_fn=lambda: os.umask(0o027),
    )
    said = (ended.stdout + ended.stderr).decode(errors="replace")
    assert ended.returncode == 0, said[-3000:]
    return said


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> tuple[Path, str]:
    """The project after the study and its report, and what Snakemake said.

    Snakemake took a brace for a wildcard, a bracket found no file, a name outside ASCII could not be written.
    """
    project = tmp_path_factory.mktemp("odd") / f"my [2026] {{drive}} $(touch {HIT}) é"
    project.mkdir()
    copy_project(project)
    configure(project, plant(project))
    return project, snakemake(project, *TARGETS, "--printshellcmds") + snakemake(
        project, *TARGETS, "--report", "report.html"
    )


@pytest.fixture(scope="module")
def written(ended) -> dict[str, bytes]:
    """Every file that the study wrote, its records and logs too, by its path in the project."""
    project, said = ended
    folders = [project / "results", project / ".snakemake"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found = {str(path.relative_to(project)): path.read_bytes() for path in [*files, project / "report.html"]}
    return found | {"what Snakemake said": said.encode()}


def test_a_study_in_an_odd_folder_and_an_odd_session_is_a_study(ended):
    project, _ = ended
    run = project / "results/tiny/runs/odd/seed0"
    assert json.loads((run / "manifest.json").read_text())["devices"] == 1
    files = [path for path in (project / "results/tiny").rglob("*") if path.is_file()]
    modes = {path.name: path.stat().st_mode & 0o777 for path in files}
    assert set(modes.values()) == {0o640}, modes  # a colleague of the group reads them, as the umask says


def test_nothing_that_was_planted_ran(ended):
    project, _ = ended
    assert not [path for path in project.parent.rglob(HIT)] and not Path(HIT).exists()


def test_no_file_log_or_argument_shows_a_secret(written):
    assert len(written) > 100
    assert [name for name, content in written.items() if SECRET.encode() in content] == []


def test_every_word_of_a_command_is_one_word(ended):
    """The commands as the shell gets them: a label with its folder, and the settings, are one argument each."""
    _, said = ended
    words = [word for line in said.splitlines() if "python -m spikesink" in line for word in shlex.split(line)]
    assert f"{LABEL}=results/tiny/runs/odd/seed0" in words
    assert FOLDER in words and f"sqlite:///{STORE}" not in words  # the second is for the environment alone
    assert any(json.loads(word)["corpus"]["text_field"] == FIELD for word in words if word.startswith('{"corpus"'))


class Markup(HTMLParser):
    """The attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.attributes, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.attributes += [name for name, _ in attributes]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_no_page_has_markup_from_a_text(written):
    pages = {name: Markup(content.decode()) for name, content in written.items() if name.endswith(".html")}
    assert {"results/tiny/tables/odd.html", "results/tiny/provenance.html", "report.html"} <= set(pages)
    for name, page in pages.items():
        assert "onclick" not in page.attributes, name
    assert LABEL in pages["results/tiny/tables/odd.html"].text
    assert b"</script><b onclick" not in written["report.html"]


def test_markdown_and_latex_show_the_label_as_it_is(written):
    for name, text in (
        ("odd.md", in_markdown(LABEL)),
        ("variants.md", in_markdown(LABEL)),
        ("odd.tex", in_latex(LABEL)),
    ):
        content = written[f"results/tiny/tables/{name}"].decode()
        assert text in content and LABEL not in content, name


def test_tables_json_and_mlflow_hold_the_texts_as_they_are(written, ended):
    project, _ = ended
    for name, content in written.items():
        if name.endswith(".json") and "/.sums/" not in name:
            json.loads(content)
    rows = list(csv.DictReader(written["results/tiny/tables/odd.csv"].decode().splitlines()))
    assert [row["label"] for row in rows] == ["baseline", LABEL]
    assert {LABEL} < {
        row["model"]
        for row in csv.DictReader(
            written["results/tiny/figures/mechanism/compared_context_use.csv"].decode().splitlines()
        )
    }
    index = json.loads(written["results/tiny/data/tokens/tokens.json"])
    assert f"{FOLDER}/tokenizer.json" in {source["file"] for source in index["sources"]}
    sync = ["sync", "--study", "tiny", "--results", "results/tiny", "--uri", f"sqlite:///{STORE}"]
    command = [sys.executable, "-m", "spikesink.tracking", *sync]
    subprocess.run(command, cwd=project, env=os.environ | {"PYTHONPATH": "src"}, check=True, timeout=200)
    with sqlite3.connect(project / STORE) as store:
        logged = {value for (value,) in store.execute("SELECT value FROM params UNION SELECT value FROM tags")}
    assert LABEL in logged
