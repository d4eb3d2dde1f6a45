"""The command line of the side-by-side benchmark."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench_kit import taskclock
from bench_kit.errors import BenchError, exit_status
from bench_kit.turns import rotated

from . import environment, peers, report, scenarios
from .backends import Backends

DESCRIPTION = """\
Measures this balancer beside Debian's HAProxy (tcp mode) and nginx (stream), each on two cores,
before the same nginx backends, under the same load, on loopback only.

In every round each peer runs the scenario once, freshly started, in an order that rotates. The
table shows medians over the rounds. Missing Debian packages are installed (as root or by sudo).
Everything that is started is ended again, on Ctrl-C too.
"""

EPILOG = f"""\
scenarios:
{chr(10).join(f"  {s.name:<16} {s.about}" for s in scenarios.SCENARIOS)}

columns:
  CPU us/req       CPU time of the peer's processes per request, from perf's task-clock (without
                   perf: the scheduler's schedstat, which proved biased on busy virtual machines),
                   split into user and system by the kernel's ticks. Includes connection set-up.
  machine          CPU time of the whole machine per request, load generator and backends
                   included: shows work that is charged to no process (softirq, kernel threads).
  p50, p99         of whole requests in a closed loop, which hides queueing
  KiB/conn         growth of resident memory per idle connection, without the kernel's sockets
  start KiB        resident memory after the first request
  ratio to best    the balancer's median over that of the better of the others

exit status: 0 all runs without errors (targets met or not), 1 errors, 2 bad arguments,
130 interrupted
"""

NO_PERF = (
    "perf is missing or may not count kernel time (kernel.perf_event_paranoid): CPU time is the "
    "scheduler's own, which can favour one peer on a busy machine"
)


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    options = parse(arguments)
    return exit_status(lambda: bench(options), "interrupted")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line; exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benches/run side-by-side",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [scenario.name for scenario in scenarios.SCENARIOS]
    parser.add_argument("--rounds", type=_positive_int, default=5, metavar="N",
                        help="rounds per scenario (default 5)")
    parser.add_argument("--seconds", type=_seconds, default=5.0, metavar="S",
                        help="length of each measured run in whole seconds (default 5)")
    parser.add_argument("--warmup", type=_seconds, default=1.0, metavar="S",
                        help="unmeasured load before each run in whole seconds (default 1)")
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME",
                        help="run only this one; may be given several times")
    parser.add_argument("--peers", type=_peers, default=peers.NAMES, metavar="LIST",
                        help=f"comma separated, of {', '.join(peers.NAMES)} (default all)")
    parser.add_argument("--balancer", type=Path, metavar="PATH",
                        help="measure this binary instead of building one in release mode")
    parser.add_argument("--nginx-buffer", default="16k", metavar="SIZE",
                        help="nginx's proxy_buffer_size (default 16k, as nginx's own)")
    parser.add_argument("--json", type=Path, metavar="PATH",
                        help="where every number goes (default side-by-side.json in the target directory)")
    parser.add_argument("--keep-logs", action="store_true",
                        help="keep the temporary directory with configurations and logs")
    options = parser.parse_args(arguments)
    if options.balancer and not os.access(options.balancer, os.X_OK):
        parser.error(f"--balancer {options.balancer}: not an executable file")
    return options


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 up is accepted")
    return value


def _seconds(text: str) -> float:
    return float(_positive_int(text))


def _peers(text: str) -> list[str]:
    chosen = [name.strip() for name in text.split(",")]
    if wrong := [name for name in chosen if name not in peers.NAMES]:
        raise argparse.ArgumentTypeError(
            f"{wrong[0]!r} is not a peer; accepted: {', '.join(peers.NAMES)}"
        )
    return list(dict.fromkeys(chosen))


def bench(options: argparse.Namespace) -> int:
    """Prepares, runs every scenario, reports."""
    environment.install_missing(options.peers)
    environment.raise_descriptor_limit()
    for warning in environment.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    binary = None
    if peers.BALANCER in options.peers:
        # Absolute, because the child starts in whatever directory we are in.
        binary = options.balancer.resolve() if options.balancer else environment.build_balancer()
    about = environment.describe(options.peers, binary)
    about |= {"rounds": options.rounds, "seconds": options.seconds, "warmup": options.warmup}
    about["nginx_buffer"] = options.nginx_buffer
    about["started"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    plan = scenarios.Plan(options.seconds, options.warmup, taskclock.is_available())
    about["cpu_source"] = "perf task-clock" if plan.use_perf else "schedstat"
    if not plan.use_perf:
        print(f"warning: {NO_PERF}", file=sys.stderr)

    root = Path(tempfile.mkdtemp(prefix="side-by-side-"))
    runs: list[scenarios.Run] = []
    try:
        run_all(options, plan, binary, root, runs)
    finally:
        # What was measured before an error or Ctrl-C is worth having.
        if runs:
            print(report.render(runs))
            write_json(options.json or default_json(), report.as_json(runs, about))
        if options.keep_logs:
            print(f"logs: {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 1 if any(run.errors for run in runs) else 0


def run_all(
    options: argparse.Namespace,
    plan: scenarios.Plan,
    binary: Path | None,
    root: Path,
    runs: list[scenarios.Run],
) -> None:
    """Appends to `runs` as they finish."""
    chosen = [s for s in scenarios.SCENARIOS if not options.scenario or s.name in options.scenario]
    backends = Backends(root)
    try:
        backends.start()
        setup = peers.Setup(binary, backends.targets, options.nginx_buffer)
        for scenario in chosen:
            for number in range(options.rounds):
                for peer in rotated(options.peers, number):
                    print(f"{scenario.name}, round {number + 1}: {peer}", file=sys.stderr)
                    directory = scenarios.directory_of(root, scenario, peer, number + 1)
                    running = peers.start(peer, setup, directory)
                    try:
                        runs.append(scenarios.run(scenario, peer, number + 1, plan, running))
                    finally:
                        running.stop()
    finally:
        backends.stop()


def default_json() -> Path:
    """Beside what cargo builds."""
    target = os.environ.get("CARGO_TARGET_DIR")
    return (Path(target) if target else environment.ROOT / "target") / "side-by-side.json"


def write_json(path: Path, content: dict[str, object]) -> None:
    """Writes the file and says where; raises BenchError when it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise BenchError(f"--json {path}: {error.strerror}")
    print(f"\nevery number: {path}")


if __name__ == "__main__":
    sys.exit(main())
