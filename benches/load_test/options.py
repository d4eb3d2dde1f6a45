"""The command line, and what is refused before anything is done."""

from __future__ import annotations

import argparse
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from . import plan
from .target import Refused, Url, parse_url, refuse_strangers, resolve

DESCRIPTION = """\
Puts load on the balancer for several values of CORES, in a closed and in an open loop each, and
writes a report: report.md with charts, and results.json.

Without --url it starts a balancer and two nginx backends of its own, on loopback addresses. With
--url it loads a balancer that is deployed. Everything that it starts is ended again, on Ctrl-C too;
an interrupted run leaves no report.
"""

EPILOG = """\
examples:
  scripts/load-test --cores 1,2,4
  scripts/load-test --url http://10.0.3.7:8080/small --admin http://10.0.3.7:9901 --target-is-mine
  scripts/load-test --url http://lb1:8080/ --admin http://lb1:9901 --target-is-mine \\
      --cores 1,2,4 --set-cores 'ssh lb1 sudo set-cores {cores}' \\
      --process-stat 'ssh lb1 cat "/proc/\\$(pidof -s stateless-load-balancer)/stat"'

docs/load-test.md says how to read the report. exit status: 0 the report is written, 1 an error,
2 bad arguments, 130 interrupted
"""

MAX_CORES = 1024
MAX_SECONDS = 300
MAX_WARMUP = 60
MAX_CONNECTIONS = 10_000
MAX_RATE = 1_000_000
# Beside its connections, a process has some files of its own open.
OTHER_DESCRIPTORS = 64


@dataclass(frozen=True)
class Options:
    """What is asked for, all of it valid; `url` is None where the balancer is ours."""

    cores: list[int | None]
    url: Url | None
    addresses: tuple[str, ...]
    admin: Url | None
    admin_addresses: tuple[str, ...]
    set_cores: str | None
    process_stat: str | None
    binary: Path | None
    seconds: int
    warmup: int
    connections: int
    new_connections: bool
    rate: int | None
    rate_share: int
    output: Path


def parse(arguments: list[str] | None) -> Options:
    """Reads the command line; exits with 2 when it is wrong."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    try:
        return check(given)
    except Refused as error:
        parser.error(str(error))


def build_parser() -> argparse.ArgumentParser:
    """All arguments."""
    parser = argparse.ArgumentParser(
        prog="scripts/load-test", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cores", type=_cores, metavar="LIST",
                        help="values of CORES, as 1,2,4 (default: powers of two up to this "
                             "machine's CPUs); with --url only together with --set-cores")
    parser.add_argument("--url", metavar="URL", help="load this deployed balancer: http://HOST:PORT/path")
    parser.add_argument("--admin", metavar="URL", help="its admin server, as http://HOST:9901")
    parser.add_argument("--target-is-mine", action="store_true",
                        help="allow addresses that are not loopback")
    parser.add_argument("--set-cores", metavar="COMMAND",
                        help="a shell command that sets CORES={cores} there and restarts it")
    parser.add_argument("--process-stat", metavar="COMMAND",
                        help="a shell command that prints its /proc/PID/stat: CPU time and memory")
    parser.add_argument("--binary", type=Path, metavar="PATH",
                        help="the balancer to start (default: the release build, built if need be)")
    parser.add_argument("--seconds", type=_whole(1, MAX_SECONDS), default=10, metavar="S",
                        help=f"length of each measured run, 1 to {MAX_SECONDS} (default 10)")
    parser.add_argument("--warmup", type=_whole(0, MAX_WARMUP), default=2, metavar="S",
                        help=f"unmeasured load before each run, 0 to {MAX_WARMUP} (default 2)")
    parser.add_argument("--connections", type=_whole(1, MAX_CONNECTIONS), default=64, metavar="N",
                        help=f"connections at a time, 1 to {MAX_CONNECTIONS} (default 64)")
    parser.add_argument("--new-connections", action="store_true",
                        help="a new connection for each request (default: they are kept)")
    rates = parser.add_mutually_exclusive_group()
    rates.add_argument("--rate", type=_whole(1, MAX_RATE), metavar="R",
                       help="requests a second of the open loops")
    rates.add_argument("--rate-share", type=_whole(1, 100), default=70, metavar="PERCENT",
                       help="the same as a share of what the closed loop reached (default 70)")
    parser.add_argument("--output", type=Path, metavar="FOLDER",
                        help="where the report goes; must not exist (default load-test-TIME)")
    return parser


def check(given: argparse.Namespace) -> Options:
    """What the arguments mean together; raises Refused."""
    if given.url is None:
        cores: list[int | None] = list(_local_cores(given))
        url, addresses, admin, admin_addresses = None, (), None, ()
    else:
        cores = list(_deployed_cores(given))
        url = parse_url(given.url)
        addresses = tuple(resolve(url))
        refuse_strangers(url, list(addresses), given.target_is_mine)
        admin, admin_addresses = _admin(given)
    _check_time(cores, given.seconds, given.warmup)
    _check_descriptors(given.connections)
    return Options(
        cores, url, addresses, admin, admin_addresses, given.set_cores, given.process_stat,
        _binary(given), given.seconds, given.warmup, given.connections, given.new_connections,
        given.rate, given.rate_share, _output(given),
    )


def _local_cores(given: argparse.Namespace) -> list[int]:
    for name in ("admin", "set_cores", "process_stat", "target_is_mine"):
        if getattr(given, name):
            raise Refused(f"--{name.replace('_', '-')} is for a deployed balancer: give --url too")
    available = len(os.sched_getaffinity(0))
    chosen = given.cores or plan.default_cores(available)
    if beyond := [value for value in chosen if value > available]:
        named = ", ".join(map(str, beyond))
        raise Refused(f"--cores {named}: this machine has {available} CPUs; accepted: 1 to {available}")
    return chosen


def _deployed_cores(given: argparse.Namespace) -> list[int | None]:
    if given.binary:
        raise Refused("--binary is for a balancer that is started here; with --url there is one")
    if given.set_cores is None:
        if given.cores:
            raise Refused("--cores with --url needs --set-cores, a command that sets them there")
        return [None]
    if "{cores}" not in given.set_cores:
        raise Refused(f"--set-cores {given.set_cores!r} holds no {{cores}}, so it would set nothing")
    if not given.cores:
        raise Refused("--set-cores needs --cores: which values are to be tried")
    if not given.admin:
        raise Refused("--set-cores needs --admin: whether the balancer is ready again is asked there")
    return list(given.cores)


def _admin(given: argparse.Namespace) -> tuple[Url | None, tuple[str, ...]]:
    if not given.admin:
        return None, ()
    url = parse_url(given.admin)
    if url.path != "/":
        raise Refused(f"--admin {given.admin!r}: the paths are known; accepted: http://HOST:PORT")
    addresses = resolve(url)
    refuse_strangers(url, addresses, given.target_is_mine)
    return url, tuple(addresses)


def _binary(given: argparse.Namespace) -> Path | None:
    if given.binary is None:
        return None
    if not given.binary.is_file() or not os.access(given.binary, os.X_OK):
        raise Refused(f"--binary {given.binary}: not an executable file")
    return given.binary.resolve()


def _output(given: argparse.Namespace) -> Path:
    folder = given.output or Path(time.strftime("load-test-%Y%m%dT%H%M%SZ", time.gmtime()))
    folder = Path(os.path.abspath(folder))
    if os.path.lexists(folder):
        raise Refused(f"--output {folder}: exists already; name a new folder")
    if not folder.parent.is_dir():
        raise Refused(f"--output {folder}: there is no folder {folder.parent}")
    if not os.access(folder.parent, os.W_OK | os.X_OK):
        raise Refused(f"--output {folder}: {folder.parent} may not be written to")
    return folder


def _check_time(cores: list[int | None], seconds: int, warmup: int) -> None:
    total = plan.total_seconds(cores, seconds, warmup)
    if total > plan.TOTAL_LIMIT_SECONDS:
        raise Refused(
            f"{len(plan.steps(cores))} runs of {seconds} s and {warmup} s of warm-up take "
            f"{plan.clock(total)} (min:s); at most {plan.clock(plan.TOTAL_LIMIT_SECONDS)}: fewer "
            "--cores or --seconds"
        )


def _check_descriptors(connections: int) -> None:
    # The balancer raises its soft limit itself; two descriptors for each connection there.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = 2 * connections + OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Refused(
            f"--connections {connections} needs {needed} open files; the hard limit is {hard} "
            "(ulimit -Hn)"
        )


def _number(text: str, low: int, high: int) -> int:
    # int() accepts signs, underscores and digits of other scripts.
    if not (text.isascii() and text.isdigit() and low <= int(text[:12]) <= high):
        raise argparse.ArgumentTypeError(
            f"{text!r}: a whole number from {low} to {high} is accepted"
        )
    return int(text)


def _whole(low: int, high: int):
    return lambda text: _number(text, low, high)


def _cores(text: str) -> list[int]:
    values = [_number(part.strip(), 1, MAX_CORES) for part in text.split(",")]
    if len(set(values)) != len(values):
        raise argparse.ArgumentTypeError(f"{text!r}: a value is there twice")
    return sorted(values)
