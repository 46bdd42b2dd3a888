"""Which modules an import loads, seen in a Python that has imported nothing else."""

import json
import subprocess
import sys


def loaded_by(modules: str, candidates: tuple[str, ...]) -> list[str]:
    """Those of ``candidates`` that are loaded after ``import <modules>``."""
    code = f"import json, sys, {modules}; print(json.dumps([name for name in {candidates!r} if name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)
