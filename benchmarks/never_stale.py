"""Change, break and kill a study at random, run the same command again: every result must be a fresh study's.

    python benchmarks/never_stale.py --rounds 200 --seed 0 --folder /tmp/never_stale

The rules, Snakemake and the digests of the code are the real ones. The programs of the jobs are replaced by
stand_in.py, whose results are digests of all that a program reads, so that a round takes seconds and any stale input
shows in every file behind it. A round changes settings, files from outside, code or results once to three times, runs
Snakemake with injected failures, partial outputs, SIGTERM or SIGKILL, sometimes changes something back, and then runs
the command until it ends with 0. All files are compared with those of a fresh study with the same config.

It goes on where it stopped: the folder holds the study and the number of rounds. Prints a line per round and the
counts; exits with 1 if a file was stale or missing.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests/workflow")]

from tiny_study import TINY, copy_project  # noqa: E402

from spikesink.figures.catalogue import MECHANISM_FIGURES  # noqa: E402
from spikesink.measures.groups import GROUPS  # noqa: E402
from spikesink.quantities import CAPABILITIES  # noqa: E402
from spikesink.study.strict_yaml import merge  # noqa: E402
from spikesink.tables.collecting.questions import mechanism_questions  # noqa: E402
from spikesink.workflow import drawn  # noqa: E402

KEPT_FIGURES = ("silu_identity", "streaming")
KEPT_FAMILIES = ("ablation", "sink_map")
"""Figures of the mechanism and of ablations that the study has: more take time and show nothing more."""
CODE = (
    "model/gates.py",
    "model/decoder.py",
    "data/packing.py",
    "measures/questions/perplexity.py",
    "measures/questions/streaming.py",
    "figures/ablations/sink_map.py",
    "figures/mechanism/streaming.py",
    "tables/collect.py",
    "tables/runs.py",
    "tables/mechanism.py",
    "claims/verdict.py",
)
JOBS = (
    "data corpus", "data tokens", "training", "conditional_head", "measures forward", "measures consequences",
    "tables.collect", "tables.runs", "tables.mechanism", "figures.ablations sink_map", "claims", "figures --runs",
)  # fmt: skip
"""Beginnings or parts of the commands that a fault may hit."""
STAMP = ".snakemake_timestamp"
"""A file of Snakemake's in every folder that a rule declares; nothing reads it."""
LEFT_OUT = ("logs", "benchmarks", "records", "checkpoints", ".sums", "sources.json", "tracking.txt", STAMP)


MODEL = "pretrained.json"
NOT_ASKED_FOR = (".safetensors", ".bin", ".npy")
"""Endings of files that no target names, because copies go without them; nor does one name what describes a text or a
published model, or a tokenizer. A job that needs one names it and fails; then
the file is asked for by name, as the real programs say. One that no job needed is asked for at the end."""
ABSENT = re.compile(r"error: (results/\S+) is missing")


class Project:
    """A checkout with the study, its state, and the ways to change it. A state is what a fresh study would need."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tools = folder / "project", folder / "tools"
        self.fresh = folder / "fresh"
        if not self.folder.exists():
            self.set_up()

    def set_up(self) -> None:
        self.folder.mkdir(parents=True)
        copy_project(self.folder)
        for kind, kept in (("mechanism", KEPT_FIGURES), ("ablations", KEPT_FAMILIES)):
            for path in (self.folder / "src/spikesink/figures" / kind).glob("[!_]*.py"):
                if path.stem not in kept:
                    path.unlink()
        (self.folder / "model").mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (self.folder / "model" / name).write_text(f"{name} 0")
        for name in "abc":
            (self.folder / f"{name}.txt").write_text(f"text {name} 0000\n")
        self.configure({})
        self.make_tools()

    def make_tools(self) -> None:
        """Folder with the interpreter that runs Snakemake, beside the ``python`` that its jobs find first."""
        self.tools.mkdir()
        shutil.copy(ROOT / "benchmarks/stand_in.py", self.tools)
        (self.tools / "faults.json").write_text("{}")
        modules = {
            name: [f"measures/questions/{m.rpartition('.')[2]}.py" for m in g.modules] for name, g in GROUPS.items()
        }
        known = {
            "groups": {name: group.questions for name, group in GROUPS.items()},
            "modules": modules,
            "always": drawn.QUESTIONS_OF_ALL,
            "parts": drawn.PARTS,
            "table": [question for question in mechanism_questions() if question != CAPABILITIES],
            "figures": {name: MECHANISM_FIGURES[name].reads for name in KEPT_FIGURES},
        }
        (self.tools / "known.json").write_text(json.dumps(known))
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        (self.tools / "snakemake_python").symlink_to(base)
        shim = self.tools / "python"
        shim.write_text(f'#!/bin/sh\nexec {base} -I -S {self.tools}/stand_in.py "$@"\n')
        shim.chmod(0o755)

    def configure(self, changes: dict) -> None:
        base = merge(TINY, {
            "ablations": ["gating/conditional_head"],
            "corpus": {"kind": "files", "files": ["a.txt", "b.txt"], "documents": None},
            "pretrained": {"other": {"source": "model", "bos": "none", "context": 32}},
        })  # fmt: skip
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(merge(base, changes)))

    def start(self, folder: Path, *options: str) -> subprocess.Popen:
        command = [str(self.tools / "snakemake_python"), "-m", "snakemake", "--cores", "4", *options]
        environment = os.environ | {"PYTHONPATH": sysconfig.get_path("purelib"), "PYTHONDONTWRITEBYTECODE": "1"}
        log = open(folder / "snakemake.log", "a")  # noqa: SIM115
        return subprocess.Popen(
            [*command, "--configfile", "tiny.yaml"], cwd=folder, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip

    def run(self, folder: Path, *options: str) -> int:
        return self.start(folder, *options).wait(timeout=900)

    def unlock(self) -> None:
        """What `snakemake --unlock` does, in no time."""
        for lock in (self.folder / ".snakemake/locks").glob("*"):
            lock.unlink()

    def said(self) -> str:
        return (self.folder / "snakemake.log").read_text(errors="replace")

    def ask_for(self, name: str) -> None:
        """Make a file that a job missed, as its error says: it is a target. A run that has lost weights loses its
        manifest too, so that it is trained again."""
        if "/runs/" in name:
            (self.folder / Path(*Path(name).parts[:5]) / "manifest.json").unlink(missing_ok=True)
        elif self.run(self.folder, name):
            raise SystemExit(f"{name} is not made when it is asked for: {self.folder}/snakemake.log")

    def run_fresh(self) -> None:
        """The study with the same config, sources and code, in an empty folder."""
        shutil.rmtree(self.fresh, ignore_errors=True)
        self.fresh.mkdir()
        for path in self.folder.iterdir():
            if path.name not in ("results", ".snakemake", "snakemake.log"):
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, self.fresh / path.name)
        if self.run(self.fresh):
            raise SystemExit(f"a fresh study fails: {self.fresh}/snakemake.log")

    def stale(self) -> list[str]:
        """Files of the fresh study that differ here or are missing, also when they are asked for."""
        expected = {
            path.relative_to(self.fresh): path for path in (self.fresh / "results").rglob("*") if path.is_file()
        }
        for name in expected:
            if (self.folder / name).exists() or "checkpoints" in name.parts:
                continue
            if "snapshots" in name.parts:  # a folder is the target, which is there: its run is trained again
                self.ask_for(str(name))
                self.run(self.folder)
            elif (
                name.suffix in NOT_ASKED_FOR or "data" in name.parts or name.parts[-2] == "tokens" or name.name == MODEL
            ):
                self.run(self.folder, str(name))
        return [
            str(name)
            for name, path in sorted(expected.items())
            if not set(LEFT_OUT) & set(name.parts)
            and (not (self.folder / name).is_file() or (self.folder / name).read_bytes() != path.read_bytes())
        ]


def change(project: Project, config: dict, chance: random.Random) -> str:
    """Change one thing at random, in place; returns its name."""
    folder, number = project.folder, chance.randrange(10, 99)
    kind = chance.choice(("run", "run", "measure", "label", "seeds", "text", "width", "source", "source", "source",
                          "model", "code", "code", "claims", "delete", "delete"))  # fmt: skip
    if kind == "run":
        config["variants"] = {"gating": {"conditional_head": {"training": {"steps": number}}}}
    elif kind == "measure":
        key = chance.choice(("perplexity_tokens", "consequence_tokens", "sequences"))
        config.setdefault("measures", {})[key] = 8 + 32 * number
    elif kind == "label":
        config.setdefault("variants", {}).setdefault("gating", {}).setdefault("conditional_head", {})["label"] = (
            f"l{number}"
        )
    elif kind == "seeds":
        config["seeds"] = chance.choice(([0], [0, 1], [1]))
    elif kind == "text":
        config["corpus"] = {
            "files": chance.choice((["a.txt", "b.txt"], ["b.txt", "a.txt"], ["a.txt", "b.txt", "c.txt"]))
        }
    elif kind == "width":
        config["figures"] = {"width": chance.choice(("auto", "column", "page"))}
    elif kind == "source":
        path = folder / chance.choice(("a.txt", "b.txt"))
        before = path.stat()
        path.write_text(f"text {path.stem} {number}{number}\n" + "more\n" * chance.randrange(2))
        if chance.random() < 0.5:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif kind == "model":
        (folder / "model" / chance.choice(("config.json", "model.safetensors"))).write_text(f"weights {number}")
    elif kind == "code":
        path = folder / "src/spikesink" / chance.choice(CODE)
        path.write_text(f"{path.read_text()}\nEDITED = {number}\n")
    elif kind == "claims":
        path = chance.choice(sorted((folder / "workflow/claims").glob("*.yaml")))
        path.write_text(f"{path.read_text()}# {number}\n")
    else:
        made = [path for path in (folder / "results/tiny").rglob("*") if path.is_file()]
        made = [path for path in made if not {"logs", "records", "benchmarks", STAMP} & set(path.parts)]
        if made:
            path = chance.choice(sorted(made))
            path.unlink()
            kind = f"delete {path.name}"
    project.configure(config)
    return kind


def disturb(project: Project, chance: random.Random) -> str:
    """Run Snakemake with a fault, or end it at a random moment; returns what was done."""
    kind = chance.choice(("fail", "fail", "partial", "kill", "terminate"))
    job = chance.choice(JOBS)
    faults = project.tools / "faults.json"
    faults.write_text(json.dumps({job: kind if kind in ("fail", "partial") else "slow"}))
    process = project.start(project.folder)
    if kind in ("fail", "partial"):
        process.wait(timeout=900)
        said = f"{kind} {job} ({process.returncode})"
    else:
        try:
            process.wait(timeout=chance.uniform(2, 15))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL if kind == "kill" else signal.SIGTERM)
            process.wait(timeout=900)
        said = f"{kind} ({process.returncode})"
    faults.write_text("{}")
    return said


def finish(project: Project) -> str:
    """Run the same command until it ends with 0; returns how often it had to be run, and what it had to be given."""
    asked = []
    for attempt in range(1, 8):
        project.unlock()
        before = len(project.said())
        if project.run(project.folder) == 0:
            return f"ran {attempt}" + "".join(f", asked for {Path(name).name}" for name in asked)
        if absent := ABSENT.findall(project.said()[before:]):
            project.ask_for(absent[0])
            asked.append(absent[0])
    raise SystemExit(f"the command does not end with 0: {project.folder}/snakemake.log")


def one_round(project: Project, state: dict, number: int, seed: int) -> tuple[list[str], list[str]]:
    """What was done, and the stale files."""
    chance = random.Random(f"{seed}-{number}")
    config, before = state["config"], json.loads(json.dumps(state["config"]))
    done = [change(project, config, chance) for _ in range(chance.randrange(1, 4))]
    done.append(disturb(project, chance))
    if chance.random() < 0.3:
        state["config"] = config = before
        project.configure(config)
        done.append("config back")
    if chance.random() < 0.3:
        done += [change(project, config, chance), disturb(project, chance)]
    done.append(finish(project))
    project.run_fresh()
    return done, project.stale()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="rounds in all, with those of earlier calls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="where the study lies; kept, to go on from")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    project, notes = Project(options.folder.resolve()), options.folder / "state.json"
    state = json.loads(notes.read_text()) if notes.exists() else {"rounds": 0, "stale": 0, "config": {}, "kinds": {}}
    kinds, begun = Counter(state["kinds"]), time.monotonic()
    while state["rounds"] < options.rounds:
        done, stale = one_round(project, state, state["rounds"], options.seed)
        kinds.update(what.split(" ")[0] for what in done)
        state |= {"rounds": state["rounds"] + 1, "stale": state["stale"] + len(stale), "kinds": dict(kinds)}
        notes.write_text(json.dumps(state))
        print(
            f"{state['rounds']:4} {time.monotonic() - begun:6.0f} s  {', '.join(done)}: {len(stale)} stale",
            *stale[:5],
            flush=True,
        )
    print(f"{state['rounds']} rounds, {state['stale']} stale files; {dict(kinds)}")
    return bool(state["stale"])


if __name__ == "__main__":
    sys.exit(main())
