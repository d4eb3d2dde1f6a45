"""Which charts a report has, and what is in each."""

from __future__ import annotations

from collections.abc import Sequence

from ..plan import CLOSED, OPEN
from ..step import Result
from . import advice, svg
from .points import point_of

LOOPS = {CLOSED: "closed loop", OPEN: "open loop"}


def charts(results: Sequence[Result]) -> dict[str, str]:
    """File names and pictures, in the order they are shown; without those that have no data."""
    found = {"throughput.svg": _throughput(results)}
    if any(result.cpu_us_per_request is not None for result in results):
        found["cpu-per-request.svg"] = _cpu(results)
    for result in results:
        if any(second.count for second in result.outcome.seconds):
            found[f"latency-{label(result.step.cores)}-{result.step.loop}.svg"] = _latency(result)
    for cores in _cores(results):
        of_these = [result for result in results if result.step.cores == cores]
        if max(len(result.connections_by_core) for result in of_these) > 1:
            found[f"connections-{label(cores)}.svg"] = _connections(of_these)
        if max(len(result.busy_by_core) for result in of_these) > 1:
            found[f"busy-{label(cores)}.svg"] = _busy(of_these)
    return found


def label(cores: int | None) -> str:
    """A value of CORES in a file name or on an axis."""
    return "deployed" if cores is None else str(cores)


def spread(values: Sequence[float]) -> float | None:
    """The busiest core's part over the mean: 1 is an even spread. None where nothing was spread."""
    mean = sum(values) / len(values) if values else 0.0
    return max(values) / mean if mean else None


def _cores(results: Sequence[Result]) -> list[int | None]:
    return list(dict.fromkeys(result.step.cores for result in results))


def _by_cores(results: Sequence[Result], loop: str) -> list[Result | None]:
    return [
        next((r for r in results if r.step.cores == cores and r.step.loop == loop), None)
        for cores in _cores(results)
    ]


def _throughput(results: Sequence[Result]) -> str:
    closed = _by_cores(results, CLOSED)
    saturated: list[float | None] = []
    held: list[float | None] = []
    for result in closed:
        value = None if result is None else result.outcome.per_second
        is_full = result is not None and advice.limit(point_of(result)) == advice.BALANCER
        saturated.append(value if is_full else None)
        held.append(None if is_full else value)
    both = [svg.Series("balancer saturated", saturated), svg.Series("held back by something else", held)]
    return svg.bars(
        "Throughput", "closed loop; higher is better", "requests/s",
        [label(cores) for cores in _cores(results)], both, "CORES",
    )


def _cpu(results: Sequence[Result]) -> str:
    series = [
        svg.Series(name, [r.cpu_us_per_request if r else None for r in _by_cores(results, loop)])
        for loop, name in LOOPS.items()
    ]
    return svg.bars(
        "CPU time per request", "of the balancer's process; lower is better", "µs",
        [label(cores) for cores in _cores(results)], series, "CORES",
    )


def _latency(result: Result) -> str:
    loop = LOOPS[result.step.loop]
    about = "from the time each was sent" if result.rate is None else (
        f"{result.rate:,.0f} requests/s, from the time each was due"
    )
    columns = [("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")]
    series = [
        svg.Series(name, [_ms(getattr(second, key)) for second in result.outcome.seconds])
        for name, key in columns
    ]
    where = "as deployed" if result.step.cores is None else f"CORES={result.step.cores}"
    return svg.lines(f"Latency, {where}, {loop}", about, "ms (logarithmic)", "second of the run", series)


def _ms(us: float | None) -> float | None:
    return None if us is None else us / 1000


def _connections(results: Sequence[Result]) -> str:
    return _of_cores(
        results, "Connections by core", "open client connections, mean of a sample a second",
        "connections", [list(result.connections_by_core) for result in results], None,
    )


def _busy(results: Sequence[Result]) -> str:
    values = [[share * 100 for share in result.busy_by_core] for result in results]
    return _of_cores(results, "Busy time by core", "the time its thread was on the CPU", "%", values, 100)


def _of_cores(
    results: Sequence[Result], title: str, about: str, unit: str, values: list[list[float]],
    top: float | None,
) -> str:
    width = max(len(row) for row in values)
    series = [
        svg.Series(LOOPS[result.step.loop], [*row, *[None] * (width - len(row))])
        for result, row in zip(results, values)
    ]
    cores = results[0].step.cores
    where = "as deployed" if cores is None else f"CORES={cores}"
    names = [str(core) for core in range(width)]
    return svg.bars(f"{title}, {where}", about, unit, names, series, "core, in the order of CORES", top)
