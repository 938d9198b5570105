"""A real SLURM cluster on loopback, for tests: no systemd, no root, no fixed port.

    python tests/slurm/cluster.py            # until Ctrl-C; says what to source

Needs Debian's packages slurmctld, slurmd, slurm-client and munge.
"""

import contextlib
import os
import random
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
# Longer paths do not fit into the address of a Unix socket.
LONGEST_FOLDER = 80
SECONDS_TO_START = 60

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
AccountingStorageType=accounting_storage/none
# Without control groups memory is watched by sampling, once a second.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MinJobAge=3600
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
MailProg=/bin/true
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cpus} \
RealMemory={memory_mb} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES DefaultTime=10 MaxTime=120 State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster; ``environment`` makes SLURM's commands talk to it."""

    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str) -> str:
        """What one of SLURM's commands prints."""
        return subprocess.run(
            arguments,
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


@contextlib.contextmanager
def running_cluster(*, nodes: int = 2, cpus: int = 2, memory_mb: int = 16000) -> Iterator[Cluster]:
    """Start a cluster, and end it with all of its jobs."""
    with tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        if len(str(folder)) > LONGEST_FOLDER:
            raise RuntimeError(f"{folder}: too long for a Unix socket; set TMPDIR to a shorter one")
        # Daemons refuse folders that others may write to or not look into.
        folder.chmod(0o755)
        for part in ("state", "log", "munge", "bin", *(f"spool-n{i + 1}" for i in range(nodes))):
            (folder / part).mkdir(mode=0o755)
        cluster = _configured(folder, nodes, cpus, memory_mb)
        daemons: list[tuple[str, subprocess.Popen]] = []
        try:
            _start(cluster, daemons, nodes)
            yield cluster
        finally:
            _stop(cluster, daemons)


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _configured(folder: Path, nodes: int, cpus: int, memory_mb: int) -> Cluster:
    port = _free_ports(nodes + 1)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            user=_user(),
            port=port,
            first=port + 1,
            last=port + nodes,
            nodes=nodes,
            cpus=cpus,
            memory_mb=memory_mb,
        )
    )
    # Snakemake's job steps drop SLURM_CONF before they call srun.
    srun = folder / "bin" / "srun"
    srun.write_text(
        f"#!/bin/sh\nSLURM_CONF={shlex.quote(str(configuration))}; export SLURM_CONF\n"
        f'exec {shutil.which("srun", path=_path())} "$@"\n'
    )
    srun.chmod(0o755)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    return Cluster(
        folder, {"SLURM_CONF": str(configuration), "PATH": f"{folder / 'bin'}:{_path()}"}
    )


def _user() -> str:
    return subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()


def _free_ports(count: int) -> int:
    """The first of ``count`` free ports in a row, below those that connections are given."""
    for _ in range(200):
        first = random.randrange(16800, 30000)
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("0.0.0.0", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


def _start(cluster: Cluster, daemons: list[tuple[str, subprocess.Popen]], nodes: int) -> None:
    folder = cluster.folder
    munge = folder / "munge"
    commands = {
        "munged": [
            *("munged", "--foreground", "--socket", f"{munge}/socket", f"--key-file={munge}/key"),
            *(f"--pid-file={munge}/pid", f"--log-file={folder}/log/munged.log"),
            f"--seed-file={munge}/seed",
        ],
        "slurmctld": ["slurmctld", "-D"],
        **{f"slurmd-n{i + 1}": ["slurmd", "-D", "-N", f"n{i + 1}"] for i in range(nodes)},
    }
    for name, command in commands.items():
        with (folder / "log" / f"{name}.out").open("w") as out:
            process = subprocess.Popen(
                [shutil.which(command[0], path=_path()) or command[0], *command[1:]],
                env={**os.environ, **cluster.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        daemons.append((name, process))
        if name == "munged":
            _wait((munge / "socket").exists, cluster, daemons)
    _wait(lambda: _idle_nodes(cluster) == nodes, cluster, daemons)


def _idle_nodes(cluster: Cluster) -> int:
    try:
        listed = cluster.command("sinfo", "--noheader", "--Node", "--format", "%T")
    except subprocess.CalledProcessError:
        return 0
    return listed.split().count("idle")


def _wait(ready, cluster: Cluster, daemons: list[tuple[str, subprocess.Popen]]) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + SECONDS_TO_START
    while not ready():
        dead = [name for name, process in daemons if process.poll() is not None]
        if dead or time.monotonic() > end:
            logs = "\n".join(
                f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}"
                for path in sorted((cluster.folder / "log").iterdir())
            )
            raise RuntimeError(f"SLURM did not start ({', '.join(dead) or 'too slow'})\n{logs}")
        time.sleep(0.2)


def _stop(cluster: Cluster, daemons: list[tuple[str, subprocess.Popen]]) -> None:
    with contextlib.suppress(subprocess.SubprocessError):
        cluster.command("scancel", "--full", "--signal=KILL", "--user", _user())
        cluster.command("scancel", "--user", _user())
        end = time.monotonic() + 20
        while cluster.command("squeue", "--noheader").strip() and time.monotonic() < end:
            time.sleep(0.2)
    for _, process in reversed(daemons):
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> int:
    """Run a cluster until interrupted."""
    missing = missing_programs()
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    with running_cluster() as cluster:
        for name, value in cluster.environment.items():
            print(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
