"""What the benchmark needs of the machine and records about it."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from bench_kit.errors import BenchError

from . import peers
from .scenarios import IDLE_CONNECTIONS, SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
INSTALLER = ROOT / "scripts" / "install-packages.sh"
# A peer holds two descriptors for each idle connection and some of its own.
DESCRIPTORS = 4 * peers.MAX_CONNECTIONS + 1024
DESCRIPTORS_AT_LEAST = 2 * IDLE_CONNECTIONS + 1024


def install_missing(names: list[str]) -> None:
    """Installs the programs that are not there; raises BenchError when that is impossible."""
    packages = {"nginx": "nginx-light", "wrk": "wrk", "perf": "linux-perf"}
    if peers.HAPROXY in names:
        packages["haproxy"] = "haproxy"
    missing = missing_packages(packages)
    if peers.NGINX in names and not has_stream():
        missing.append("libnginx-mod-stream")
    if missing == ["linux-perf"] and os.geteuid() != 0:
        return  # only makes the numbers better; a warning follows
    install(missing)


def missing_packages(packages: dict[str, str]) -> list[str]:
    """Of `program: package`, the packages whose programs are not there."""
    # Debian keeps nginx and haproxy in sbin, which an ordinary user's PATH lacks.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return [package for program, package in packages.items() if not shutil.which(program)]


def install(missing: list[str]) -> None:
    """Installs Debian packages, if any are named; raises BenchError when that is impossible."""
    if not missing:
        return
    print(f"installing {', '.join(missing)} ...", file=sys.stderr)
    if subprocess.run(["bash", str(INSTALLER), *missing], check=False).returncode != 0:
        raise BenchError(f"these Debian packages are needed: {' '.join(missing)}")


def has_stream() -> bool:
    """Whether nginx can forward TCP: as a module on disk, or built in."""
    if any(path.exists() for path in peers.STREAM_MODULES):
        return True
    if not shutil.which("nginx"):
        return False
    built = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=False).stderr
    return "--with-stream" in built.split()


def raise_descriptor_limit() -> None:
    """Raises RLIMIT_NOFILE, which children inherit; raises BenchError when that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= DESCRIPTORS or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
            return
        except (ValueError, OSError):
            pass  # not privileged: what there is may do
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < DESCRIPTORS_AT_LEAST:
        raise BenchError(
            f"RLIMIT_NOFILE is {wanted}, {DESCRIPTORS_AT_LEAST} are needed; raise the hard limit "
            "(ulimit -Hn, /etc/security/limits.conf) or run as root"
        )


def build_balancer() -> Path:
    """Builds the release binary; raises BenchError when cargo fails."""
    command = ["cargo", "build", "--release", "--locked", "--bin", "stateless-load-balancer"]
    command.append("--message-format=json-render-diagnostics")
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise BenchError(f"cannot run cargo: {error.strerror}")
    if done.returncode != 0:
        raise BenchError(f"cargo build ended with status {done.returncode}")
    for line in reversed(done.stdout.splitlines()):
        if executable := json.loads(line).get("executable"):
            return Path(executable)
    raise BenchError("cargo built no executable")


def warnings() -> list[str]:
    """Settings of this machine that spoil a comparison."""
    found = []
    if _read("/proc/sys/net/ipv4/tcp_tw_reuse") == "0":
        found.append("net.ipv4.tcp_tw_reuse=0: new-connections may run out of ports; set it to 2")
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor not in ("", "performance"):
        found.append(f"the CPU frequency governor is {governor}; performance is steadier")
    if (load := os.getloadavg()[0]) > 0.5:
        found.append(f"the machine is busy (load average {load:.1f})")
    return found


def describe(names: list[str], binary: Path | None) -> dict[str, object]:
    """The machine and the versions."""
    models = [
        line.split(":", 1)[1].strip()
        for line in _read("/proc/cpuinfo").splitlines()
        if line.startswith(("model name", "CPU part"))
    ]
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": models[0] if models else "unknown",
        "cpus": len(os.sched_getaffinity(0)),
        "cores_per_peer": peers.CORES,
        "versions": {name: peers.version(name, binary) for name in names},
        "wrk": _first_line(["wrk", "-v"]),
        "commit": _first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "scenarios": {scenario.name: scenario.about for scenario in SCENARIOS},
    }


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"unknown ({error.strerror})"
    return ((done.stdout + done.stderr).strip().splitlines() or ["unknown"])[0]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
