"""What is drawn of a study: its ablations, and the models that are analysed in depth.

The study at hand says it in its config, a published one in its manifest (``spikesink.workflow.publish``).
"""

import json
from pathlib import Path
from typing import NamedTuple

from spikesink.study.errors import ConfigError
from spikesink.study.names import BASELINE
from spikesink.study.run import Run, Study

PUBLISHED = Path("results/published")


class Drawn(NamedTuple):
    """Names and folders, these relative to the study's folder."""

    study: str
    scale: str
    ablations: tuple[str, ...]
    compared: dict[str, dict[str, str]]
    """Models that share figures: the name of their files, then label and folder of each."""
    places: dict[str, list[int | str]]
    """For these the place of each variant in its ablation, by which its figures give it a colour: from 1, 0 for the
    baseline, "published" for a pretrained model."""
    in_depth: dict[str, str]
    """Rows of the table of the mechanism: name and folder."""


def drawn(study: Study) -> Drawn:
    """What a study's config asks for: figures compare runs of the first seed, the table has every seed."""
    config = study.config
    compared = [run for run in study.runs if run.variant in config.mechanism.compare]
    first = [run for run in compared if run.seed == config.seeds[0]]
    labels = [run.label for run in first]
    names = [
        run.label if run.label and labels.count(run.label) == 1 else run.variant.replace("_", " ") for run in first
    ]
    pretrained = {name: f"pretrained/{name}" for name in config.pretrained}
    deep = study.runs if config.mechanism.variants == "all" else compared
    return Drawn(
        config.study,
        config.scale,
        study.ablations,
        {"compared": dict(zip(names, map(inside, first), strict=True))}
        | {name: {name: folder} for name, folder in pretrained.items()},
        {"compared": [place_of(run, study) for run in first]} | {name: ["published"] for name in pretrained},
        {f"{run.variant}/seed{run.seed}": inside(run) for run in deep} | pretrained,
    )


def place_of(run: Run, study: Study) -> int:
    """Where the run's variant stands in its ablation, from 1; 0 for the baseline."""
    names = list(dict.fromkeys(each.variant for each in study.of(run.ablation)))
    return 0 if run.ablation == BASELINE else 1 + names.index(run.variant)


def inside(run: Run) -> str:
    """The run's folder in its study's."""
    return run.folder.removeprefix(f"results/{run.study}/")


def published(folder: Path = PUBLISHED) -> dict[str, Drawn]:
    """What the studies published in a folder are drawn of, by theirs. Raises ConfigError."""
    found = {}
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            found[path.parent.as_posix()] = from_plain(json.loads(path.read_text())["drawn"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not the manifest of a published study ({error!r}): publish it again") from error
    return found


def from_plain(values: dict) -> Drawn:
    """From what ``_asdict`` became in JSON."""
    return Drawn(**values | {"ablations": tuple(values["ablations"])})
