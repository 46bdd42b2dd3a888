"""The checkout that this package is run from."""

import subprocess
from pathlib import Path

AFFECTS_RESULTS = False


def git_state() -> dict[str, str | bool | None]:
    """Commit of the package's checkout and whether it had changes; null outside a checkout."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}
