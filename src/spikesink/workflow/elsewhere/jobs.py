"""The runs of a study as jobs for another machine: plain values that say what the rules would have run."""

import json

from spikesink.data.batches import TokenError, read_index
from spikesink.measures.groups import GROUPS
from spikesink.runs.folder import RunFolder
from spikesink.runs.identity import identity
from spikesink.runs.json_file import read_json
from spikesink.study.errors import InputError
from spikesink.study.run import Run, Study, canonical
from spikesink.workflow.drawn import GROUPS_OF_ALL, folder_of, of_study
from spikesink.workflow.group_identity import group_code, group_settings


def jobs(study: Study) -> list[dict]:
    """A job for every run: its settings, and the code and settings of every group of questions that it is asked.

    Seed by seed, each with the baseline first, then the ablations in the order of the config: what is finished early is
    a whole study of fewer seeds.
    """
    order, in_depth = study.config.seeds.index, set(of_study(study).in_depth.values())
    return [
        job(run, study, is_deep=folder_of(run) in in_depth)
        for run in sorted(study.runs, key=lambda run: order(run.seed))
    ]


def job(run: Run, study: Study, is_deep: bool) -> dict:
    groups = [name for name in GROUPS if is_deep or name in GROUPS_OF_ALL]
    return {
        "name": run.name,
        "folder": run.folder,
        "run": json.loads(canonical(identity(run))),
        "groups": {
            name: {"settings": group_settings(name, study.config.measures), "code": group_code(name, run)}
            for name in groups
        },
    }


def token_sums(study: Study) -> dict[str, str]:
    """The sums of the tokens that runs are trained and measured on. Raises InputError where they are not packed."""
    try:
        folders = study.token_folders
        return {
            "train": read_index(folders["train"])["splits"]["train"]["sha256"],
            "measure": read_index(folders["measure"])["splits"]["validation"]["sha256"],
        }
    except (TokenError, KeyError, TypeError) as error:
        raise InputError(f"the study's tokens are not packed here ({error}): run `spikesink pack` first") from error


def is_here(job: dict, tokens: dict[str, str]) -> bool:
    """Whether the run has been trained, here or elsewhere, with these settings, this code and these tokens."""
    folder = RunFolder(job["folder"])
    try:
        same_tokens = read_json(folder.manifest, "").get("tokens_sha256") == tokens["train"]
        return same_tokens and read_json(folder.run, "") == job["run"]
    except InputError:
        return False
