"""What decides a measuring job, beside the model and the text: its group of questions, by its code and its settings."""

from spikesink.measures.groups import GROUPS
from spikesink.runs.identity import unused_parts
from spikesink.study.run import Run, canonical
from spikesink.study.settings import Measures
from spikesink.workflow.jobs import digest


def group_settings(group: str, measures: Measures) -> str:
    """The part of the config's measures that the group reads, as one canonical JSON text."""
    return canonical({key: getattr(measures, key) for key in GROUPS[group].reads})


def group_code(group: str, run: Run | None = None) -> str:
    """The digest of the code that answers the group's questions about a run, or without one about a published model."""
    modules = ("spikesink.measures.__main__", *GROUPS[group].modules)
    if run is None:
        return digest(modules)
    return digest(modules, frozenset({"spikesink.pretrained.load"}), unused_parts(run))
