"""``python -m spikesink.workflow.forks MODULE ...`` does what ``python -m MODULE ...`` does, mostly sooner.

The program runs in a fork of a process that has imported what it needs: in this folder, with this environment, and with
the output and the exit status of this process. Where there is no such process, as on other machines, it runs here.
"""

import os
import runpy
import sys

from spikesink.workflow.forks.requests import ADDRESS, run_in_fork

AFFECTS_RESULTS = False


def main() -> int | None:
    status = run_in_fork(os.environ.get(ADDRESS, ""), sys.argv[1:])
    if status is None:
        module, *sys.argv[1:] = sys.argv[1:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
