"""The command: reads what is asked for, runs it, writes the report."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench_kit import taskclock
from bench_kit.errors import BenchError, exit_status
from side_by_side.backends import Backends

from . import machine, options, plan
from .balancer.admin import Admin
from .balancer.deployed import Deployed
from .balancer.local import Local
from .generator import oha
from .options import Options
from .plan import CLOSED, Step
from .progress import Progress
from .report.folder import Folder
from .report.page import advice_of
from .step import Result, Runner


def main(arguments: list[str] | None = None) -> int:
    """Runs the load test; returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    asked = options.parse(words)
    told = "interrupted: nothing is left running, and there is no report"
    return exit_status(lambda: load_test(asked, words), told)


def load_test(asked: Options, words: list[str]) -> int:
    """Prepares, runs every step, writes the report."""
    root = Path(tempfile.mkdtemp(prefix="load-test-"))
    folder = None
    try:
        folder = Folder(asked.output)
        if asked.url is None:
            machine.need_nginx()
        generator = machine.generator(root)
        binary = machine.balancer(asked.binary, root) if asked.url is None else None
        total = plan.total_seconds(asked.cores, asked.seconds, asked.warmup)
        print(f"{len(plan.steps(asked.cores))} runs, about {plan.clock(total)} (min:s); "
              f"report: {asked.output}", file=sys.stderr)
        progress = Progress(total)
        try:
            about, results = measured(asked, generator, binary, root, progress)
        finally:
            progress.clear()
        about["repeat"] = machine.repeat_command(words)
        page = folder.write(about, _asked_as_json(asked), results)
        print(f"{page}\n{advice_of(results)}")
        return 0
    finally:
        if folder is not None:
            folder.discard()
        shutil.rmtree(root, ignore_errors=True)


def measured(
    asked: Options, generator: Path, binary: Path | None, root: Path, progress: Progress
) -> tuple[dict[str, str], list[Result]]:
    """What it was measured on, and all results."""
    backends = Backends(root) if asked.url is None else None
    balancer = None
    try:
        if backends is not None and binary is not None:
            backends.start()
            balancer = Local(binary, backends.targets, root)
        else:
            balancer = _deployed(asked, root)
        results = run_all(asked, balancer, generator, root, progress)
        about = machine.describe(generator, binary, balancer, asked)
        if sources := {result.cpu_source for result in results if result.cpu_source}:
            about["CPU time from"] = ", ".join(sorted(sources))
        return about, results
    finally:
        if balancer is not None:
            balancer.stop()
        if backends is not None:
            backends.stop()


def _deployed(asked: Options, root: Path) -> Deployed:
    assert asked.url is not None  # options.py: without it the balancer is ours
    server = None
    if asked.admin is not None:
        candidates = [Admin(asked.admin, address) for address in asked.admin_addresses]
        server = next((one for one in candidates if one.metrics() is not None), None)
        if server is None:
            named = ", ".join(asked.admin_addresses)
            raise BenchError(f"--admin {asked.admin}: /metrics does not answer at {named}")
    return Deployed(
        asked.url, asked.addresses, server, asked.set_cores, asked.process_stat, root
    )


def run_all(
    asked: Options, balancer: Local | Deployed, generator: Path, root: Path, progress: Progress
) -> list[Result]:
    """Every step in its order."""
    runner = Runner(balancer, generator, root, taskclock.is_available(), progress.tick)
    results: list[Result] = []
    reached = 0.0
    for step in plan.steps(asked.cores):
        if step.loop == CLOSED:
            progress.step(f"{step.name}: starting")
            balancer.set_cores(step.cores, progress.tick)
        rate = None if step.loop == CLOSED else rate_of(asked, reached)
        if rate == 0:
            progress.note(f"{step.name}: left out, since its closed loop reached nothing")
            continue
        progress.step(step.name if rate is None else f"{step.name}, {rate:,.0f} requests/s")
        load = oha.Load(
            balancer.url, balancer.addresses, asked.connections, asked.seconds, rate,
            asked.new_connections,
        )
        result = runner.run(step, load, asked.warmup)
        results.append(result)
        if step.loop == CLOSED:
            reached = result.outcome.per_second
        progress.note(line_of(step, result))
    return results


def rate_of(asked: Options, reached: float) -> float:
    """Requests a second of an open loop, whole; 0 where there is nothing to take a share of."""
    if asked.rate is not None:
        return float(asked.rate)
    return float(int(reached * asked.rate_share / 100))


def line_of(step: Step, result: Result) -> str:
    """What a step came to, as it ends."""
    p99 = result.outcome.overall.p99_us
    latency = "no answers" if p99 is None else f"p99 {p99 / 1000:.2f} ms"
    return (f"{step.name}: {result.outcome.per_second:,.0f} requests/s, {latency}, "
            f"{result.outcome.error_count:,} errors")


def _asked_as_json(asked: Options) -> dict[str, object]:
    return json.loads(json.dumps(vars(asked), default=str)) | {"cpus": os.cpu_count()}


if __name__ == "__main__":
    sys.exit(main())
