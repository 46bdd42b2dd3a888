"""Files from the Hugging Face hub, at a pinned commit.

``hub_file`` is the only function that downloads, and only with ``download``. The rule that fetches runs where there is
internet. Every later rule finds the same files in the local cache (HF_HOME) and opens no connection.
"""

from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from spikesink.study.errors import first_line
from spikesink.study.hub_names import COMMIT


class HubError(ValueError):
    """A hub file that cannot be fetched or found; the message names it and says what to do."""


class HubFileAbsentError(HubError):
    """A file that a repository does not have."""


def hub_file(repository: str, name: str, *, revision: str, kind: str, download: bool) -> Path:
    """Local path of one file of a ``dataset`` or ``model`` repository.

    Raises HubError when ``revision`` is not a commit, the file does not exist there, the hub cannot be reached, or
    (with ``download`` false) the file has not been downloaded yet.
    """
    where = f"{name!r} of {kind} {repository} at {revision}"
    if not COMMIT.fullmatch(revision):
        raise HubError(f"revision = {revision!r} of {repository} can move: pin a commit of 40 hexadecimal digits")
    try:
        path = huggingface_hub.hf_hub_download(
            repository, name, repo_type=kind, revision=revision, local_files_only=not download
        )
    except errors.GatedRepoError:
        raise HubError(f"{where} is gated: accept its terms on the hub and log in with `hf auth login`") from None
    except errors.RepositoryNotFoundError:
        raise HubError(f"{where}: no such repository, or it is private; check the id") from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{where}: no such revision; check the commit") from None
    except errors.RemoteEntryNotFoundError:
        raise HubFileAbsentError(f"{where}: no such file; check the path") from None
    except errors.HFValidationError as error:
        raise HubError(f"{repository!r} is not a hub id: {first_line(error)}") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        if download:
            raise HubError(
                f"{where} cannot be reached ({first_line(error)}): run this step on a machine with internet, "
                f"without HF_HUB_OFFLINE"
            ) from None
        raise HubError(
            f"{where} has not been downloaded: delete corpus.json (or evaluation_corpus.json) in results/<study>/data "
            "and run the same snakemake command again"
        ) from None
    except (OSError, errors.HTTPError) as error:  # every other failure of the connection, timeouts, a full disk
        raise HubError(f"{where} cannot be downloaded: {first_line(error)}") from None
    return Path(path)


def optional_hub_file(repository: str, name: str, *, revision: str, kind: str) -> Path | None:
    """Local path of a file that is fetched where the repository has it; None where it has not.

    With HF_HUB_OFFLINE it is None where the cache has not. Raises HubError where the hub cannot be reached otherwise:
    taken for absent, the file would say nothing, and what it says would be looked for elsewhere.
    """
    try:
        return hub_file(repository, name, revision=revision, kind=kind, download=True)
    except HubFileAbsentError:
        return None
    except HubError:
        if huggingface_hub.constants.HF_HUB_OFFLINE:
            return None
        raise
