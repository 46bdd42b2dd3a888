"""What every scale asks a cluster for, to the letter, without a cluster."""

import shlex
from pathlib import Path

import pytest
import yaml
from tiny_study import run_snakemake

from spikesink.study.strict_yaml import merge

ROOT = Path(__file__).parents[2]
CLUSTER = {
    "seeds": [0],  # another seed asks for the same
    "resources": {
        "data": {"account": "lab", "partition": "cpu"},
        "train": {"account": "lab", "partition": "gpu", "constraint": "nvlink"},
        "measure": {"account": "lab", "partition": "gpu", "qos": "short"},
        "draw": {"account": "lab", "partition": "cpu"},
    },
}


def on_cpus(minutes: int, memory: int, threads: int) -> str:
    return f"-A lab -p cpu -t {minutes} --mem {memory} --ntasks=1 --cpus-per-task={threads}"


def one_gpu(minutes: int, memory: int, threads: int) -> str:
    return f"-A lab -p gpu -t {minutes} --qos=short --mem {memory} --cpus-per-task={threads} --gpus=1"


def one_machine(minutes: int, memory: int, cpus: int, gpus: int) -> str:
    return (
        f"-A lab -p gpu -t {minutes} -C nvlink --mem {memory} --nodes=1 --cpus-per-task={cpus} --signal=USR1@300"
        f" --gpus={gpus}"
    )


# Memory is per machine. One machine is one task with the cores of all its processes; several have a task per GPU.
EXPECTED = {
    "smoke": {"train": one_machine(60, 2000, 1, 1), "measure": one_gpu(30, 2000, 1)},
    "nano": {"train": one_machine(60, 2000, 1, 1), "measure": one_gpu(30, 2000, 1)},
    "bigram_backcopy": {"train": one_machine(60, 2000, 1, 1), "measure": one_gpu(30, 2000, 1)},
    "nano_full": {"train": one_machine(60, 2000, 1, 1), "measure": one_gpu(30, 2000, 1)},
    "real_models": {"measure": one_gpu(60, 8000, 1)},
    "small": {"train": one_machine(60, 16000, 4, 1), "measure": one_gpu(30, 8000, 4)},
    "0.1b": {
        "train": one_machine(1440, 32000, 8, 1),
        "measure": one_gpu(120, 32000, 8),
        "data": on_cpus(1440, 32000, 16),
    },
    "0.3b": {
        "train": one_machine(2880, 64000, 32, 4),
        "measure": one_gpu(120, 32000, 8),
        "data": on_cpus(1440, 32000, 16),
    },
    "1b": {
        "train": one_machine(2880, 128000, 64, 8),
        "measure": one_gpu(120, 32000, 8),
        "data": on_cpus(1440, 32000, 16),
    },
    "7b": {
        "train": "-A lab -p gpu -t 2880 -C nvlink --mem 256000 --nodes=8 --ntasks=64 --cpus-per-task=16"
        " --signal=USR1@300 --ntasks-per-node=8 --gres=gpu:8",
        "measure": one_gpu(240, 64000, 8),
        "data": on_cpus(2880, 64000, 32),
    },
}
STAGES = {name: "data" for name in ("tokenizer", "tokens", "pretrained")} | {
    name: "draw" for name in ("collect", "runs", "table", "figure", "judge", "provenance", "published")
}


def lines(scale: str, folder: Path, changes: dict | None = None) -> dict[str, set[str]]:
    """By stage, the different lines of its jobs, from the account on."""
    (folder / "cluster.yaml").write_text(yaml.safe_dump(merge(CLUSTER, changes or {})))
    configs = [str(ROOT / f"workflow/scales/{scale}.yaml"), str(folder / "cluster.yaml")]
    options = ["--dry-run", "--cores", "1000", "--snakefile", str(ROOT / "Snakefile")]
    options += ["--profile", str(ROOT / "profiles/slurm"), "--configfile", *configs]
    result = run_snakemake(folder, *options, first=Path(__file__).with_name("sbatch_lines.py"))
    assert result.returncode == 0, result.stdout + result.stderr
    found: dict[str, set[str]] = {}
    for line in result.stdout.splitlines():
        if line.startswith("SBATCH "):
            words = shlex.split(line)
            rule = words[words.index("--comment") + 1].removeprefix("rule_")
            kind = rule.split("_")[0]
            found.setdefault(STAGES.get(kind, kind), set()).add(" ".join(words[words.index("-A") :]))
    return found


def test_every_scale_is_here():
    """A new scale would otherwise ask a cluster for who knows what."""
    assert set(EXPECTED) == {path.stem for path in ROOT.glob("workflow/scales/*.yaml")}


@pytest.mark.parametrize("scale", EXPECTED)
def test_the_lines_of_sbatch(scale, tmp_path):
    """A word of them too many or too few would cost money, or queue forever."""
    small = on_cpus(60, 2000, 1)
    expected = {"data": small, "draw": small} | EXPECTED[scale]
    assert lines(scale, tmp_path) == {stage: {line} for stage, line in expected.items()}


def test_runs_that_share_a_gpu_ask_for_a_part_of_it(tmp_path):
    """A whole GPU for each would queue four times as long, and leave most of it idle."""
    found = lines("nano", tmp_path, {"resources": {"train": {"runs_per_gpu": 4}}})
    expected = one_machine(60, 2000, 1, 1).replace("--nodes=1", "--nodes=1 --ntasks=1")
    assert found["train"] == {expected.replace("--gpus=1", "--gres=shard:1")}
    assert found["measure"] == {EXPECTED["nano"]["measure"]}
