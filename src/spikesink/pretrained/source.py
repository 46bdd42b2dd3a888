"""Where a checkpoint comes from: a local folder, or the Hugging Face hub through the local cache."""

import re
from pathlib import Path

from spikesink.pretrained.formats import CONFIG, PretrainedError, read_config
from spikesink.pretrained.vocabulary import TOKENIZER
from spikesink.pretrained.weights import INDEX, SINGLE, read_index
from spikesink.study.errors import first_line
from spikesink.study.tokenizer_files import BESIDE

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def local_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder with the checkpoint's files, fetched if ``source`` is a hub id. Raises PretrainedError."""
    folder = Path(source)
    if folder.is_dir():
        if revision is not None:
            raise PretrainedError(f"revision = {revision!r} with the local folder {folder}: leave it out")
        return folder
    if not HUB_ID.fullmatch(str(source)):
        raise PretrainedError(f"{source} is neither a folder nor a hub id such as Qwen/Qwen3-0.6B: check the path")
    from spikesink.data.hub import HubError  # late: a folder needs no huggingface_hub

    try:
        return fetched(str(source), revision)
    except HubError as error:
        raise PretrainedError(str(error)) from None


def fetched(repository: str, revision: str | None) -> Path:
    """Folder of config.json, the safetensors files and the tokenizer of a hub model, fetched into the local cache.

    Nothing else is fetched, and config.json is checked before the weights. HF_HUB_OFFLINE=1 uses the cache alone.
    """
    from spikesink.data.hub import HubError, hub_file, optional_hub_file

    commit = revision or newest_commit(repository)

    def fetch(name: str) -> Path:
        return hub_file(repository, name, revision=commit, kind="model", download=True)

    def optional(name: str) -> Path | None:
        return optional_hub_file(repository, name, revision=commit, kind="model")

    folder = fetch(CONFIG).parent
    read_config(folder)
    if not optional(SINGLE):
        if not optional(INDEX):
            try:
                fetch(SINGLE)
            except HubError as error:
                raise HubError(f"{error} (only weights in safetensors can be read)") from None
        for shard in sorted(set(read_index(folder).values())):
            fetch(shard)
    # A model without a tokenizer can still be measured on token ids. What the tokenizer's other files say is needed.
    if optional(TOKENIZER):
        for name in BESIDE:
            optional(name)
    return folder


def newest_commit(repository: str) -> str:
    """The newest commit of the repository's main branch; offline, the newest one in the cache."""
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=CONFIG)).name
    except errors.GatedRepoError:
        raise PretrainedError(
            f"{repository} is gated: accept its terms on the hub and log in with `hf auth login`"
        ) from None
    except errors.RepositoryNotFoundError:
        raise PretrainedError(f"{repository}: no such repository, or it is private; check the id") from None
    except (errors.HFValidationError, errors.HTTPError, OSError) as error:
        raise PretrainedError(
            f"the newest commit of {repository} is not known: {first_line(error)}; pin a revision"
        ) from None
