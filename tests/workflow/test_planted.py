"""What a user supplies is text wherever it goes: it is not run, it is no markup, no path and no secret."""

from pathlib import Path

import pytest
import yaml
from planted import PLANTED, SECRET, TEXTS, settings_of_text, with_text
from tiny_study import ROOT

from spikesink.study.errors import ConfigError
from spikesink.study.settings import Config
from spikesink.workflow.check import checked_study

SETTINGS = dict(settings_of_text(Config))


def is_accepted(overlay: dict, folder: Path) -> bool:
    """Whether the check of both commands takes an overlay. A refusal is one line and shows no secret."""
    (folder / "config.yaml").write_text("study: nano\nscale: nano\nablations: []\n")
    text = yaml.safe_dump(overlay, allow_unicode=True)
    (folder / "overlay.yaml").write_text(text, encoding="utf-8")
    try:
        checked_study([folder / "overlay.yaml"], folder / "config.yaml", workflow=ROOT / "workflow")
        return True
    except ConfigError as error:
        assert str(error).isprintable() and SECRET not in str(error)
        return False


@pytest.mark.parametrize("path", SETTINGS)
def test_a_setting_refuses_every_text_that_could_harm_or_is_planted(path, tmp_path, monkeypatch):
    """A new setting that takes such texts fails here, until the study of test_surroundings.py plants one in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/nano/tables").mkdir(parents=True)  # a study that has begun need not find its text
    values = [[text] if SETTINGS[path] else text for text in TEXTS]
    taken = [value for value in values if is_accepted(with_text(path, value), tmp_path)]
    assert bool(taken) == (path in PLANTED), taken
    assert not [value for value in taken if SECRET in str(value)]


def test_the_settings_that_are_planted_exist():
    assert set(SETTINGS) >= PLANTED
