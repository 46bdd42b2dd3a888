"""Published studies: what a finished study is drawn from, kept in git without weights, and drawn anew from there.

The folder ``results/published/<study>`` holds

study.yaml      the whole config: `snakemake --configfile` of it repeats the study
provenance.csv  every run's settings, code, text and machine
tables/parts/   the runs of every ablation; runs/, pretrained/: measures of the models analysed in depth
manifest.json   its figures of the mechanism, the questions that were answered, the code and software that made it, and
                the SHA-256 of every file

`snakemake publish` writes it, `snakemake published` draws everything from it. The manifest names figures and questions,
so a figure or question that is added to the project later changes nothing here. What was not measured then is not
drawn: a column that the files lack is null in tables, and a figure that needs an answer they lack is left out.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.measures.groups import GROUPS
from spikesink.runs import sums
from spikesink.runs.atomic import delete, whole
from spikesink.runs.checkout import git_state, version
from spikesink.runs.code_digest import code_digest
from spikesink.runs.inside import inside
from spikesink.runs.sums import FROM_GIT, file_sum, noted
from spikesink.study.errors import InputError
from spikesink.study.names import NAME, check_name
from spikesink.study.resolve import resolve
from spikesink.study.run import Study
from spikesink.study.strict_yaml import read_yaml
from spikesink.study.whole import whole_config
from spikesink.workflow.drawn import Drawn, of_study, shown_questions, sources
from spikesink.workflow.jobs import digest

RESULTS = Path("results")
FOLDERS = ("runs", "pretrained", "tables", "figures")
"""The folders of a published study: what was copied, and what was drawn from it."""
SOFTWARE = ("spikesink", "torch", "lightning", "numpy", "scipy", "polars", "matplotlib", "seaborn", "snakemake")


def published_names() -> list[str]:
    """Names of the published studies, ``published/<study>`` each."""
    found = (path.parent.name for path in RESULTS.glob("published/*/manifest.json"))
    return [f"published/{name}" for name in sorted(filter(NAME.fullmatch, found))]


def published_ablations() -> list[str]:
    """Names of the ablations of all published studies, by their folders: reading the studies would take time."""
    return folder_names("published/*/tables/parts/*")


def published_models() -> list[str]:
    """Names of the published models that published studies have measured, by their folders."""
    return folder_names("published/*/pretrained/*")


def folder_names(pattern: str) -> list[str]:
    """Names, in order, of the folders that a pattern finds among the results.

    A name that no study of ours can have becomes no rule's wildcard and no file's name: such a folder is left out.
    """
    return sorted(filter(NAME.fullmatch, {path.name for path in RESULTS.glob(pattern)}))


def read_published(name: str) -> Drawn:
    """What is drawn of a published study. Raises InputError, ConfigError."""
    folder = RESULTS / name
    manifest = read_manifest(folder)
    sums.intact(folder / "study.yaml", FROM_GIT)
    study = of_study(resolve(read_yaml(folder / "study.yaml", as_text=True)))
    figures, questions = manifest["figures"], tuple(manifest["questions"])
    for figure in figures:
        if figure not in MECHANISM_FIGURES:
            raise InputError(
                f"{folder}/manifest.json: this checkout has no figure {figure!r}: check out the commit that the "
                "manifest names, or publish the study again"
            )
    # A figure that shows more than it did when the study was published is not drawn: that was not measured.
    drawable = [figure for figure in figures if set(MECHANISM_FIGURES[figure].reads) <= set(questions)]
    return replace(study, name=name, mechanism_figures=tuple(drawable), questions=questions)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a published study. Raises InputError where it is none, or names files outside its folder."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_bytes())
        names, files = [*manifest["figures"], *manifest["questions"]], dict(manifest["sha256"])
        for name in names:
            check_name(str(path), name)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not the manifest of a published study ({error!r}): publish it again") from error
    for file in files:
        inside(folder, file, path)
    sums.intact(path, FROM_GIT)
    return manifest


def intact(name: str) -> str:
    """The name itself. Raises InputError where a file is missing or is not as the manifest says."""
    folder = RESULTS / name
    if faults := damaged(folder):
        more = f" and {len(faults) - 1} more files" if len(faults) > 1 else ""
        manifest = folder / "manifest.json"
        raise InputError(f"{folder / faults[0]}{more}: not what {manifest} says: bring it back from git")
    return name


def damaged(folder: Path) -> list[str]:
    """Files of a published study that are missing or not as its manifest says. Raises InputError."""
    listed = read_manifest(folder)["sha256"]
    return [path for path, known in listed.items() if not (folder / path).is_file() or file_sum(folder / path) != known]


def publish(finished: Study, target: Path) -> str:
    """Publish a finished study in ``target``; returns a line that says so. Raises InputError."""
    study = of_study(finished)
    facts = {
        "figures": list(study.mechanism_figures),
        "questions": shown_questions(study),
        "code": {
            "training": code_digest("spikesink.training.__main__"),
            **{f"measures of {name}": digest(group.modules) for name, group in GROUPS.items()},
            "tables": code_digest("spikesink.tables.collect"),
        },
    }
    return copy_files(RESULTS / study.name, target, sources(study), whole_config(finished), facts)


def copy_files(source: Path, target: Path, files: list[str], config: Mapping, facts: Mapping[str, Any]) -> str:
    """Copy ``files`` of a study, and write study.yaml and manifest.json; returns a line that says so.

    What was published or drawn there before is removed, whether or not a manifest still names it: Snakemake deletes the
    old manifest before it publishes again. Nothing is removed before all files are known to be intact. Raises
    InputError.
    """
    for path in files:
        sums.intact(source / path, "run the study to its end, then publish it")
    text = yaml.safe_dump(dict(config), sort_keys=False)
    about = {
        "published": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_state(),
        "versions": {name: version(name) for name in SOFTWARE},
        **facts,
    }
    if (target / "manifest.json").exists():
        for path in read_manifest(target)["sha256"]:
            (target / path).unlink(missing_ok=True)
    for folder in FOLDERS:
        delete(target / folder)
    for path in files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
    with whole(target / "study.yaml") as part:
        part.write_text(f"# The whole config of a published study.\n{text}", encoding="utf-8")
    manifest = about | {"sha256": {path: file_sum(target / path) for path in (*files, "study.yaml")}}
    with noted(target / "manifest.json") as part:
        part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    size = sum((target / path).stat().st_size for path in files)
    return f"{target}: {len(files)} files, {size / 1e6:.1f} MB"
