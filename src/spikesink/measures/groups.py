"""Which questions one measuring job answers, and which settings it reads.

Both are read from the source of the question modules, which are not imported.

Starting PyTorch and loading a model costs more than answering one question about a small model, so a job answers a
group of questions. A job's identity covers the modules of its own group: editing one reruns the jobs of that group and
nothing else. The Snakefile imports this at every start, so it must not import PyTorch.
"""

from pathlib import Path
from typing import NamedTuple

from spikesink.runs.module_facts import constant

AFFECTS_RESULTS = False

DESCRIPTIONS = {
    "forward": "of every run: how good it is, what it can do, where its attention goes, how large its activations are",
    "spikes": "how massive activations come about (2603.05498, section 3)",
    "geometry": "what norms make of spikes, and how queries and keys make sinks (2603.05498, Figs 5 and 6)",
    "gradients": "where gradients gather and what that does to activations (2603.17771)",
    "consequences": "what spikes and sinks mean for those who stream or edit a model",
    "dynamics": "when sinks, gradient sinks and spikes appear during training, from a run's snapshots",
}
"""The groups, in the order in which rules and help list them."""


class Group(NamedTuple):
    """One measuring job of a model."""

    questions: tuple[str, ...]
    """Each becomes measures/<question>.parquet."""
    reads: tuple[str, ...]
    """Keys of the config's measures section."""
    modules: tuple[str, ...]
    """The modules of ``spikesink.measures.questions`` that answer the questions, in this order."""


def groups() -> dict[str, Group]:
    """Every group, from the literals GROUP, QUESTIONS and READS at the top of each question module.

    Raises ValueError for a module of an unknown group, and KeyError for one without these literals.
    """
    members: dict[str, list[str]] = {name: [] for name in DESCRIPTIONS}
    for path in sorted(Path(__file__).with_name("questions").glob("[!_]*.py")):
        module = f"spikesink.measures.questions.{path.stem}"
        group = constant(module, "GROUP")
        if group not in members:
            raise ValueError(f"{path}: GROUP = {group!r} is not one of {', '.join(members)}: name one of these")
        members[group].append(module)
    return {
        name: Group(listed(modules, "QUESTIONS"), listed(modules, "READS"), tuple(modules))
        for name, modules in members.items()
    }


def listed(modules: list[str], name: str) -> tuple[str, ...]:
    """What the modules declare under this name, one after the other, each item once."""
    return tuple(dict.fromkeys(item for module in modules for item in constant(module, name)))


GROUPS = groups()
