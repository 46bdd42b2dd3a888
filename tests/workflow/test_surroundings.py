"""A study does not depend on where it lies, nor on what the shell around it has set."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tiny_study import configure, copy_project

AROUND = {
    # A locale without UTF-8, in which Python neither coerces nor guesses.
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    # A cell of Jupyter, whose display is not installed here.
    "MPLBACKEND": "module://a_display.that_is_not_installed",
    # The shell of `srun --ntasks=4 --pty bash`, and the ranks of another launcher.
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "bash",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "LOCAL_RANK": "3",
    "WORLD_SIZE": "4",
}


def test_a_study_in_an_odd_folder_and_an_odd_session_is_a_study(tmp_path):
    """Snakemake took a brace for a wildcard, a bracket found no file, a name outside ASCII could not be written."""
    project = tmp_path / "my [2026] {drive} $(touch hit) é"
    project.mkdir()
    copy_project(project)
    configure(project, {"ablations": [], "mechanism": {"compare": ["baseline"]}})
    around = AROUND | {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache", "OMP_NUM_THREADS": "1"}
    wanted = "results/tiny/figures/overview.png"
    command = [sys.executable, "-m", "snakemake", wanted, "--cores", "2", "--configfile", "tiny.yaml"]
    ended = subprocess.run(
        command,
        cwd=project,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | around,
        capture_output=True,
        timeout=600,
        preexec_fn=lambda: os.umask(0o027),
    )
    assert ended.returncode == 0, ended.stderr.decode(errors="replace")[-3000:]
    run = project / "results/tiny/runs/baseline/seed0"
    assert json.loads((run / "manifest.json").read_text())["devices"] == 1
    assert not list(project.rglob("hit")) and not (tmp_path / "hit").exists()
    modes = {path: path.stat().st_mode & 0o777 for path in [project / wanted, *map(Path, run.glob("*.*"))]}
    assert set(modes.values()) == {0o640}, modes  # a colleague of the group reads them, as the umask says
