"""Which figures there are: the modules in the folders ablations and mechanism, with what each reads and its caption.

Both are read from the source as literals. Importing the modules would import matplotlib and seaborn, which takes 1.9 s
of processor time at every start of Snakemake; reading takes 0.1 s, most of which the digests of the code need anyway.
"""

from pathlib import Path
from typing import NamedTuple

from spikesink.runs.module_facts import constant

AFFECTS_RESULTS = False
"""Which other figures there are changes no figure."""


class Listed(NamedTuple):
    """What planning needs to know of a figure."""

    reads: tuple[str, ...]
    """Of an ablation's figure the collected tables, of the mechanism's the questions of measures."""
    caption: str


def listed(folder: str, reads: str) -> dict[str, Listed]:
    """The figures of a folder by name; ``reads`` is the constant that says what a module reads.

    Raises KeyError, which names module and constant, where a module lacks one of the two.
    """
    names = sorted(path.stem for path in Path(__file__).with_name(folder).glob("[!_]*.py"))
    modules = {name: f"spikesink.figures.{folder}.{name}" for name in names}
    return {
        name: Listed(constant(module, reads), constant(module, "CAPTION"))  # type: ignore[arg-type]
        for name, module in modules.items()
    }


ABLATION_FIGURES = listed("ablations", "PARTS")
"""The figures of every ablation."""
MECHANISM_FIGURES = listed("mechanism", "QUESTIONS")
"""The figures of models that are analysed in depth."""
