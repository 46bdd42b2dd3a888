"""Is a GPU right? Against the CPU in float32, and by training, resuming and measuring a run on it."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import peer_runs
import torch
from peer_steps import recipes
from safetensors.torch import load_file
from torch import Tensor

from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.runs.folder import RunFolder
from spikesink.training.module import next_token_loss

ALLOWED = 1e-4
"""Largest difference from the CPU in float32, over the largest magnitude of the tensor on the CPU."""


def distinct(scale: str) -> list[str]:
    """Variants of a scale that differ in what a step computes, and not only in numbers such as the learning rate."""
    found = {}
    for name, (model, training, _) in recipes(scale).items():
        window, kind = training.loss_window, training.optimiser.kind
        initial = replace(model, initialisation=type(model.initialisation)())
        found.setdefault(repr((initial, training.sequence_length, window, training.residual, kind)), name)
    return list(found.values())


def against_cpu(device: str, scale: str = "nano") -> list[dict]:
    """For every variant, how far logits and gradients on ``device`` are from those of the CPU."""
    rows = []
    for name in distinct(scale):
        model, training, vocabulary = recipes(scale)[name]
        tokens = torch.randint(
            0, vocabulary, (4, training.sequence_length + 1), generator=torch.Generator().manual_seed(1)
        )
        found = []
        for place in ("cpu", device):
            decoder = Decoder(model, vocabulary=vocabulary, positions=training.sequence_length)
            initialise(decoder, 0)
            decoder.to(place)
            logits = decoder(tokens[:, :-1].to(place)).detach().cpu()
            next_token_loss(decoder, tokens.to(place), training).backward()
            gradients = {key: one.grad.cpu() for key, one in decoder.named_parameters() if one.grad is not None}
            found.append({"logits": logits} | gradients)
        errors = {key: difference(found[1][key], value) for key, value in found[0].items()}
        worst = max(errors, key=errors.get)
        row = {"variant": name, "logits": errors["logits"], "worst": worst, "worst_error": errors[worst]}
        rows.append(row | {"right": errors[worst] <= ALLOWED and found[0].keys() == found[1].keys()})
    return rows


def difference(value: Tensor, expected: Tensor) -> float:
    largest = expected.abs().max().item()
    return (value - expected).abs().max().item() / largest if largest else value.abs().max().item()


def a_run(folder: Path, gpus: int, steps: int = 300, seconds: float = 90) -> dict:
    """Train a nano run, the same again with an interruption, and measure it. Facts of all three."""
    tokens = folder / "tokens"
    run = peer_runs.run_settings("nano", steps, checkpoint_every=50)
    if not tokens.exists():
        peer_runs.write_tokens(tokens, run["tokenizer"]["vocabulary"])
    whole, broken = folder / "whole" / "run", folder / "broken" / "run"
    facts = {"training": peer_runs.measured(peer_runs.training_command(run, tokens, whole, gpus=gpus), seconds)}
    manifest = read_manifest(whole)
    facts["device"] = manifest["hardware"]["device"]
    facts["tokens_per_second"] = manifest["tokens_per_second"]
    command = peer_runs.training_command(run, tokens, broken, gpus=gpus)
    process = subprocess.Popen(command, env=peer_runs.environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + seconds
    while not list((broken.parent / "checkpoints").glob("*/step*.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    facts["interrupted_exit_code"] = process.wait(seconds)
    facts["resuming"] = peer_runs.measured(command, seconds)
    facts["resumed_from_step"] = read_manifest(broken)["resumed_from_step"]
    facts["weights_differ_by"] = weights_difference(whole, broken)
    measure = [sys.executable, "-m", "spikesink.measures", "forward", "--run", str(whole), "--tokens", str(tokens)]
    settings = '{"sink_tokens": 32, "sequences": 8, "perplexity_tokens": 4096}'
    facts["measuring"] = peer_runs.measured([*measure, "--format", "csv", "--settings", settings], seconds)
    facts["measures"] = sorted(path.name for path in (whole / "measures").iterdir())
    return facts


def read_manifest(run: Path) -> dict:
    return json.loads((run / "manifest.json").read_text())


def weights_difference(one: Path, other: Path) -> float:
    """Largest difference of a weight between two runs, over the largest magnitude of its tensor."""
    first, second = (load_file(RunFolder(folder).weights) for folder in (one, other))
    return max(difference(second[name], value) for name, value in first.items())
