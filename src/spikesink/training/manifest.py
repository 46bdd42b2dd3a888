"""manifest.json: how, where and with what a run was made."""

import platform
import resource
import sys
from datetime import UTC, datetime
from typing import Any

import lightning as L
import torch

from spikesink import __version__
from spikesink.model.decoder import Decoder
from spikesink.runs.checkout import git_state, version
from spikesink.runs.code_digest import module_digests
from spikesink.runs.identity import TRAINING
from spikesink.training.task import Outcome, Task

AFFECTS_RESULTS = False

PACKAGES = ("torch", "lightning", "numpy", "safetensors")


def facts(task: Task, outcome: Outcome, trainer: L.Trainer, decoder: Decoder) -> dict[str, Any]:
    """The content of manifest.json for a run that has ended.

    Its time is that of all starts together, of each that was interrupted up to the checkpoint where the next resumed.
    """
    device, progress = trainer.strategy.root_device, trainer.progress_bar_callback
    tokens, seconds = trainer.global_step * task.tokens_per_step, progress.seconds_before + outcome.seconds
    training = task.training
    distinct = (training.distinct_sequences or 0) * training.sequence_length or len(task.stream.tokens)
    return {
        "status": outcome.status,
        "why": outcome.why,
        "steps": trainer.global_step,
        "digest": task.digest,
        "code": task.run.get("code"),
        "modules": module_digests(TRAINING),  # so that a later look can say which one changed
        "tokens_sha256": task.tokens_sha256,
        "tokenizer_sha256": task.index["tokenizer_sha256"],
        "sources": task.index.get("sources", []),
        "git": git_state(),
        "versions": versions(),
        "hardware": hardware(device),
        "precision": task.precision,
        "strategy": task.training.strategy,
        "devices": task.devices.number,
        "nodes": task.devices.nodes,
        "micro_batch": task.micro_batch,
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
        "tokens": tokens,
        "epochs": round(tokens / distinct, 3),
        "resumed_from_step": outcome.resumed_from,
        "started": progress.begun or outcome.started,
        "finished": now(),
        "wall_seconds": round(seconds, 2),
        "tokens_per_second": round(tokens / seconds, 1),
        **peak_memory_mb(device),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version(), "spikesink": __version__}
    return found | {package: version(package) for package in PACKAGES}


def hardware(device: torch.device) -> dict[str, str | int]:
    """The device that trained and the machine around it."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"device": device.type, "name": name, "threads": torch.get_num_threads(), "system": platform.platform()}


def peak_memory_mb(device: torch.device) -> dict[str, float]:
    """Largest resident memory of this process, and largest memory of tensors on its GPU if it has one, in MB."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = {"peak_memory_mb": round(resident / (1024**2 if sys.platform == "darwin" else 1024), 1)}
    if device.type == "cuda":
        peak["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated(device) / 1024**2, 1)
    return peak


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
