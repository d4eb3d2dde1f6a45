"""What discovery costs the clients: `benches/run discovery-latency --help`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import urllib.request
from pathlib import Path

from bench_kit.aws.account import CREDENTIALS, REGION, TAG, Fleet, Moto, use_python_with_moto
from bench_kit.aws.balancer import Balancer, threads_times
from bench_kit.aws.traffic import Loop
from bench_kit.errors import BenchError
from bench_kit.processes import free_port, http_status, run_to_end
from bench_kit.turns import rotated
from side_by_side.backends import nginx
from side_by_side.environment import build_balancer, raise_descriptor_limit

ABOUT = """\
Measures the latency of a steady load (64 kept connections, each 5-15 ms between two requests)
through one core of the balancer, by how it discovers its 1,000 targets meanwhile:
  off  it does not: once at start, then once an hour
  on   every second
The worst case: one CPU for all threads of the balancer, so that what discovery uses of it is taken
from clients, unless they go first. The load generator and the servers share another. AWS is a server
that repeats what moto said once, below all others. core_wait is how long, in each second, the data
plane was ready to run and did not. Needs wrk and nginx. Compare medians; single rounds are noisy."""

VARIANTS = ["off", "on"]
COLUMNS = (
    "p50_us",
    "p99_us",
    "p999_us",
    "requests_per_s",
    "core_wait_ms_per_s",
    "core_ms_per_s",
    "control_ms_per_s",
)
CONNECTIONS = 64


def answer_of_moto(directory: Path, instances: int) -> bytes:
    """What EC2 says of so many instances."""
    moto = Moto(directory / "moto.log")
    try:
        fleet = Fleet(moto, "127.0.0.0/16")
        fleet.launch_many(instances)
        form = f"Action=DescribeInstances&Version=2016-11-15&MaxResults=1000" \
            f"&Filter.1.Name=tag:{TAG['Key']}&Filter.1.Value.1={TAG['Value']}"
        return ask(moto.port, form.encode())
    finally:
        moto.kill()


def ask(port: int, form: bytes) -> bytes:
    """The answer to a call of EC2."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/ec2/aws4_request, "
        "SignedHeaders=host, Signature=none",
    }
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", form, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=120) as answer:
        return answer.read()


async def repeat(port: int, body: bytes) -> None:
    """Answers every request with `body`."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while asked := await reader.readuntil(b"\r\n\r\n"):
                length = asked.lower().split(b"content-length:")[1].split(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client is done
        writer.close()

    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # this thread
    await asyncio.start_server(converse, "127.0.0.1", port)


class Bench:
    """The servers, and the runs before them."""

    def __init__(self, binary: Path, directory: Path, instances: int, seconds: int):
        self._binary, self._directory, self._seconds = binary, directory, seconds
        self._instances = instances
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            raise BenchError("two CPUs are needed: one for the balancer, one for all else")
        self._data, self._rest = cpus[-1], cpus[0]
        body = answer_of_moto(directory, instances)
        print(f"{instances} instances, an answer of {len(body) / 1e6:.1f} MB", file=sys.stderr)
        os.sched_setaffinity(0, {self._rest})  # threads and children inherit it
        self._aws = free_port(["127.0.0.1"])
        self._loop = Loop()
        self._loop.run(repeat(self._aws, body))
        self._backend_port = free_port(["0.0.0.0"])
        self._nginx = nginx("nginx", directory, ["0.0.0.0"], self._backend_port)

    def start(self) -> None:
        """Waits for the servers."""
        is_up = lambda: http_status("127.0.0.1", self._backend_port, "/ping") == 200  # noqa: E731
        self._nginx.wait_until(is_up, "ready")

    def stop(self) -> None:
        """Ends them."""
        self._nginx.stop()

    def run(self, variant: str) -> dict[str, float]:
        """One balancer, one load."""
        balancer = self._balancer("1s" if variant == "on" else "1h")
        try:
            everyone = lambda: len(balancer.healthy()) == self._instances  # noqa: E731
            balancer.wait_until(everyone, "in front of all instances", 60)
            pid = balancer.pid
            before = threads_times(pid)
            refreshes = balancer.refreshes("ok")
            result = self._load(balancer.port)
            seconds = result["duration_us"] / 1e6
            idle = (0.0, 0.0)
            spent = {}
            for name, times in threads_times(pid).items():
                began = before.get(name, idle)
                spent[name] = [(now - then) * 1000 / seconds for now, then in zip(times, began)]
            result["requests_per_s"] = result["requests"] / seconds
            result["core_ms_per_s"], result["core_wait_ms_per_s"] = spent.pop(f"core-{self._data}")
            result["control_ms_per_s"] = sum(busy for busy, _ in spent.values())
            result["refreshes"] = balancer.refreshes("ok") - refreshes
            return result
        finally:
            balancer.stop()

    def _balancer(self, period: str) -> Balancer:
        os.sched_setaffinity(0, {self._data})
        try:
            variables = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._aws}",
                "AWS_EC2_METADATA_DISABLED": "true",
                "ALLOW_LOOPBACK_TARGETS": "true",
                **CREDENTIALS,
                "NODE_FILTER": "tag",
                "NODE_CHECK_PERIOD": period,
                # Checks of so many targets cost more than anything here; few fall into a run.
                "HEALTH_CHECK_PERIOD": "1h",
                "HEALTH_CHECK_PATH": "/ping",
                "TARGET_PORT": str(self._backend_port),
                "CORES": f"{self._data}-{self._data}",
            }
            log = self._directory / "balancer.log"
            return Balancer(self._binary, log, variables, own_ports=True)
        finally:
            os.sched_setaffinity(0, {self._rest})

    def _load(self, port: int) -> dict[str, float]:
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self._seconds}s", "--timeout", "10s"]
        script = str(Path(__file__).with_name("paced.lua"))
        command += ["--script", script, f"http://127.0.0.1:{port}/small"]
        output = run_to_end(command, self._seconds + 30)
        line = next(line for line in output.splitlines() if line.startswith("RESULT "))
        result = json.loads(line.removeprefix("RESULT "))
        if result["errors"]:
            raise BenchError(f"{result['errors']} requests failed:\n{output}")
        return result


def main(words: list[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="benches/run discovery-latency",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--binary", type=Path, help="the balancer; by default it is built")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of both")
    parser.add_argument("--seconds", type=int, default=10, help="of load in each")
    parser.add_argument("--instances", type=int, default=1000, help="targets, at most 1000")
    arguments = parser.parse_args(words)
    try:
        use_python_with_moto()
        binary = (arguments.binary or build_balancer()).resolve()
        raise_descriptor_limit()
        with tempfile.TemporaryDirectory(prefix="discovery-latency-") as directory:
            bench = Bench(binary, Path(directory), arguments.instances, arguments.seconds)
            try:
                bench.start()
                report(measure(bench, arguments.rounds))
            finally:
                bench.stop()
    except BenchError as error:
        print(f"discovery-latency: {error}", file=sys.stderr)
        return 1
    return 0


def measure(bench: Bench, rounds: int) -> dict[str, list[dict[str, float]]]:
    """The runs of each variant; variants take turns, each first in turn."""
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for number in range(rounds):
        for variant in rotated(VARIANTS, number):
            runs[variant].append(bench.run(variant))
            print(f"{number + 1} {variant}: {runs[variant][-1]}", file=sys.stderr)
    return runs


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    """Medians, and in brackets the least and the most."""
    print("".join(["variant".ljust(8), *(f"{column:>24}" for column in COLUMNS)]))
    for variant, results in runs.items():
        cells = []
        for column in COLUMNS:
            values = [result[column] for result in results]
            cell = f"{statistics.median(values):.0f} [{min(values):.0f}-{max(values):.0f}]"
            cells.append(f"{cell:>24}")
        print("".join([variant.ljust(8), *cells]))


if __name__ == "__main__":
    sys.exit(main())
