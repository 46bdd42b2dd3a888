"""What a published checkpoint is: one line for a person, a JSON file for the jobs that measure it."""

import json
from pathlib import Path

from spikesink.pretrained.formats import PretrainedError
from spikesink.pretrained.load import checked
from spikesink.pretrained.vocabulary import TOKENIZER
from spikesink.runs.model_files import identity_of_file
from spikesink.runs.sums import noted
from spikesink.study.settings import Tokenizer


def summary(source: str, revision: str | None) -> str:
    """One line that says what a checkpoint is and that it can be read. Raises PretrainedError if it cannot."""
    found = checked(source, revision)
    parameters = sum(parameter.numel() for parameter in found.decoder.parameters())
    dtypes = " and ".join(sorted({place.dtype for place in found.places.values()}))
    return (
        f"{source} loads: {found.described.architecture}, {parameters:,} parameters in {dtypes}, "
        f"vocabulary {found.described.vocabulary:,}, {found.described.positions:,} positions"
    )


def fetch(
    source: str, revision: str | None, context: int, bos: str, output: Path, bos_token: str | None = None
) -> None:
    """Write what measuring jobs need to know about a checkpoint as JSON to ``output``, with its files' digests.

    The checkpoint is fetched from the hub first if ``source`` is a hub id. ``context`` is the sequence length in tokens
    to measure it with, cut to what the model was made for; ``bos`` says whether a BOS starts every sequence, and
    ``bos_token`` which one, if not the one that the model declares. Raises PretrainedError, TokenizerError.
    """
    from spikesink.data import tokenizer  # late: checking a model needs no tokenizers

    revision = revision or None
    if revision is None and not Path(source).is_dir():
        raise PretrainedError(f"{source} has no revision: pin a commit of the hub model, or name a local folder")
    found = checked(source, revision)
    folder = found.folder.absolute()
    if not (folder / TOKENIZER).is_file():
        raise PretrainedError(f"{folder} has no {TOKENIZER}: a model is measured on text, which needs its tokenizer")
    settings = Tokenizer(
        kind="file",
        name=str(folder / TOKENIZER),
        vocabulary=found.described.vocabulary,
        bos=bos,
        bos_token=bos_token or None,
    )
    tokenizer.check(tokenizer.load(settings.name, settings.bos_token), settings)
    described = {
        "source": source,
        "revision": revision,
        "folder": str(folder),
        "architecture": found.described.architecture,
        "parameters": sum(parameter.numel() for parameter in found.decoder.parameters()),
        "vocabulary": found.described.vocabulary,
        "positions": found.described.positions,
        "context": min(context, found.described.positions),
        "tokenizer": settings.name,
        "bos": bos,
        "bos_token": settings.bos_token,
        "files": {path.name: identity_of_file(path) for path in sorted(folder.iterdir()) if path.is_file()},
    }
    with noted(output) as part:
        part.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
