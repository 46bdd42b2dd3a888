"""Our decoder and training process against what one would use instead, in pairs on this machine.

    python benchmarks/peers.py OUTPUT [--sections checks,scales,...] [--minutes 30] [--tiny]

It uses the GPU if there is one, else one thread of the CPU. OUTPUT.json and OUTPUT.md are written again after every
section, so that what was measured remains if a later section fails. Needs what training needs, and transformers.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

import peer_checks  # noqa: E402
import peer_page  # noqa: E402
import peer_runs  # noqa: E402
import torch  # noqa: E402
from peer_processes import Worker, prepare_all  # noqa: E402
from peer_steps import Contestant, free_memory  # noqa: E402

CONTEXT = 0.7 * 2**30
"""Bytes of a GPU that a process takes before it makes a tensor."""


@dataclass
class Bench:
    """Where and how long to measure."""

    device: str
    deadline: float
    tiny: bool
    rounds: int
    """In each, all that is compared is timed once, one after the other."""
    steps: int
    """Of a whole run."""
    workers: list[Worker]
    folder: Path
    beside: Future | None = None
    """The checks, while they run beside what compiles; nothing is timed before they have ended."""

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    @property
    def room(self) -> float:
        """Bytes for what is compared: of a GPU what its processes' contexts leave, a sixth of it kept free."""
        if not self.on_gpu:
            return math.inf
        return 5 / 6 * torch.cuda.get_device_properties(0).total_memory - CONTEXT * (len(self.workers) + 1)

    def by(self, seconds: float) -> float:
        """A deadline so many seconds from now, but not after the end."""
        return min(self.deadline, time.monotonic() + seconds)

    def wait_for_quiet(self) -> None:
        if self.beside is not None:
            wait([self.beside], self.by(120) - time.monotonic())


def main() -> int:
    options = arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    number = options.processes or (min(16, os.cpu_count() or 1) if device == "cuda" else 1)
    if device == "cuda":
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "2")
    else:
        torch.set_num_threads(1)
    record = {"machine": machine(device), "arguments": sys.argv[2:], "sections": {}}
    with tempfile.TemporaryDirectory() as folder:
        workers = [Worker(device) for _ in range(number)]
        deadline = time.monotonic() + 60 * options.minutes
        rounds = 2 if options.tiny else options.rounds
        bench = Bench(device, deadline, options.tiny, rounds, options.steps, workers, Path(folder))
        try:
            for name in options.sections.split(","):
                record["sections"][name] = one = section(name, bench)
                print(f"{name}: {one['seconds']} s", one.get("failed", ""), flush=True)
                options.output.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
                options.output.with_suffix(".md").write_text(peer_page.page(record))
        finally:
            for worker in workers:
                worker.end()
    return 0


def section(name: str, bench: Bench) -> dict:
    """What a section found, or how it failed, and how long it took."""
    start = time.monotonic()
    try:
        one = {"found": SECTIONS[name](bench)}
    except Exception as error:
        one = {"failed": f"{type(error).__name__}: {str(error)[:500]}", "trace": traceback.format_exc(limit=-3)}
    return one | {"seconds": round(time.monotonic() - start, 1)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="files to write, without suffix")
    parser.add_argument("--sections", default=",".join(SECTIONS), help=f"of {', '.join(SECTIONS)}; by default all")
    parser.add_argument("--minutes", type=float, default=60, help="what has not begun by then is left out")
    parser.add_argument("--processes", type=int, help="that compile at once; by default 1, with a GPU one per core")
    parser.add_argument("--steps", type=int, default=1400, help="steps of a whole run")
    parser.add_argument("--rounds", type=int, default=5, help="how often each of what is compared is timed")
    parser.add_argument("--tiny", action="store_true", help="few tokens and rounds, to see whether everything runs")
    return parser.parse_args()


def machine(device: str) -> dict:
    """Date, commit, device, and versions of what decides speed."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    found = {"date": datetime.now(UTC).isoformat(timespec="minutes"), "commit": commit, "device": device}
    found |= {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    for package in ("torch", "triton", "transformers", "lightning", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    if device == "cuda":
        facts = torch.cuda.get_device_properties(0)
        found |= {"gpu": facts.name, "gpu_memory_gib": round(facts.total_memory / 2**30, 1)}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    else:
        found["processor"] = next(
            (line.split(":")[1].strip() for line in cpu_lines() if line.startswith("model name")), platform.machine()
        )
    return found


def cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def checks(bench: Bench) -> dict:
    """Float32 on the device against the CPU, for every variant; a run that trains, resumes and is measured there."""
    return check(bench) if bench.beside is None else bench.beside.result(max(0.0, bench.by(120) - time.monotonic()))


def check(bench: Bench) -> dict:
    found: dict = {}
    if bench.on_gpu:
        found["against_cpu"] = peer_checks.against_cpu("cuda")
    steps = 60 if bench.tiny else 400
    try:
        found["run"] = peer_checks.a_run(bench.folder / "checks", gpus=int(bench.on_gpu), steps=steps)
    except (RuntimeError, TimeoutError, OSError, subprocess.TimeoutExpired) as error:
        found["run"] = {"failed": str(error)}
    return found


def ceiling(bench: Bench) -> dict:
    """Matrix products alone, in TFLOP/s: of bfloat16 on a GPU, of float32 on one thread of a CPU."""
    dtype = torch.bfloat16 if bench.on_gpu else torch.float32
    sizes = [(8192, 8192, 8192), (16384, 8192, 8192)] if bench.on_gpu else [(1024, 1024, 1024)]
    # What a step of the two scales multiplies: rows of tokens by a projection, a feed-forward matrix, the head.
    inner = [(32768, 512, 512), (32768, 512, 1408), (32768, 512, 50304), (16384, 1024, 2816)] if bench.on_gpu else []
    found = {}
    for rows, depth, columns in sizes + inner:
        left = torch.randn(rows, depth, device=bench.device, dtype=dtype)
        right = torch.randn(depth, columns, device=bench.device, dtype=dtype)
        times = []
        for _ in range(bench.rounds):
            left @ right
            synchronise(bench)
            clock = time.perf_counter if bench.on_gpu else time.process_time
            start, number = clock(), 10 if bench.on_gpu else 2
            for _ in range(number):
                left @ right
            synchronise(bench)
            times.append((clock() - start) / number)
        found[f"{rows} x {depth} x {columns}"] = 2 * rows * depth * columns / min(times) / 1e12
        del left, right
    free_memory()  # the processes that are compared need it
    largest = max(found[f"{a} x {b} x {c}"] for a, b, c in sizes)
    return {"tflops": found, "ceiling": largest}


def synchronise(bench: Bench) -> None:
    if bench.on_gpu:
        torch.cuda.synchronize()


def race(bench: Bench, contestants: list[Contestant], seconds: float, steps: int) -> dict:
    """Prepare all, then time them in turn, round by round: facts, seconds of a step, and failures, by name."""
    ready, failed = prepare_all(bench.workers, contestants, bench.by(seconds), bench.room)
    bench.wait_for_quiet()
    times: dict[str, list[float]] = {name: [] for name in ready}
    round_began, longest = time.monotonic(), 0.0
    for _ in range(bench.rounds):
        if round_began + 1.2 * longest > bench.deadline:
            break
        for name, (worker, _) in ready.items():
            if name in failed:
                continue
            try:
                times[name].append(worker.call("seconds", name, steps, deadline=time.monotonic() + 120))
            except (RuntimeError, TimeoutError, OSError) as error:
                failed[name] = str(error)
        longest, round_began = max(longest, time.monotonic() - round_began), time.monotonic()
    entries = {
        name: facts
        | {"seconds": times[name], "tokens_per_second": facts["step_tokens"] / statistics.median(times[name])}
        for name, (_, facts) in ready.items()
        if times[name]
    }
    return {"entries": entries, "failed": failed}


def forget(bench: Bench) -> None:
    for worker in bench.workers:
        if worker.process.is_alive():
            try:
                worker.call("forget", deadline=bench.by(30))
            except (RuntimeError, TimeoutError, OSError):
                worker.end()


def ratio(entries: dict, one: str, other: str) -> dict | None:
    """How many times as fast ``one`` is as ``other`` per token: median over rounds, smallest, largest."""
    if one not in entries or other not in entries:
        return None
    first, second = entries[one], entries[other]
    scale = first["step_tokens"] / second["step_tokens"]
    pairs = [b / a * scale for a, b in zip(first["seconds"], second["seconds"], strict=False)]
    return {"ratio": statistics.median(pairs), "smallest": min(pairs), "largest": max(pairs)}


def scales(bench: Bench) -> dict:
    """Our decoder against transformers at the scales' shapes, and on a GPU other ways of computing the same."""
    if bench.on_gpu:
        bench.beside = ThreadPoolExecutor(1).submit(check, bench)
        options = {"compile": True, "bfloat16": True}
        small = Contestant(scale="0.1b", tokens=2048 if bench.tiny else 32768, **options)
        large = Contestant(scale="0.3b", tokens=2048 if bench.tiny else 16384, **options)
        pairs = [(one, replace(one, peer=True)) for one in (small, large)]
        others = [
            replace(small, changes=("joined",)),
            replace(large, changes=("joined",)),
            replace(small, loss_chunk=8192),
            replace(small, tokens=2 * small.tokens, changes=("joined",)),
        ]
        steps, seconds = 10, 300
    else:
        sizes = {"nano": 2048} if bench.tiny else {"nano": 2048, "small": 1024, "0.1b": 1024}
        shares = {"nano": 1, "small": 1, "0.1b": 4}
        pairs, others = [], []
        for scale, tokens in sizes.items():
            one = Contestant(scale=scale, tokens=tokens // 4 if bench.tiny else tokens, share=shares[scale])
            pairs.append((one, replace(one, peer=True)))
        steps, seconds = 1 if bench.tiny else 2, 3600
    found = race(bench, [one for pair in pairs for one in pair] + others, seconds, steps)
    found["ratios"] = {one.name: ratio(found["entries"], one.name, peer.name) for one, peer in pairs}
    if bench.on_gpu:
        found["profile"] = {}
        for one in [pairs[0][0], pairs[1][0]]:
            worker = next((w for w in bench.workers if w.process.is_alive() and one.name in found["entries"]), None)
            found["profile"][one.name] = profiled(bench, one) if worker else None
    forget(bench)
    return found


def profiled(bench: Bench, one: Contestant) -> object:
    """Kernels of a contestant's step, from whichever process prepared it."""
    for worker in bench.workers:
        if worker.process.is_alive():
            try:
                return worker.call("profile", one.name, deadline=bench.by(60))
            except (RuntimeError, TimeoutError, OSError):
                continue
    return None


def variants(bench: Bench) -> dict:
    """Every variant's step against the baseline's, at a quarter of the 0.1b shape: layers and vocabulary."""
    share, tokens = (4, 32768) if bench.on_gpu else (8, 1024)
    if bench.tiny:
        share, tokens = 16, 1024
    shared = {"share": share, "tokens": tokens, "compile": bench.on_gpu, "bfloat16": bench.on_gpu}
    names = peer_checks.distinct("0.1b")
    contestants = [Contestant(scale="0.1b", variant=name, **shared) for name in names]
    found = race(bench, contestants, 120 if bench.on_gpu else 3600, 8 if bench.on_gpu else 1)
    found["ratios"] = {one.name: ratio(found["entries"], one.name, contestants[0].name) for one in contestants}
    forget(bench)
    return found


def nano(bench: Bench) -> dict:
    """Steps a second at the nano scale, and of 1, 4 and 16 processes at once."""
    eager = Contestant(scale="nano", tokens=2048)
    found: dict = {"together": []}
    contestants = [eager, replace(eager, compile=True)] if bench.on_gpu else [eager]
    found |= race(bench, contestants, 60, 50 if bench.on_gpu else 5)
    for number in (1, 4, 16):
        workers = [worker for worker in bench.workers if worker.process.is_alive()][:number]
        if len(workers) < number:
            break
        deadline = bench.by(60)
        for request in (("prepare", eager), ("seconds", eager.name, 100), ("seconds", eager.name, 300)):
            for worker in workers:
                worker.ask(*request)
            replies = [worker.reply(deadline) for worker in workers]
        found["together"].append({"processes": number, "steps_per_second": sum(1 / seconds for seconds in replies)})
    forget(bench)
    return found


def runs(bench: Bench) -> dict:
    """A whole training process against a bare loop over the same decoder: CPU time and peak memory."""
    steps = 20 if bench.tiny else bench.steps
    tokens = bench.folder / "tokens"
    run = peer_runs.run_settings("nano", steps)
    peer_runs.write_tokens(tokens, run["tokenizer"]["vocabulary"])
    found: dict = {"steps": steps, "pairs": [], "first_step": []}
    for number in range(1 if bench.tiny or bench.on_gpu else min(3, bench.rounds)):
        for key, of in (("pairs", run), ("first_step", peer_runs.run_settings("nano", 1))):
            output = bench.folder / f"{key}{number}" / "run"
            own = peer_runs.measured(peer_runs.training_command(of, tokens, output, gpus=int(bench.on_gpu)))
            found[key].append([own, peer_runs.measured(peer_runs.loop_command(of, tokens, bench.device))])
    return found


SECTIONS: dict[str, Callable[[Bench], dict]] = {
    "ceiling": ceiling,
    "scales": scales,
    "checks": checks,
    "variants": variants,
    "nano": nano,
    "runs": runs,
}
"""In the order of worth."""


if __name__ == "__main__":
    sys.exit(main())
