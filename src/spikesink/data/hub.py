"""Files from the Hugging Face hub, at a pinned commit.

One function downloads, and only when told to: the rule that fetches runs where there is internet, every later rule
finds the same files in the local cache (HF_HOME) and never opens a connection.
"""

from __future__ import annotations

import re
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class HubError(ValueError):
    """A hub file that cannot be had; the message names it and says what to do."""


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
        raise HubError(f"{where}: no such file; check the path") from None
    except errors.HFValidationError as error:
        raise HubError(f"{repository!r} is not a hub id: {_first_line(error)}") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        if download:
            raise HubError(
                f"{where} cannot be reached ({_first_line(error)}): run this step on a machine with internet, "
                f"without HF_HUB_OFFLINE"
            ) from None
        raise HubError(f"{where} has not been downloaded: run `python -m spikesink.data corpus` first") from None
    except OSError as error:  # every other HTTP failure, timeouts, a full disk
        raise HubError(f"{where} cannot be downloaded: {_first_line(error)}") from None
    return Path(path)


def content_digest(path: Path) -> str | None:
    """The hub's own digest of a downloaded file, free of charge: the cache names files by it. None if it does not."""
    name = path.resolve().name
    return name if DIGEST.fullmatch(name) else None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
