"""What is drawn of a study: its tables and figures, the models that they show, and the files that they need.

A study lies in ``results/<name>``. The name of a study that runs here is its own name; a published one is called
``published/<study>`` (``spikesink.workflow.published``). Rules that draw do not care which of the two it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spikesink.figures.catalogue import ABLATION_FIGURES, MECHANISM_FIGURES
from spikesink.measures.groups import GROUPS
from spikesink.quantities import CAPABILITIES
from spikesink.runs.folder import RunFolder
from spikesink.study.errors import ConfigError
from spikesink.study.labels import shown_names
from spikesink.study.names import BASELINE, COMPARED
from spikesink.study.run import Run, Study
from spikesink.tables.collecting.questions import mechanism_questions

PARTS = ("runs", "states", "heads", "curves")
"""The files of an ablation's parts, which its tables and figures are made from."""
GROUPS_OF_ALL = ("forward",)
"""The groups of questions that every run is asked; the others are asked only of models that are analysed in depth."""
QUESTIONS_OF_ALL = tuple(question for group in GROUPS_OF_ALL for question in GROUPS[group].questions)
"""The questions of these groups."""
OF_TRAINING = ("dynamics", "valve_strength")
"""Figures that say nothing of a model that was not trained here."""
TABLE_FORMATS = ("html", "csv", "parquet", "md", "tex")
FIGURE_FORMATS = ("pdf", "png", "csv")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What is drawn of one study. Folders of models are relative to the study's folder."""

    name: str
    """Its folder is results/<name>."""
    study: str
    ablations: tuple[str, ...]
    has_runs: bool
    """Whether anything is trained. A study of published models alone has no tables and figures of runs."""
    compared: dict[str, dict[str, str]]
    """Models that share figures: the name of the figures, then label and folder of each model."""
    places: dict[str, list[int | str]]
    """For these models, the place of each variant in its ablation, which gives it its colour: from 1, 0 for the
    baseline, "published" for a pretrained model."""
    in_depth: dict[str, str]
    """Rows of the table of the mechanism: name and folder of each model."""
    mechanism_figures: tuple[str, ...]
    questions: tuple[str, ...]
    """Questions that are answered about the models in depth; of a published study, those that are drawn."""
    controls: tuple[str, ...]
    """Published models that no claim is judged by."""


def of_study(study: Study) -> Drawn:
    """What a study's config asks for: figures compare runs of the first seed, the table has every seed."""
    config = study.config
    compared = [run for run in study.runs if run.variant in config.mechanism.compare]
    first = [run for run in compared if run.seed == config.seeds[0]]
    names = shown_names([(run.variant, run.label) for run in first])
    pretrained = {name: model_folder(name) for name in config.pretrained}
    deep = study.runs if config.mechanism.variants == "all" else compared
    return Drawn(
        name=config.study,
        study=config.study,
        ablations=study.ablations,
        has_runs=bool(study.runs),
        compared=({COMPARED: dict(zip(names, map(folder_of, first), strict=True))} if first else {})
        | {name: {name: folder} for name, folder in pretrained.items()},
        places=({COMPARED: [place_of(run, study) for run in first]} if first else {})
        | {name: ["published"] for name in pretrained},
        in_depth={run.name: folder_of(run) for run in deep} | pretrained,
        mechanism_figures=tuple(figure for figure in MECHANISM_FIGURES if study.runs or figure not in OF_TRAINING),
        questions=questions_of(study),
        controls=tuple(name for name, model in config.pretrained.items() if model.control),
    )


def questions_of(study: Study) -> tuple[str, ...]:
    """The questions that models in depth are asked."""
    asked = dict.fromkeys((*GROUPS, *groups_of_all(study)))
    return tuple(question for group in asked for question in questions_in(group))


def questions_in(group: str) -> tuple[str, ...]:
    """The questions of a group. The capabilities are a group of that one question."""
    return GROUPS[group].questions if group in GROUPS else (group,)


def groups_of_all(study: Study) -> tuple[str, ...]:
    """The groups of questions that every run is asked: the capabilities are one where the config names tasks."""
    return (*GROUPS_OF_ALL, CAPABILITIES) if study.config.capabilities.tasks else GROUPS_OF_ALL


def place_of(run: Run, study: Study) -> int:
    """Where the run's variant stands in its ablation, from 1; 0 for the baseline."""
    names = list(dict.fromkeys(each.variant for each in study.of(run.ablation)))
    return 0 if run.ablation == BASELINE else 1 + names.index(run.variant)


def folder_of(run: Run) -> str:
    """The run's folder, relative to its study's."""
    return run.folder.removeprefix(f"results/{run.study}/")


def model_folder(name: str) -> str:
    """The folder of a published model, relative to its study's."""
    return f"pretrained/{name}"


def published_models(study: Drawn) -> list[str]:
    """The published models of a study, by name."""
    return [name for name, folder in study.in_depth.items() if folder == model_folder(name)]


def caption(figure: str) -> str:
    """The caption of an ablation's or the mechanism's figure, for the report. In reStructuredText a bar is escaped."""
    return (ABLATION_FIGURES | MECHANISM_FIGURES)[figure].caption.replace("|", r"\|")


def parts(study: Drawn) -> list[str]:
    """The ablations whose runs are collected; of a study without any the baseline alone, and nothing without runs."""
    return [*study.ablations] or ([BASELINE] if study.has_runs else [])


def table_questions(study: Drawn) -> list[str]:
    """The questions whose answers the table of the mechanism takes; one that was not answered leaves columns out."""
    return [question for question in mechanism_questions() if question in study.questions]


def answers(study: Drawn, models: Iterable[str], questions: Iterable[str]) -> list[str]:
    """Files with the answers to some questions about models, which are given by their folders."""
    folders = [RunFolder(f"results/{study.name}/{folder}") for folder in models]
    return [str(folder.measure(question)) for folder in folders for question in questions]


def capabilities(study: Study) -> list[str]:
    """What every run and published model answered to the tasks. Raises ConfigError where the config names none."""
    if not study.config.capabilities.tasks:
        raise ConfigError("capabilities.tasks is empty: name tasks of lm-evaluation-harness, for example [wikitext]")
    folders = [*map(folder_of, study.runs), *map(model_folder, study.config.pretrained)]
    return answers(of_study(study), folders, [CAPABILITIES])


def table_files(study: Drawn) -> list[str]:
    """What the table of the mechanism is made from. Of some questions a published study keeps a part of the answers."""
    files = answers(study, study.in_depth.values(), table_questions(study))
    return files if study.name == study.study else [file for file in files if Path(file).exists()]


def figure_files(study: Drawn, models: str, figure: str) -> list[str]:
    """What a figure of the mechanism of these models is made from."""
    return answers(study, study.compared[models].values(), MECHANISM_FIGURES[figure].reads)


def ablation_files(study: Drawn, ablation: str) -> list[str]:
    """The tables and figures of one ablation."""
    figures = [f"{ablation}_{family}" for family in ABLATION_FIGURES]
    return [
        *(f"results/{study.name}/tables/{ablation}.{suffix}" for suffix in TABLE_FORMATS),
        *(f"results/{study.name}/figures/{figure}.{suffix}" for figure in figures for suffix in FIGURE_FORMATS),
    ]


def tables(study: Drawn) -> list[str]:
    """The tables that are made from the parts of the ablations.

    One job makes several of them, of which git keeps only some. All are named, so that the others are made again.
    """
    if not study.has_runs:
        return []
    whole = ("runs.csv", "runs.html", "variants.html", "variants.md", "long.parquet", "statistics.csv")
    names = [*whole, *(f"{ablation}.{suffix}" for ablation in study.ablations for suffix in TABLE_FORMATS)]
    return [f"results/{study.name}/tables/{name}" for name in names]


def figures(study: Drawn) -> list[str]:
    """The figures that are drawn from tables."""
    if not study.has_runs:
        return []
    names = ["overview", *(f"{ablation}_{family}" for ablation in study.ablations for family in ABLATION_FIGURES)]
    return [f"results/{study.name}/figures/{name}.{suffix}" for name in names for suffix in FIGURE_FORMATS]


def mechanism(study: Drawn) -> list[str]:
    """The table and the figures that are drawn from the measures of the models in depth."""
    names = [f"{models}_{figure}" for models in study.compared for figure in study.mechanism_figures]
    return [
        *(f"results/{study.name}/tables/mechanism.{suffix}" for suffix in ("csv", "html")),
        *(f"results/{study.name}/figures/mechanism/{name}.{suffix}" for name in names for suffix in FIGURE_FORMATS),
    ]


def drawn_files(study: Drawn) -> list[str]:
    """All that is drawn of a study."""
    pages = ["claims.csv", "claims.md", "claims.html"]
    pages += ["provenance.html"] if study.has_runs else []
    pages += ["published_models.html"] if published_models(study) else []
    return [
        *tables(study),
        *figures(study),
        *mechanism(study),
        *(f"results/{study.name}/{page}" for page in pages),
    ]


def shown_questions(study: Drawn) -> list[str]:
    """The questions whose answers are drawn, in the table of the mechanism or in a figure."""
    in_figures = {question for figure in study.mechanism_figures for question in MECHANISM_FIGURES[figure].reads}
    return sorted(in_figures.union(table_questions(study)))


def sources(study: Drawn) -> list[str]:
    """The files that all of this is drawn from, relative to the study's folder."""
    compared = {folder for models in study.compared.values() for folder in models.values()}
    files = [f"tables/parts/{ablation}/{part}.parquet" for ablation in parts(study) for part in PARTS]
    for folder in study.in_depth.values():
        questions = shown_questions(study) if folder in compared else sorted(table_questions(study))
        model = RunFolder(folder)
        files += [str(model.measure(question)) for question in questions]
        if folder.startswith("runs/"):
            files += [str(model.run), str(model.manifest)]
    files += ["provenance.csv"] if study.has_runs else []
    return [*files, "published_models.csv"] if published_models(study) else files
