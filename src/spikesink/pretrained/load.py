"""A Hugging Face checkpoint as our decoder."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch

from spikesink.model.decoder import Decoder
from spikesink.pretrained.architectures import ARCHITECTURES
from spikesink.pretrained.conversion import converted, stored_shapes, stored_together
from spikesink.pretrained.formats import Described, read_config
from spikesink.pretrained.names import EMBEDDING, HEAD, output_bias
from spikesink.pretrained.source import local_folder
from spikesink.pretrained.vocabulary import TOKENIZER, largest_id
from spikesink.pretrained.weights import Place, check_equal, check_zero, located, opened
from spikesink.study.settings import Model


@dataclass(frozen=True)
class Pretrained:
    """A model from a checkpoint."""

    decoder: Decoder
    """In evaluation mode."""
    settings: Model
    """Its architecture; the fields about training and initial weights say nothing."""
    vocabulary: int
    """Number of token ids."""
    positions: int
    """Longest context that the model was made for, in tokens."""
    folder: Path
    """Where its files are, tokenizer.json among them if the checkpoint has one."""


@dataclass(frozen=True)
class Checked:
    """A checkpoint that would load. None of its weights have been read."""

    folder: Path
    described: Described
    decoder: Decoder
    """On the meta device."""
    places: dict[str, Place]
    """Where each tensor is, by the checkpoint's names."""


def checked(source: str | Path, revision: str | None = None) -> Checked:
    """The checkpoint, checked for everything that loading it would show. Raises PretrainedError."""
    folder = local_folder(source, revision)
    described = read_config(folder)
    settings = described.settings
    if (folder / TOKENIZER).is_file():
        largest_id(folder / TOKENIZER)  # can it be read? Ids that the model lacks matter where the text has them
    with torch.device("meta"):
        decoder = Decoder(settings, vocabulary=described.vocabulary, positions=described.positions)
    architecture = ARCHITECTURES[described.architecture]
    ours = {name: tuple(tensor.shape) for name, tensor in decoder.state_dict().items()}
    shapes = stored_shapes(ours, architecture)
    biases = [output_bias(layer, architecture) for layer in range(settings.layers)] if described.output_bias else []
    shapes |= {name: (settings.d_model,) for name in biases}
    shapes.setdefault(HEAD, shapes[EMBEDDING])
    places = located(folder, shapes, settings.tied_embeddings)
    if settings.tied_embeddings and HEAD in places and EMBEDDING in places:
        check_equal(places, HEAD, EMBEDDING)
    for name in biases:
        check_zero(places, name)
    return Checked(folder, described, decoder.eval(), places)


def load_pretrained(
    source: str | Path,
    *,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Pretrained:
    """The model of a checkpoint; ``source`` is a folder in the hub's format, or a hub id.

    ``revision`` is the commit of a hub id; without it the newest one is used. On a CPU, weights that are stored in
    ``dtype`` are mapped and take no memory of the process; other memory peaks at about one model in ``dtype``. Raises
    PretrainedError.
    """
    found = checked(source, revision)
    architecture, shape = ARCHITECTURES[found.described.architecture], found.described.settings.attention
    names = stored_together(found.decoder.state_dict(), architecture)
    if EMBEDDING not in found.places:
        names[HEAD] = names[EMBEDDING]
    state = {}
    for path, members in groupby(found.places, lambda name: found.places[name].file):
        with opened(path) as file:
            for name in members:
                if name in names:
                    for our, tensor in converted(file.get_tensor(name), names[name], architecture, shape):
                        # A tensor that needs no conversion stays in the pages of the file, which is mapped.
                        state[our] = tensor.to(device, dtype)
    found.decoder.load_state_dict(state, assign=True)
    return Pretrained(
        decoder=found.decoder,
        settings=found.described.settings,
        vocabulary=found.described.vocabulary,
        positions=found.described.positions,
        folder=found.folder,
    )
