"""A run's folder, results/<study>/runs/<variant>/seed<k>: the names of its files, and readers for the JSON ones.

run.json            the resolved settings, and the digest of the code that trained the run
model.safetensors   the weights after the last step; empty when the run diverged
metrics.csv         one row per logged step
snapshots/          weights at earlier steps: step<8 digits>.safetensors
manifest.json       how, where and with what the run was made, and how it ended; written last
measures/           one table per question: <question>.parquet

No other module spells these names.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikesink.runs.json_file import read_intact_json
from spikesink.runs.json_kinds import MANIFEST, RUN
from spikesink.study.errors import InputError

AFFECTS_RESULTS = False
FINISHED, DIVERGED = "finished", "diverged"
"""How a run can end for good: the ``status`` in its manifest."""
TRAIN_AGAIN = "train this run again"
LEFT_OUT = "left_out"
"""Key of a manifest: the files of weights that stayed on the machine that trained the run."""
SNAPSHOT = "step{step:08d}.safetensors"


@dataclass(frozen=True)
class RunFolder:
    """The paths in the run's folder ``path``; the files need not exist.

    ``path`` may hold Snakemake's wildcards, which the paths then hold too. The folder of a published model has the same
    names for its measures, but no run.json and no manifest.
    """

    path: str | Path

    @property
    def run(self) -> Path:
        return Path(self.path) / "run.json"

    @property
    def weights(self) -> Path:
        return Path(self.path) / "model.safetensors"

    @property
    def metrics(self) -> Path:
        return Path(self.path) / "metrics.csv"

    @property
    def snapshots(self) -> Path:
        return Path(self.path) / "snapshots"

    @property
    def manifest(self) -> Path:
        return Path(self.path) / "manifest.json"

    @property
    def measures(self) -> Path:
        return Path(self.path) / "measures"

    def measure(self, question: str) -> Path:
        """The table of a question."""
        return self.measures / f"{question}.parquet"

    def settings(self) -> dict[str, Any]:
        """The content of run.json. Raises InputError."""
        return read_intact_json(self.run, TRAIN_AGAIN, RUN)

    def facts(self) -> dict[str, Any]:
        """The content of manifest.json. Raises InputError."""
        return read_intact_json(self.manifest, TRAIN_AGAIN, MANIFEST)

    def check_weights(self) -> None:
        """Raise InputError for a run that was trained on another machine, where its weights have stayed."""
        if not self.weights.exists() and self.facts().get(LEFT_OUT):
            raise InputError(
                f"{self.weights}: stayed on the machine that trained the run: bring it and {self.snapshots.name}/ from "
                f"there, or delete {self.manifest} and run the same snakemake command again to train it here"
            )

    def status(self) -> str:
        """How the run ended: finished or diverged. Raises InputError."""
        try:
            return self.facts()["status"]
        except KeyError:
            raise InputError(f"{self.manifest}: has no status: {TRAIN_AGAIN}") from None

    def has_diverged(self) -> bool:
        """Whether the run's loss exploded or became no finite number, so that it has no weights. Raises InputError."""
        return self.status() == DIVERGED


def snapshot(folder: Path, step: int) -> Path:
    """The file in a folder of snapshots that holds the weights after ``step``."""
    return folder / SNAPSHOT.format(step=step)


def snapshots(folder: Path) -> dict[int, Path]:
    """The files in a folder of snapshots by step, in the order of steps."""
    return {int(path.stem.removeprefix("step")): path for path in sorted(folder.glob("step*.safetensors"))}


def run_folders(results: Path) -> list[RunFolder]:
    """The folders of a study's runs that have ended, sorted by path; ``results`` is the study's folder."""
    return [RunFolder(path.parent) for path in sorted(results.glob("runs/*/seed*/manifest.json"))]
