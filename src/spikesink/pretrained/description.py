"""What a published checkpoint is: one line for a person, a JSON file for the jobs that measure it."""

import json
from pathlib import Path

from spikesink.pretrained.formats import PretrainedError
from spikesink.pretrained.gguf import converted, origin_of, stored_kinds
from spikesink.pretrained.load import Checked, checked
from spikesink.pretrained.vocabulary import TOKENIZER
from spikesink.runs.described_files import identity_of_file
from spikesink.runs.sums import noted
from spikesink.study.file_ranges import expanded
from spikesink.study.settings import Pretrained, Tokenizer


def summary(model: Pretrained) -> str:
    """One line that says what a checkpoint is and that it can be read. Raises PretrainedError if it cannot.

    Of a GGUF file it says what the file holds; whether the architecture can be read shows when it is converted.
    """
    if model.is_gguf:
        path, *others = map(Path, expanded(model.source))
        if others:
            raise PretrainedError(f"{model.source}: check reads a GGUF file in one piece: join the parts, or use fetch")
        kinds = ", ".join(f"{number} tensors in {kind}" for kind, number in stored_kinds(path).items())
        return f"{model.source} is whole: {kinds}"
    found = checked(model.source, model.revision)
    return (
        f"{model.source} loads: {found.described.architecture}, {parameters_of(found):,} parameters in "
        f"{stored_as(found)}, vocabulary {found.described.vocabulary:,}, {found.described.positions:,} positions"
    )


def parameters_of(found: Checked) -> int:
    return sum(parameter.numel() for parameter in found.decoder.parameters())


def stored_as(found: Checked) -> str:
    """The numbers that the checkpoint's weights are stored in, those of a GGUF file as it had them."""
    origin = origin_of(found.folder)
    kinds = origin["tensors"] if origin else sorted({place.dtype for place in found.places.values()})
    return " and ".join(kinds)


def fetch(model: Pretrained, output: Path, cache: Path) -> None:
    """Write what measuring jobs need to know about a checkpoint as JSON to ``output``, with its files' digests.

    A hub id is fetched from the hub first. A GGUF file is converted first, into a folder in ``cache``. The sequence
    length is that of the settings, cut to what the model was made for. Raises PretrainedError, TokenizerError.
    """
    from spikesink.data import tokenizer  # late: checking a model needs no tokenizers

    if not model.is_gguf and model.revision is None and not Path(model.source).is_dir():
        raise PretrainedError(
            f"{model.source} has no revision: pin a commit of the hub model, or name a local folder or a GGUF file"
        )
    found = checked(converted(model, cache)) if model.is_gguf else checked(model.source, model.revision)
    folder = found.folder.absolute()
    if not (folder / TOKENIZER).is_file():
        raise PretrainedError(f"{folder} has no {TOKENIZER}: a model is measured on text, which needs its tokenizer")
    settings = Tokenizer(
        kind="file",
        name=str(folder / TOKENIZER),
        vocabulary=found.described.vocabulary,
        bos=model.bos,
        bos_token=model.bos_token,
    )
    tokenizer.check(tokenizer.load(settings.name, settings.bos_token), settings)
    described = {
        "source": model.source,
        "revision": model.revision,
        "packages": model.packages,
        "folder": str(folder),
        "architecture": found.described.architecture,
        "parameters": parameters_of(found),
        "vocabulary": found.described.vocabulary,
        "positions": found.described.positions,
        "stored_as": stored_as(found),
        "dequantised": origin_of(folder) is not None,
        "context": min(model.context, found.described.positions),
        "tokenizer": settings.name,
        "bos": model.bos,
        "bos_token": settings.bos_token,
        "files": {path.name: identity_of_file(path) for path in sorted(folder.iterdir()) if path.is_file()},
    }
    if origin := origin_of(folder):
        described |= {"sha256": origin["sha256"], "converted_by": origin["versions"]}
    with noted(output) as part:
        part.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
