"""Train and measure the study that was packed around this file, which is called run.py there: python3 run.py --help"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 (the other machine may have an older one)
        sys.exit("error: Python 3.11 or newer is needed: start with another, for example python3.12 run.py")
    from spikesink.workflow.elsewhere.run import main

    sys.exit(main(HERE))
