"""The code digest changes with the meaning of the code a job runs, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from spikesink.runs import code_digest as module

TRAINING = "spikesink.training.__main__"
GATES = frozenset({"spikesink.model.gates"})


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A copy of the package that tests may edit."""
    copy = tmp_path / "spikesink"
    shutil.copytree(module.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", copy)
    clear()
    yield copy
    clear()


def clear() -> None:
    for cached in (module.code_digest, module.tree, module.meaning, module.imports):
        cached.cache_clear()


def digest(entry: str = TRAINING, without: frozenset = frozenset()) -> str:
    clear()
    return module.code_digest(entry, without)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


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
    plain, gated = digest(without=GATES), digest()
    edit(package / "model/gates.py", "torch.sigmoid(g)", "torch.tanh(g)")
    assert digest(without=GATES) == plain
    assert digest() != gated


def test_training_does_not_depend_on_measures_figures_or_tracking(package):
    before = digest()
    for path in (
        "measures/attention.py",
        "figures/style.py",
        "tracking/store.py",
        "training/progress.py",
    ):
        (package / path).write_text((package / path).read_text() + "\nCHANGED = 1\n")
    assert digest() == before


@pytest.mark.parametrize("entry", [TRAINING, "spikesink.measures.__main__", "spikesink.data.packing"])
def test_no_file_of_the_settings_counts(package, entry):
    before = digest(entry)
    files = sorted((package / "settings").rglob("*.py"))
    assert package / "settings/__init__.py" in files and package / "settings/build.py" in files
    for path in files:
        path.write_text(path.read_text() + "\nCHANGED = 1\n")
    assert digest(entry) == before


def test_an_unknown_entry_is_an_error(package):
    with pytest.raises(FileNotFoundError, match=r"spikesink.nothing is not a module"):
        digest("spikesink.nothing")
