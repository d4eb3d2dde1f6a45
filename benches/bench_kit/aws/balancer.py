"""The release binary: as a running balancer, and as `check`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from bench_kit.processes import Server, free_port

# Nothing of the user's own environment, least of all AWS credentials, gets into a run.
INHERITED = ("PATH", "HOME", "LANG")


class Balancer:
    """A running balancer with no variables but these; ports are its defaults where they are free."""

    def __init__(self, binary: Path, log: Path, variables: dict[str, str], own_ports: bool = False):
        self.port = _port(8080, own_ports)
        self.admin = _port(9901, own_ports)
        self.variables = dict(variables)
        for name, port, default in [("PORT", self.port, 8080), ("ADMIN_PORT", self.admin, 9901)]:
            if port != default:
                self.variables[name] = str(port)
        self.binary = binary
        self.log = log
        command = ["env", "-i", *_environment(self.variables), str(binary)]
        self._server = Server("the balancer", command, log)

    @property
    def pid(self) -> int:
        """Its process id: env(1) has become it."""
        return self._server.pids()[0]

    def wait_until(self, ready, what: str, seconds: float = 20.0) -> None:
        """Waits until `ready()` is true; raises BenchError when that takes too long."""
        self._server.wait_until(ready, what, seconds)

    def is_ready(self) -> bool:
        """Whether `/readyz` says so."""
        return self._get("/readyz")[0] == 200

    def states(self) -> dict[str, str]:
        """The state of each target by its id."""
        status, body = self._get("/targets")
        return {it["id"]: it["state"] for it in json.loads(body)["targets"]} if status == 200 else {}

    def healthy(self) -> set[str]:
        """The ids of the healthy targets."""
        return {instance for instance, state in self.states().items() if state == "healthy"}

    def metric(self, series: str) -> float:
        """The value of a series; its name goes without `load_balancer_`."""
        for line in self._get("/metrics")[1].splitlines():
            if line.startswith(f"load_balancer_{series} "):
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(series)

    def refreshes(self, outcome: str) -> int:
        """Refreshes that ended like this."""
        return int(self.metric(f'discovery_refreshes_total{{outcome="{outcome}"}}'))

    def stop(self) -> None:
        """Ends it."""
        self._server.stop()

    def _get(self, path: str) -> tuple[int, str]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""


def check(binary: Path, variables: dict[str, str]) -> tuple[int, str]:
    """Exit status and output of `check`."""
    command = ["env", "-i", *_environment(variables), str(binary), "check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def knows(binary: Path, variable: str) -> bool:
    """Whether the binary's help names the variable."""
    done = subprocess.run([binary, "--help"], capture_output=True, text=True, check=False)
    return variable in done.stdout.split()


def threads_times(pid: int) -> dict[str, tuple[float, float]]:
    """Seconds so far on a CPU, and ready but waiting for one, by the name of the thread (kernel,
    Documentation/scheduler/sched-stats); threads that come and go have one name."""
    times: dict[str, tuple[float, float]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            busy, ready = (int(field) / 1e9 for field in (task / "schedstat").read_text().split()[:2])
        except OSError:
            continue  # ended meanwhile
        others = times.get(name, (0.0, 0.0))
        times[name] = (others[0] + busy, others[1] + ready)
    return times


def _environment(variables: dict[str, str]) -> list[str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return [f"{name}={value}" for name, value in {**inherited, **variables}.items()]


def _port(default: int, own: bool) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", default))
        except OSError:
            own = True
    return free_port(["0.0.0.0"]) if own else default
