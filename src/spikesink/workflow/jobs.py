"""What the rules of the workflow have in common: which program a job runs, by which code, and with which resources.

Every rule that runs a program of this package takes its command, the digest of its code, its environment and its
resources from one ``Job``, so that they belong together::

    job = Job("spikesink.tables.collect", RESOURCES.draw)


    rule collect:
        ...
        retries: job.retries
        conda:
            job.environment
        threads: job.threads
        resources:
            **job.resources,
        params:
            **job.params,
        shell:
            "{params.command:q} --output {output:q} 2>&1 | tee {log:q}"

Every value in the text of a command ends with ``:q``, which quotes it: a name, a label or a folder is then a word
whatever it holds, not something that the shell runs. So a command of several words is a list.

Rules may all use the name ``job``: Snakemake reads everything but the text of the command when it defines the rule.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from spikesink.runs.code_digest import code_digest
from spikesink.runs.module_source import source_file
from spikesink.study.run import canonical
from spikesink.study.settings import Resources
from spikesink.workflow.cluster import devices, job_resources, launcher
from spikesink.workflow.forks.start import SERVED


class Job:
    """What a rule needs to run ``python -m module`` with the resources of a stage.

    ``code`` names the modules that decide the results, where that is not the whole program: its own code is then not
    counted. ``without`` names modules that the program imports but does not use here.
    """

    environment = str(Path(__file__).parents[3] / "envs/spikesink.yaml").replace("{", "{{").replace("}", "}}")
    """The conda environment of every job. Snakemake takes a brace in a folder's name for a wildcard."""

    def __init__(
        self, module: str, stage: Resources, code: Iterable[str] = (), without: frozenset[str] = frozenset()
    ) -> None:
        self.module = module
        self.retries = stage.retries
        self.threads = stage.threads
        self.resources = job_resources(stage)
        forked = ["spikesink.workflow.forks"] if module.startswith(SERVED) else []
        self.words = [*launcher(stage), "python", "-m", *forked, module]
        self.device_options = devices(stage)
        self.modules = tuple(code) or (entry_point(module),)
        self.without = without

    @cached_property
    def code(self) -> str:
        """The digest of the code that decides what the job makes."""
        return digest(self.modules, self.without)

    @property
    def command(self) -> Callable:
        """The first words of the job's command, as a parameter.

        Snakemake does not compare parameters that are functions of the output with those of the last time. The name of
        a module is no part of a job's identity, so moving a module reruns nothing.
        """
        return lambda wildcards, output: self.words

    @property
    def devices(self) -> Callable:
        """The options of training that say how many GPUs and machines share the run, as such a parameter."""
        return lambda wildcards, output: self.device_options

    @property
    def params(self) -> dict:
        """Parameters ``command`` and ``code``; a rule whose code depends on the run names its own ``code``."""
        return {"command": self.command, "code": self.code}


def entry_point(module: str) -> str:
    """The module that ``python -m module`` runs."""
    return f"{module}.__main__" if source_file(f"{module}.__main__") else module


def digest(
    modules: Iterable[str], without: frozenset[str] = frozenset(), without_parts: frozenset[str] = frozenset()
) -> str:
    """The digests of several modules and of what they import, as one text; see ``code_digest``."""
    return canonical([code_digest(module, without, without_parts) for module in modules])
