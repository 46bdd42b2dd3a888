"""A made-up study on disk with planted numbers, for the tests of tables and figures."""

import json
import math
import random
from pathlib import Path

import polars as pl

TOKENS = 64
EPSILON = 0.3


def fake_run(
    folder: Path, *, seed: int, perplexity=20.0, sink=0.5, spike=100.0, layers=2, heads=4, status="finished", rows=40
) -> None:
    """A run's folder: constant perplexity, planted sink heads (the first ``sink`` share of heads), one planted spike.

    The first half of the chunk's positions has twice the nll that makes ``perplexity``, the rest none: a loss window
    on the first half has the perplexity squared.
    """
    noise = random.Random(f"{folder}{seed}")
    folder.mkdir(parents=True)
    manifest = {"status": status, "parameters": 1_000_000, "tokens": 64_000, "digest": "abc"}
    manifest |= {"tokens_per_second": 500.0, "wall_seconds": 128.0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    lines = ["step,tokens,loss,learning_rate,gradient_norm"]
    for row in range(1, rows + 1 if status == "finished" else rows // 2):
        loss = math.log(perplexity) + 5 * math.exp(-5 * row / rows) + noise.gauss(0, 0.03)
        lines.append(f"{row * 10},{row * 1600},{loss},0.001,{1 + 4 * math.exp(-row / 5) + noise.random()}")
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    if status != "finished":
        return
    measures = folder / "measures"
    measures.mkdir()
    nll = [2 * math.log(perplexity) * 10] * 4 + [0.0] * 4
    scored = pl.DataFrame({"position": range(8), "tokens": [10] * 8, "nll_nats": nll, "draw_seed": [0] * 8})
    scored.write_parquet(measures / "perplexity.parquet")
    documents = {"document": [0, 1], "tokens": [40, 40], "nll_nats": [0.45 * sum(nll), 0.55 * sum(nll)]}
    pl.DataFrame(documents).write_parquet(measures / "document_perplexity.parquet")
    attention = []
    for index in range(layers * heads):
        is_sink = index < sink * layers * heads
        mass = 0.4 + 0.5 * noise.random() if is_sink else 0.25 * noise.random()
        attention.append(
            {
                "block": 2 * (index // heads) + 1,
                "layer": index // heads,
                "head": index % heads,
                "sink_share": float(is_sink),
                "sink_share_gu": 0.5 * is_sink,
                "sink_mass": mass,
                "sink_share_trained": float(is_sink),
                "sink_mass_trained": mass,
                "trained_first": 0,
                "trained_last": 8,
                "largest_key_mass": mass,
                "sink_position": 0,
                "tokens": TOKENS,
                "epsilon": EPSILON,
                "sequences": 10,
            }
        )
    pl.DataFrame(attention).write_parquet(measures / "attention.parquet")
    for name, rows_of in fake_abilities(perplexity).items():
        pl.DataFrame(rows_of).write_parquet(measures / f"{name}.parquet")
    activations = []
    for state in range(2 * layers + 1):
        plateau = 1 < state < 2 * layers
        top = spike * (1 - 0.01 * abs(state - 2)) if plateau else 3 + 2 * noise.random()
        output = [None] * 3 if state == 0 else [top if state in (2, 2 * layers) else 2.0, 1.5, 1.0]
        activations.append(
            {
                "state": state,
                "kind": "embedding" if state == 0 else ("attention" if state % 2 else "feed_forward"),
                "top1": top,
                "top2": 0.6 * top,
                "top3": 0.3 * top,
                "output_top1": output[0],
                "output_top2": output[1],
                "output_top3": output[2],
                "median": 0.5,
                "ordinary_median": 0.4,
                "maximum_token0": 0.5 * top,
                "maximum_later": top,
                "maximum": top,
                "maximum_position": 7 if plateau else 3,
                "maximum_channel": 11,
                "norm_token0": 2 * top,
                "norm_early": 10.0,
                "sequences": 10,
                "tokens": TOKENS,
            }
        )
    pl.DataFrame(activations).write_parquet(measures / "activations.parquet")


def fake_abilities(perplexity: float) -> dict[str, list[dict]]:
    """A model that copies three of four random tokens, finds half of the values, and loses twice as much far away.

    Static INT8 costs it half of its perplexity again.
    """
    loss = math.log(perplexity)
    copies = [(1, 0, 4 * loss), (2, 3, loss)]
    needles = [(seed, distance, 4 + (seed == 1)) for seed in (0, 1) for distance in (1, 2)]
    return {
        "induction": [
            {"copy": copy, "place": 1, "tokens": 4, "correct": correct, "nll_nats": nll}
            for copy, correct, nll in copies
        ],
        "retrieval": [
            {"seed": seed, "distance": distance, "sequences": 9, "correct": correct, "chosen": 6, "candidates": 4}
            | {"log_probability": -loss, "others_log_probability": -2 * loss}
            for seed, distance, correct in needles
        ],
        "beyond_context": [
            {"first": 8 * part, "last": 8 * part + 8, "contexts": contexts, "tokens": 10, "nll_nats": 10 * times * loss}
            for part, (contexts, times) in enumerate(((1, 1.0), (2, 1.5), (4, 2.0), (4, 2.0)))
        ],
        "backcopy": [],
        "backcopy_heads": [],
        "quantisation": [
            {"setting": setting, "perplexity": perplexity * times}
            for setting, times in (("full_precision", 1.0), ("static_per_tensor", 1.5), ("gptq", 1.02))
        ],
    }


def fake_study(root: Path, ablations: dict[str, dict[str, dict]], seeds=(0,), **common) -> dict[str, tuple]:
    """Write the runs of ``ablations`` (name, variant, settings); the arguments of ``collect`` by ablation.

    The settings under "baseline" are the baseline's. ``seed<k>`` among a variant's settings holds what differs for it.
    """
    folders, names = {}, {}
    planned = ablations | {"baseline": {"baseline": ablations.get("baseline", {})}}
    for ablation, variants in planned.items():
        for variant, settings in variants.items():
            for seed in seeds:
                planted = common | settings | settings.get(f"seed{seed}", {})
                planted = {key: value for key, value in planted.items() if not key.startswith("seed")}
                names[variant] = {key: planted.pop(key, None) for key in ("label", "stands_for")}
                attention = {"heads": planted.get("heads", 4), "head_dim": planted.pop("head_dim", 32)}
                training = {"loss_window": planted.pop("loss_window", None), "sequence_length": 8}
                folder = root / "runs" / variant / f"seed{seed}"
                fake_run(folder, seed=seed, **planted)
                run = {"study": "fake", "scale": "tiny", "ablation": ablation, "variant": variant, "seed": seed}
                run |= {"model": {"attention": attention}, "training": training}
                (folder / "run.json").write_text(json.dumps(run))
                folders.setdefault(ablation, []).append(folder)
    return {name: (folders["baseline"] + folders[name], name, names) for name in ablations if name != "baseline"}
