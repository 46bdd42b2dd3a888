"""A trained run's model from its folder, of its last step or of earlier ones."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from spikesink.model.decoder import Decoder
from spikesink.study.settings import Model, Training, build


class RunError(ValueError):
    """A run's folder that cannot be measured. The message is one line naming the file."""


def has_diverged(folder: Path) -> bool:
    """Whether the run's manifest says that its loss exploded or became no finite number. Raises RunError."""
    try:
        return json.loads((folder / "manifest.json").read_text())["status"] == "diverged"
    except (KeyError, OSError, ValueError) as error:
        raise RunError(f"{folder}/manifest.json cannot be read ({error}): train this run again") from error


def load_run(folder: Path, device: str) -> tuple[Decoder, Training]:
    """Decoder in float32 and evaluation mode, with the training settings it was made with. Raises RunError."""
    try:
        run = json.loads((folder / "run.json").read_text())
        training, settings = build(Training, run["training"]), build(Model, run["model"])
        weights = load_file(folder / "model.safetensors")
    except (KeyError, OSError, TypeError, ValueError, SafetensorError) as error:
        raise RunError(
            f"{folder}: run.json or model.safetensors cannot be read ({error}): train this run again"
        ) from error
    model = Decoder(settings, vocabulary=run["tokenizer"]["vocabulary"], positions=training.sequence_length)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise RunError(f"{folder}/model.safetensors does not fit {folder}/run.json: {detail}") from error
    return model.to(device=device, dtype=torch.float32).eval(), training


def load_snapshots(folder: Path, model: Decoder) -> Iterator[tuple[int, Decoder]]:
    """Step and model of every snapshot of a run in order of steps; ``model`` itself, its weights replaced each time.

    Nothing where the run kept no snapshots. Raises RunError.
    """
    for path in sorted(folder.glob("step*.safetensors")):
        try:
            model.load_state_dict(load_file(path))
        except (OSError, RuntimeError, SafetensorError) as error:
            detail = " ".join(str(error).split())
            raise RunError(f"{path} is no snapshot of this run ({detail}): train this run again") from error
        yield int(path.stem.removeprefix("step")), model
