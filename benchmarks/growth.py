"""How time and memory grow with a study's runs, and with a model's tokens, layers, width and context, on one CPU core.

    python benchmarks/growth.py OUTPUT.json [--sections runs,model,measures]

Times are of the processor, the smallest of a few repetitions. An exponent is the slope of a straight line through the
logarithms. Memory of tensors is what torch's profiler counts; of a process, its largest resident set.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests/unit")]

import torch  # noqa: E402
from peak_memory import peak_bytes  # noqa: E402
from peer_steps import Contestant, Prepared, recipes  # noqa: E402

from spikesink.measures.probes.attention_rows import attention_received, attention_rows  # noqa: E402
from spikesink.measures.probes.observe import LOGITS_ON_CPU, block_inputs  # noqa: E402
from spikesink.measures.questions.attention_distance import of_block  # noqa: E402
from spikesink.model.attention import CausalAttention  # noqa: E402
from spikesink.model.decoder import Decoder  # noqa: E402
from spikesink.study.memory import memory_bytes  # noqa: E402
from spikesink.study.settings import Attention, FeedForward, Model, Training  # noqa: E402
from spikesink.training.freed_memory import keep_freed_memory  # noqa: E402

MIB = 2**20
LONGEST = 60
"""Seconds; a larger study than one that took a fifth of it is left out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--sections", default=",".join(SECTIONS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name in options.sections.split(","):
        found[name] = SECTIONS[name]()
        options.output.write_text(json.dumps(found, indent=1) + "\n")
    for rows in found.values():
        print("\n".join(page(rows)))


def page(rows: dict[str, list[dict]]) -> list[str]:
    """A table per series: its rows, and under them the exponent of every column."""
    lines = []
    for title, series in rows.items():
        head = list(series[0])
        lines += [f"| {' | '.join([title, *head[1:]])} |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(written(row[name]) for name in head) + " |" for row in series]
        slopes = [written(slope([(row[head[0]], row[name]) for row in series])) for name in head[1:]]
        lines += ["| exponent | " + " | ".join(slopes) + " |", ""]
    return lines


def written(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the least-squares line through the logarithms."""
    x, y = ([math.log(value) for value in values] for values in zip(*points, strict=True))
    middle, height = sum(x) / len(x), sum(y) / len(y)
    return sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


def runs() -> dict[str, list[dict]]:
    """A study of n runs, five seeds of each variant: resolved and planned, and a dry run of Snakemake."""
    commands = {
        "plan": ["-m", "spikesink.cli", "plan", "--json", "--configfile"],
        "snakemake --dry-run": ["-m", "snakemake", "--dry-run", "--quiet", "all", "--configfile"],
    }
    found: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "growth.yaml"
        for name, command in commands.items():
            for count in (10, 100, 1000, 10_000):
                variants = {
                    f"width_{number}": {"model": {"feed_forward": {"width": 64 + number}}}
                    for number in range(count // 5 - 1)
                }
                study = {"study": "growth", "seeds": list(range(5)), "ablations": [], "variants": {"width": variants}}
                overlay.write_text(yaml.safe_dump(study))
                seconds, memory = process([sys.executable, *command, str(overlay)])
                found.setdefault(name, []).append({"runs": count, "CPU s": seconds, "MB": memory})
                if seconds > LONGEST / 5:
                    break
    return {f"{name}: runs": series for name, series in found.items()}


def process(command: list[str]) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of a process and its children."""
    # A child counts the memory of the process that it was forked from, so a small one stands between.
    between = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    started = [sys.executable, "-S", "-c", between, *command]
    done = subprocess.run(started, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def model() -> dict[str, list[dict]]:
    """One training step: against the tokens of a step, layers, width (d_model and d_model / 64 heads) and context."""
    base = {"layers": 4, "width": 256, "context": 256, "tokens": 2048}
    series = {
        "tokens": (512, 1024, 2048, 4096),
        "layers": (2, 4, 8),
        "width": (128, 256, 512),
        "context": (64, 256, 1024, 2048),
    }
    return {name: [step(name, base | {name: value}) for value in values] for name, values in series.items()}


def step(name: str, size: dict[str, int]) -> dict:
    """CPU seconds, peak memory and the plan's estimate of it; operations as the plan counts them, by the second."""
    width, context = size["width"], size["context"]
    settings = Model(
        layers=size["layers"],
        d_model=width,
        attention=Attention(heads=width // 64, head_dim=64),
        feed_forward=FeedForward(width=width * 11 // 4),
    )
    tokens = max(size["tokens"], context)
    training = replace(
        recipes("nano")["baseline"][1],
        sequence_length=context,
        batch_size=tokens // context,
        loss_window=None,
    )
    one = Shape(settings, training, 2048, tokens)
    facts = one.warm_up()
    held = sum(value.nbytes for value in one.model.parameters())
    held += sum(value.nbytes for state in one.optimiser.state.values() for value in state.values())
    peak = held + peak_bytes(one.step)
    seconds = min(one.seconds(1) for _ in range(2))
    planned = memory_bytes(settings, 2048, training, 1)
    return {
        name: size[name],
        "CPU s": seconds,
        "GFLOP/s of the plan's count": facts["flops_per_token"] * tokens / seconds / 1e9,
        "MiB": peak / MIB,
        "planned MiB": planned / MIB,
        "planned over measured": planned / peak,
    }


class Shape(Prepared):
    """A decoder of any shape, ready to step."""

    def __init__(self, settings: Model, training: Training, vocabulary: int, tokens: int) -> None:
        self.given = settings, training, vocabulary
        super().__init__(Contestant(scale="nano", tokens=tokens), "cpu")

    def shape(self) -> tuple[Model, Training, int]:
        return self.given


def measures() -> dict[str, list[dict]]:
    """An attention block's maps, eight heads of 64: some queries at a time as the measures read them, and whole."""
    settings = Model(
        layers=1, d_model=512, attention=Attention(heads=8, head_dim=64), feed_forward=FeedForward(width=16)
    )
    keep_freed_memory(largest=LOGITS_ON_CPU)  # as a measuring job does
    decoder = Decoder(settings, vocabulary=64, positions=4096).eval()
    ways = {
        "received, rows": lambda rows, whole, length: attention_received(rows, length),
        "received, whole map": lambda rows, whole, length: whole().mean(dim=-2),
        "distance and entropy, rows": lambda rows, whole, length: of_block(rows, 0, 16),
        "distance and entropy, whole map": lambda rows, whole, length: whole_sums(whole(), 16),
    }
    found: dict[str, list[dict]] = {f"{name}: context": [] for name in ways}
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(0, 0.05)
        for length in (512, 1024, 2048, 4096):
            _, block, h, context = next(iter(block_inputs(decoder, torch.randint(64, (1, length)))))
            body, x = block.body, block.pre_norm(h)
            for name, way in ways.items():

                def work() -> object:
                    rows = attention_rows(body, x, context, 64)  # noqa: B023
                    return way(rows, lambda: whole_map(body, x, context), length)  # noqa: B023

                times = [cpu_seconds(work) for _ in range(3)]
                found[f"{name}: context"].append(
                    {"context": length, "CPU s": min(times), "MiB": peak_bytes(work) / MIB}
                )
    return found


def whole_map(body: CausalAttention, x: torch.Tensor, context: object) -> torch.Tensor:
    return body.weights(*body.queries_keys(x, context))


def whole_sums(weights: torch.Tensor, local: int) -> list[torch.Tensor]:
    """Weight, distance, local share and entropy of every query, with and without key 0, as their definitions read."""
    place = torch.arange(weights.shape[-1])
    distance = place[:, None] - place
    return [
        torch.stack([one.sum(dim=-1) for one in (w, w * distance, w * (distance < local), torch.special.entr(w))])
        for w in (weights, weights.masked_fill(place == 0, 0))
    ]


def cpu_seconds(work: Callable[[], object]) -> float:
    """The processor's time, the system's part of it included."""
    start = time.process_time()
    work()
    return time.process_time() - start


SECTIONS = {"runs": runs, "model": model, "measures": measures}


if __name__ == "__main__":
    main()
