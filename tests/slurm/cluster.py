"""A real SLURM on one machine: two nodes, two GPUs each (character devices that stand for GPUs), on loopback.

Debian's slurm-wlm and munge, as root. The configuration must be in /etc/slurm, because the executor plugin of Snakemake
drops SLURM_CONF inside jobs; an existing configuration of another cluster is refused rather than overwritten.

    python tests/slurm/cluster.py start    # or stop
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

STATE = Path("/tmp/spikesink-slurm")
CONFIGURATION = Path("/etc/slurm")
MARK = "# written by spikesink's tests\n"
NODES = ("spike1", "spike2")
CONTROLLER_PORT, NODE_PORT = 16817, 16818

SLURM_CONF = (
    f"""{MARK}ClusterName=spikesink
SlurmctldHost={os.uname().nodename}(127.0.0.1)
SlurmctldPort={CONTROLLER_PORT}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={STATE}/controller
SlurmdSpoolDir={STATE}/%n
SlurmctldPidFile={STATE}/slurmctld.pid
SlurmdPidFile={STATE}/%n.pid
SlurmctldLogFile={STATE}/slurmctld.log
SlurmdLogFile={STATE}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
MinJobAge=300
ReturnToService=2
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=5,bf_interval=5
GresTypes=gpu
SlurmdParameters=config_overrides
"""
    + "".join(
        f"NodeName={name} NodeHostname={os.uname().nodename} NodeAddr=127.0.0.1 Port={NODE_PORT + index} "
        f"CPUs=4 CoresPerSocket=4 RealMemory=16000 Gres=gpu:2 State=UNKNOWN\n"
        for index, name in enumerate(NODES)
    )
    + f"""PartitionName=main Nodes={",".join(NODES)} Default=YES MaxTime=60 PriorityTier=1 State=UP
PartitionName=urgent Nodes={",".join(NODES)} MaxTime=60 PriorityTier=10 PreemptMode=OFF State=UP
"""
)
GRES_CONF = MARK + "".join(f"NodeName={name} Name=gpu File={STATE}/{name}-gpu[0-1]\n" for name in NODES)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def start() -> None:
    """Write the configuration and start munged, slurmctld and a slurmd per node; raise when a node does not come up."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing:
        raise RuntimeError(f"{', '.join(missing)} not found: apt-get install slurm-wlm munge")
    for name in ("slurm.conf", "gres.conf"):
        path = CONFIGURATION / name
        if path.exists() and not path.read_text().startswith(MARK):
            raise RuntimeError(f"{path} belongs to another cluster: move it away first")
    stop()
    shutil.rmtree(STATE, ignore_errors=True)
    for name in ("controller", *NODES):
        (STATE / name).mkdir(parents=True)
    for node in NODES:
        for gpu in range(2):
            os.mknod(STATE / f"{node}-gpu{gpu}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    CONFIGURATION.mkdir(exist_ok=True)
    (CONFIGURATION / "slurm.conf").write_text(SLURM_CONF)
    (CONFIGURATION / "gres.conf").write_text(GRES_CONF)
    start_munge()
    run("slurmctld")
    for node in NODES:
        run("slurmd", "-N", node)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        states = run("sinfo", "--noheader", "--Node", "--format=%t").split()
        if states and all(state == "idle" for state in states):
            return
        time.sleep(0.5)
    raise RuntimeError(f"nodes did not come up, see {STATE}/*.log: {run('sinfo')}")


def start_munge() -> None:
    """munged wants its folders owned by its user and a key."""
    if subprocess.run(["pgrep", "-x", "munged"], capture_output=True).returncode == 0:
        return
    for folder in ("/etc/munge", "/var/lib/munge", "/var/log/munge", "/run/munge"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        shutil.chown(folder, "munge", "munge")
    key = Path("/etc/munge/munge.key")
    if not key.exists():
        key.write_bytes(os.urandom(1024))
        shutil.chown(key, "munge", "munge")
        key.chmod(0o400)
    os.chmod("/run/munge", 0o755)
    subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=True, timeout=30)


def stop() -> None:
    """End the daemons that ``start`` began, known by their pid files."""
    for path in STATE.glob("*.pid"):
        try:
            os.kill(int(path.read_text()), signal.SIGTERM)
        except (ProcessLookupError, ValueError):
            continue
        deadline = time.monotonic() + 20
        while path.exists() and time.monotonic() < deadline:
            time.sleep(0.1)


if __name__ == "__main__":
    {"start": start, "stop": stop}[sys.argv[1]]()
