"""A run, everything resolved, and the study that it belongs to."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikesink.study.names import BASELINE
from spikesink.study.settings import Config, Model, Training


@dataclass(frozen=True, kw_only=True)
class Run:
    """One variant with one seed, everything resolved."""

    study: str
    scale: str
    ablation: str
    variant: str
    seed: int
    label: str | None
    stands_for: str | None
    vocabulary: int
    bos: str
    model: Model
    training: Training

    @property
    def name(self) -> str:
        """Its name in the study: <variant>/seed<k>."""
        return f"{self.variant}/seed{self.seed}"

    @property
    def folder(self) -> str:
        return f"results/{self.study}/runs/{self.name}"

    def resolved(self) -> dict:
        """What run.json holds: all that decides the weights, and the run's place in the study."""
        return {
            "study": self.study,
            "scale": self.scale,
            "ablation": self.ablation,
            "variant": self.variant,
            "seed": self.seed,
            "tokenizer": {"vocabulary": self.vocabulary, "bos": self.bos},
            "model": asdict(self.model),
            "training": asdict(self.training),
        }


@dataclass(frozen=True)
class Study:
    """A checked config and its runs, the baseline's first."""

    config: Config
    runs: tuple[Run, ...]

    @property
    def ablations(self) -> tuple[str, ...]:
        """Names of the ablations in config order, the baseline not among them."""
        return tuple(dict.fromkeys(run.ablation for run in self.runs if run.ablation != BASELINE))

    @property
    def token_folders(self) -> dict[str, Path]:
        """The folders of the packed tokens that runs learn from, "train", and that they score, "measure"."""
        data = Path("results") / self.config.study / "data"
        return {"train": data / "tokens", "measure": data / ("evaluation" if self.config.evaluation else "tokens")}

    def of(self, ablation: str) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.ablation == ablation)


def canonical(value: Any) -> str:
    """One JSON text per value: sorted keys, no spaces. Equal texts mean equal settings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
