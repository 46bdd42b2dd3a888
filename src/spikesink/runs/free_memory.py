"""How much memory this process may still take."""

from contextlib import suppress
from pathlib import Path

AFFECTS_RESULTS = False

CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> float:
    """Bytes that are free on this machine and in this process's control group; infinite where neither says so."""
    return min(of_machine(), of_group())


def of_machine(meminfo: Path = Path("/proc/meminfo")) -> float:
    """What the kernel expects a new program to get without swapping."""
    with suppress(OSError, ValueError, IndexError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return float("inf")


def of_group(root: Path = CGROUP, own: Path = Path("/proc/self/cgroup")) -> float:
    """What is left below the limits of the control groups (version 2) around this process, as SLURM sets them."""
    found = float("inf")
    with suppress(OSError, ValueError, StopIteration):
        place = next(line.split("::", 1)[1] for line in own.read_text().splitlines() if line.startswith("0::"))
        folder = root / place.strip("/")
        for one in (folder, *folder.parents):
            if one == root.parent:
                break
            with suppress(OSError, ValueError):  # "max" is no limit
                limit, used = int((one / "memory.max").read_text()), int((one / "memory.current").read_text())
                found = min(found, limit - used)
    return max(0.0, found)
