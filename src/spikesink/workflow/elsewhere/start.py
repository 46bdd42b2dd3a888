"""Train and measure the study that was packed around this file, which is called run.py there: python3 run.py --help"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))

if __name__ == "__main__":
    from spikesink.workflow.elsewhere.run import main

    sys.exit(main(HERE))
