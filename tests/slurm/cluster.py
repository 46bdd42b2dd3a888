"""A real SLURM on this machine for the tests: munged, slurmctld and a slurmd per node, on the address of its name.

Jobs find the scheduler through /etc/slurm, as Snakemake's plugin takes SLURM_CONF away from them. A configuration there
that is not ours belongs to a real cluster and is never touched. GPUs are device files without a device: the scheduler
counts them and tells jobs theirs in CUDA_VISIBLE_DEVICES, and training goes on on the CPU.
"""

import fcntl
import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

CONFIGURATION = Path("/etc/slurm")
OURS = "# The SLURM of spikesink's tests; goes when they end.\n"
PACKAGES = {"munged": "munge", "slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "sbatch": "slurm-wlm"}
# Addresses as names: the ranks of a job find the first node by its name.
NODES = ("127.0.0.1", "127.0.0.2")
CPUS = 32
"""More than the machine has, so that the GPUs decide how many jobs run at once."""
SHARDS = 2
"""Jobs that may share a GPU."""
NULL_DEVICE = os.makedev(1, 3)


class NoCluster(Exception):
    """Why there can be no cluster on this machine, in one line."""


class Cluster:
    """``with Cluster(folder):`` runs two nodes with a GPU each; logs and state are in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Cluster":
        refuse_if_impossible()
        self.lock = sole_use(CONFIGURATION)
        try:
            self.folder.chmod(0o755)  # munge's socket must be within reach of every user
            os.mknod(self.folder / "nvidia0", stat.S_IFCHR | 0o666, NULL_DEVICE)
            write_configuration(self.folder)
            self.start_daemons()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_daemons(self) -> None:
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o600)
        files = {"key": "key", "pid": "pid", "log": "log", "seed": "seed"}
        options = [f"--{kind}-file={self.folder}/munge.{suffix}" for kind, suffix in files.items()]
        self.start("munged", ["munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *options])
        wait_until((self.folder / "munge.socket").exists, "munged makes its socket")
        self.start("slurmctld", ["slurmctld", "-D", "-c"])
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes()

    def start(self, name: str, command: list[str]) -> None:
        """Start a daemon that does not outlive this process."""
        with open(self.folder / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command], stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )

    def start_node(self, name: str) -> None:
        self.start(name, ["slurmd", "-D", "-N", name])

    def stop_daemon(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def wait_for_nodes(self) -> None:
        """Wait until both nodes are idle; a node that is down or drained is brought back."""

        def ready() -> bool:
            for name, daemon in self.daemons.items():
                if daemon.poll() is not None:
                    raise NoCluster(f"{name} has ended with {daemon.returncode}: see {self.folder}/{name}.out")
            lines = slurm(
                "sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %t", check=False
            ).splitlines()
            states = dict(line.split() for line in lines)
            for node, state in states.items():
                if state.startswith(("down", "drain")):
                    slurm("scontrol", "update", f"nodename={node}", "state=resume", check=False)
            return list(states.values()) == ["idle"] * len(NODES)

        wait_until(ready, "both nodes are idle")

    def stop(self) -> None:
        """End jobs, then the daemons that were started here, then take the configuration away."""
        if "slurmctld" in self.daemons:
            with suppress(subprocess.SubprocessError, TimeoutError):
                self.end_jobs()
        for name in reversed(self.daemons.copy()):
            self.stop_daemon(name)
        for path in configuration_files():
            if path.exists() and path.read_text().startswith(OURS):
                path.unlink()
        os.close(self.lock)

    def end_jobs(self) -> None:
        for job in slurm("squeue", "--noheader", "--format=%i").split():
            slurm("scancel", job)
        wait_until(lambda: not slurm("squeue", "--noheader", "--format=%i"), "all jobs have ended")


def configuration_files() -> list[Path]:
    return [CONFIGURATION / name for name in ("slurm.conf", "gres.conf")]


def refuse_if_impossible() -> None:
    """Raise NoCluster, in one line, where programs or rights are missing or a real cluster is configured."""
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})
    if missing:
        raise NoCluster(f"the tests of SLURM need more programs: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        raise NoCluster("the tests of SLURM start its daemons and write /etc/slurm, so they need root")
    for path in configuration_files():
        if path.exists() and not path.read_text().startswith(OURS):
            raise NoCluster(f"{path} is not from spikesink's tests: run them where no other SLURM is configured")


def sole_use(folder: Path) -> int:
    """A descriptor that keeps other tests, also of another pytest, from a cluster of their own until it is closed."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise NoCluster("other tests of SLURM run on this machine: wait for them, and use no parallel pytest") from None
    return descriptor


def write_configuration(folder: Path) -> None:
    """slurm.conf and gres.conf."""
    ports = dict(zip(("slurmctld", *NODES), free_ports(1 + len(NODES)), strict=True))
    # SLURM binds its ports to the address of the host's name: on Debian and in most containers one nobody else reaches.
    host = socket.gethostname()
    address = socket.gethostbyname(host)
    nodes = [
        f"NodeName={node} NodeHostname={host} NodeAddr={address} Port={ports[node]}"
        f" CPUs={CPUS} RealMemory=100000 Gres=gpu:1,shard:{SHARDS} State=UNKNOWN"
        for node in NODES
    ]
    slurm_conf = f"""\
        ClusterName=spikesink
        SlurmctldHost={host}({address})
        SlurmctldPort={ports["slurmctld"]}
        CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
        AuthType=auth/munge
        AuthInfo=socket={folder}/munge.socket,cred_expire=5
        CryptoType=crypto/munge
        SlurmUser=root
        SlurmdUser=root
        StateSaveLocation={folder}/state
        SlurmdSpoolDir={folder}/spool.%n
        SlurmctldPidFile={folder}/slurmctld.pid
        SlurmdPidFile={folder}/slurmd.%n.pid
        SlurmctldLogFile={folder}/slurmctld.log
        SlurmdLogFile={folder}/slurmd.%n.log
        # Without control groups a step's processes are its process group, and memory is watched instead of bounded.
        ProctrackType=proctrack/pgid
        TaskPlugin=task/none
        JobAcctGatherType=jobacct_gather/linux
        JobAcctGatherFrequency=task=1
        JobAcctGatherParams=OverMemoryKill
        AccountingStorageType=accounting_storage/none
        SelectType=select/cons_tres
        SelectTypeParameters=CR_Core_Memory
        SlurmdParameters=config_overrides
        SchedulerType=sched/backfill
        SchedulerParameters=sched_min_interval=100000,bf_interval=1,batch_sched_delay=0
        PreemptType=preempt/partition_prio
        PreemptMode=REQUEUE
        SlurmctldParameters=preempt_send_user_signal
        # Snakemake asks squeue: a job must be visible for a while after its end.
        MinJobAge=300
        # A node that somebody set down stays down until somebody resumes it.
        ReturnToService=1
        KillWait=5
        OverTimeLimit=0
        InactiveLimit=0
        SlurmdTimeout=10
        GresTypes=gpu,shard
        PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
        PartitionName=urgent Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
        """
    (folder / "state").mkdir()
    (CONFIGURATION / "slurm.conf").write_text(OURS + dedent(slurm_conf) + "\n".join(nodes) + "\n")
    names = f"NodeName={','.join(NODES)}"
    gpus = f"{names} Name=gpu File={folder}/nvidia0\n{names} Name=shard Count={SHARDS} File={folder}/nvidia0\n"
    (CONFIGURATION / "gres.conf").write_text(OURS + gpus)


def free_ports(number: int) -> list[int]:
    """Ports of the loopback interface that nobody uses."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def slurm(*command: str, check: bool = True) -> str:
    """What a command of SLURM writes."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if check and result.returncode:
        raise subprocess.CalledProcessError(result.returncode, command, result.stdout, result.stderr)
    return result.stdout.strip()


def has_left(job: str, node: str) -> bool:
    """Whether the node's daemon has nothing more of the job; until then it takes no second start of the same job."""
    pattern = re.search(r"SlurmdSpoolDir\s*= (.*)", slurm("scontrol", "show", "config"))[1]
    spool = Path(pattern.replace("%n", node))
    return not list(spool.glob(f"job{int(job):05}")) and not list(spool.glob(f"{node}_{job}.*"))


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.1)
