"""How long new clients wait for their first byte: `benches/run first-byte --help`."""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.turns import rotated
from side_by_side import peers
from side_by_side.environment import build_balancer, install_missing

from .distance import FAR, PORT, Distance

ABOUT = """\
Measures how long a new client waits from connect() to the first byte of the answer to its request,
where the client is beside the balancer and the targets are a round trip away: with connections
preconnected (pool), without (POOL_SIZE=0), through HAProxy and nginx, and without anything between
(direct). Clients come one after the other, after random pauses.

The delay is made by a process between two TUN devices, since not every kernel has netem; it adds
some 0.1 ms of its own. Needs root, for network namespaces, and HAProxy and nginx."""

POOL, NO_POOL, DIRECT = "pool", "no pool", "direct"
VARIANTS = [POOL, NO_POOL, peers.HAPROXY, peers.NGINX, DIRECT]
REQUEST = b"GET /small HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
# Before anything counts: the balancer has to learn how many clients come.
WARMUP_SECONDS = 2.0


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="benches/run first-byte",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--balancer", type=Path, metavar="PATH",
                        help="measure this binary instead of building one in release mode")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all (default 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each (default 5)")
    parser.add_argument("--rate", type=float, default=200.0, metavar="N",
                        help="clients a second, at most (default 200)")
    parser.add_argument("--round-trip-us", type=int, default=1000, metavar="US",
                        help="from the balancer to the targets and back (default 1000)")
    options = parser.parse_args(arguments)
    try:
        install_missing(peers.NAMES)
        binary = (options.balancer or build_balancer()).resolve()
        with tempfile.TemporaryDirectory(prefix="first-byte-") as directory:
            distance = Distance(Path(directory), options.round_trip_us // 2)
            try:
                distance.start()
                report(measure(options, binary, Path(directory)))
            finally:
                distance.stop()
    except BenchError as error:
        print(f"first-byte: {error}", file=sys.stderr)
        return 1
    return 0


def measure(
    options: argparse.Namespace, binary: Path, directory: Path
) -> dict[str, list[list[float]]]:
    """Each variant's times in ms by round; variants take turns, each first in turn."""
    times: dict[str, list[list[float]]] = {variant: [] for variant in VARIANTS}
    setup = peers.Setup(binary, Distance.targets)
    for number in range(options.rounds):
        for variant in rotated(VARIANTS, number):
            where = directory / f"{variant}-{number}".replace(" ", "-")
            with serving(variant, setup, where) as address:
                clients(address, WARMUP_SECONDS, options.rate)
                times[variant].append(clients(address, options.seconds, options.rate))
            median = statistics.median(times[variant][-1])
            print(f"{number + 1} {variant}: median {median:.2f} ms", file=sys.stderr)
    return times


@contextmanager
def serving(variant: str, setup: peers.Setup, directory: Path):
    """Starts what the variant is of and says where clients connect."""
    if variant == DIRECT:
        yield FAR[0], PORT
        return
    # What the balancer inherits beside its settings for all benchmarks.
    os.environ.pop("POOL_SIZE", None)
    if variant == NO_POOL:
        os.environ["POOL_SIZE"] = "0"
    name = peers.BALANCER if variant in (POOL, NO_POOL) else variant
    running = peers.start(name, setup, directory)
    try:
        yield peers.HOST, running.port
    finally:
        running.stop()


def clients(address: tuple[str, int], seconds: float, rate: float) -> list[float]:
    """Has clients come for a while; how long each waited for its first byte, in ms."""
    waited = []
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        waited.append(first_byte_ms(address))
        pause = random.expovariate(rate) - (time.monotonic() - now)
        time.sleep(max(0.0, pause))
    return waited


def first_byte_ms(address: tuple[str, int]) -> float:
    """One client; raises BenchError when it is not served."""
    began = time.perf_counter()
    try:
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(REQUEST)
            answer = connection.recv(4096)
            waited = time.perf_counter() - began
            while connection.recv(4096):
                pass
    except OSError as error:
        raise BenchError(f"a client at {address}: {error}")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise BenchError(f"a client at {address} got {answer[:40]!r}")
    return waited * 1000


def report(times: dict[str, list[list[float]]]) -> None:
    """Of each percentile the median over the rounds, and in brackets the least and the most."""
    columns = [("p50", 50), ("p90", 90), ("p99", 99)]
    heads = [f"{name + ' ms':>22}" for name, _ in columns]
    print("".join(["first byte".ljust(10), *heads, "   clients"]))
    for variant, rounds in times.items():
        cells = []
        for _, percent in columns:
            values = [statistics.quantiles(round_, n=100)[percent - 1] for round_ in rounds]
            cell = f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"
            cells.append(f"{cell:>22}")
        print("".join([variant.ljust(10), *cells, f"{sum(map(len, rounds)):>10}"]))


if __name__ == "__main__":
    sys.exit(main())
