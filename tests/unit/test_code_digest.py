"""The code digest changes with the meaning of the code a job runs, and with nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spikesink.runs import code_digest as module
from spikesink.runs import module_facts, module_source
from spikesink.runs.identity import unused_parts
from spikesink.study.errors import InputError
from spikesink.study.names import BASELINE
from spikesink.study.resolve import load

TRAINING = "spikesink.training.__main__"
MEASURES = ("spikesink.measures.__main__", "spikesink.measures.questions.attention")
GATES = frozenset({"gates"})
REMEMBERED = (module_source.source_files, module_facts.kept_facts, module_facts.facts, module_facts.constant)
"""What one process remembers of the package."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """The facts of all modules, as a first process keeps them for those that follow."""
    folder = tmp_path_factory.mktemp("kept") / ".snakemake"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        digest()
    return folder


@pytest.fixture
def package(kept, tmp_path, monkeypatch) -> Path:
    """A copy of the package that tests may edit."""
    copy = tmp_path / "spikesink"
    shutil.copytree(module_source.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module_source, "PACKAGE", copy)
    shutil.copytree(kept, tmp_path / ".snakemake")
    monkeypatch.chdir(tmp_path)
    clear()
    yield copy
    clear()


def clear() -> None:
    for cached in (module.code_digest, *REMEMBERED):
        cached.cache_clear()


def digest(entry: str = TRAINING, without_parts: frozenset = frozenset()) -> str:
    clear()
    return module.code_digest(entry, without_parts=without_parts)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def move(package: Path, old: str, new: str) -> None:
    """Move a module to another folder and rewrite every import and every text that names it."""
    source, target = (package.joinpath(*name.split(".")).with_suffix(".py") for name in (old, new))
    target.parent.mkdir(parents=True, exist_ok=True)
    (target.parent / "__init__.py").touch()
    source.rename(target)
    (old_folder, name), new_folder = old.rsplit(".", 1), new.rsplit(".", 1)[0]
    for path in package.rglob("*.py"):
        text = path.read_text().replace(f"spikesink.{old}", f"spikesink.{new}")
        text = text.replace(
            f"from spikesink.{old_folder} import {name}\n", f"from spikesink.{new_folder} import {name}\n"
        )
        path.write_text(text)


def test_comments_docstrings_and_formatting_do_not_count(package):
    before = digest()
    path = package / "model/norms.py"
    edit(path, '"""w * tanh(alpha * x): one learned slope alpha', '"""Another text. One slope')
    path.write_text(
        "# a comment\n\n\n" + path.read_text().replace("self.eps = eps", "self.eps = (\n            eps\n        )")
    )
    assert digest() == before


def test_a_change_of_meaning_counts_wherever_it_is_imported_from(package):
    before, measures = digest(), digest("spikesink.measures.__main__")
    edit(package / "model/norms.py", "torch.tanh(self.alpha * x)", "torch.tanh(self.alpha + x)")
    assert digest() != before
    assert digest("spikesink.measures.__main__") != measures


def test_a_part_that_is_not_used_does_not_count(package):
    plain, gated = digest(without_parts=GATES), digest()
    edit(package / "model/gates.py", "torch.sigmoid(g)", "torch.tanh(g)")
    assert digest(without_parts=GATES) == plain
    assert digest() != gated


def test_every_part_of_the_model_is_one_that_a_run_may_lack():
    """A part that nobody leaves out would retrain all runs when it is edited."""
    parts = {module_facts.literal(name, "PART") for name in module.module_digests(TRAINING)} - {None}
    baseline = next(run for run in load().runs if run.variant == BASELINE)
    assert parts == unused_parts(baseline)


def test_moving_files_reruns_nothing(package):
    """Otherwise tidying up would cost every training that was ever run."""
    entries = (TRAINING, *MEASURES)
    before = [digest(entry) for entry in entries] + [digest(without_parts=GATES)]
    move(package, "model.gates", "model.parts.gates")
    move(package, "training.schedule", "training.storage.schedule")
    move(package, "measures.probes.sink_mass", "measures.elsewhere.sink_mass")
    assert not (package / "model/gates.py").exists()
    assert [digest(entry) for entry in entries] + [digest(without_parts=GATES)] == before
    edit(package / "model/parts/gates.py", "torch.sigmoid(g)", "torch.tanh(g)")
    assert digest() != before[0]
    assert digest(without_parts=GATES) == before[-1]


def test_a_name_of_a_module_in_a_text_has_no_folder(package):
    """import_module takes such a text, and the module that it names may move too."""
    edit(package / "model/norms.py", "import torch", 'PLACE = "spikesink.model.gates"\nimport torch')
    before = digest()
    move(package, "model.gates", "model.parts.gates")
    assert digest() == before
    edit(package / "model/norms.py", "spikesink.model.parts.gates", "spikesink.model.valves")
    assert digest() != before


def test_the_module_that_a_name_is_from_counts(package):
    """Two modules may have a function of the same name: importing the other one is another program."""
    (package / "model/one.py").write_text("def f(x):\n    return x\n")
    (package / "model/two.py").write_text("def f(x):\n    return 2 * x\n")
    edit(
        package / "model/norms.py",
        "import torch",
        "from spikesink.model.one import f\nfrom spikesink.model.two import f as g\nimport torch",
    )
    before = digest()
    edit(package / "model/norms.py", "spikesink.model.one import f", "spikesink.model.two import f")
    edit(package / "model/norms.py", "spikesink.model.two import f as g", "spikesink.model.one import f as g")
    assert digest() != before


def test_training_does_not_depend_on_measures_figures_or_tracking(package):
    before = digest()
    for path in (
        "measures/questions/attention.py",
        "figures/drawing/style.py",
        "tracking/store.py",
        "training/progress.py",
        "training/manifest.py",
        "runs/folder.py",
    ):
        (package / path).write_text((package / path).read_text() + "\nCHANGED = 1\n")
    assert digest() == before


@pytest.mark.parametrize("entry", [TRAINING, "spikesink.measures.__main__", "spikesink.data.packing"])
def test_no_file_of_the_settings_counts(package, entry):
    """Settings enter the identity of a job by their values, so an edit of a docstring or a check is no reason."""
    before = digest(entry)
    files = sorted((package / "study/settings").rglob("*.py"))
    assert package / "study/settings/__init__.py" in files and package / "study/settings/build.py" in files
    for path in files:
        path.write_text(path.read_text() + "\nCHANGED = 1\n")
    assert digest(entry) == before


def test_source_files_are_read_as_utf_8_whatever_the_locale():
    """A cluster's nodes may have the locale C, where the same code would have another digest or none."""
    code = f"from spikesink.runs.code_digest import code_digest; print(code_digest({TRAINING!r}))"
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == digest()


def test_kept_facts_are_those_that_are_read_anew(package, kept):
    """A damaged or an old file of them would say that code has not changed, or that it has."""
    known, file = digest(), Path(".snakemake/cache/modules.json")
    assert set(json.loads(file.read_text())["modules"]) > {TRAINING, *MEASURES}
    edit(file, "spikesink.model.norms", "spikesink.model.norm")
    clear()
    assert module_facts.read_kept() == {} and digest() == known, "the sum of the file shows the damage"
    assert json.loads(file.read_text()) == json.loads((kept / "cache/modules.json").read_text()), "it is written anew"
    (package / "model/norms.py").rename(package / "model/norm.py")
    clear()
    assert module_facts.read_kept() == {}, "a text may name another module now"
    (package / "model/gates.py").write_text("half a line (")
    clear()
    assert digest("spikesink.data.packing")
    with pytest.raises(InputError, match=r"gates\.py, line 1: not valid Python \(.*\): correct that line"):
        module_facts.facts("spikesink.model.gates")


def test_an_unknown_entry_is_an_error(package):
    with pytest.raises(FileNotFoundError, match=r"spikesink.nothing is not a module"):
        digest("spikesink.nothing")


def test_the_locale_does_not_count():
    """A job in another locale would take all code for changed, and every run would start anew."""
    program = "from spikesink.runs.code_digest import code_digest; print(code_digest('spikesink.tables.render.latex'))"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = [
        subprocess.run([sys.executable, "-c", program], env=os.environ | locale, capture_output=True, check=True).stdout
        for locale in (plain, {"PYTHONUTF8": "1"})
    ]
    assert found[0] == found[1] and len(found[0]) > 10
