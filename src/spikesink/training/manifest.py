"""manifest.json: how, where and with what a run was made."""

import platform
import resource
import sys
from datetime import UTC, datetime
from importlib import metadata

import torch

from spikesink.runs.checkout import git_state as git_state  # training asks for it here
from spikesink.runs.code_digest import module_digests

AFFECTS_RESULTS = False

PACKAGES = ("spikesink", "torch", "lightning", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware(device: torch.device) -> dict[str, str | int]:
    """The device that trained and the machine around it."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"device": device.type, "name": name, "threads": torch.get_num_threads(), "system": platform.platform()}


def modules() -> dict[str, str]:
    """Digest of every module of this package that training imports, so that a later look can say which one changed."""
    return module_digests("spikesink.training.__main__")


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
