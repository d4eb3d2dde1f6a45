"""The page: what was measured, in Markdown, ending with the advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..generator.oha import REQUEST_TIMEOUT_SECONDS
from ..plan import CLOSED
from ..step import Result
from . import advice
from .charts import label, spread
from .points import point_of

# One of 1,000 is the slowest where there are fewer: p99.9 is then the longest.
ENOUGH_FOR_P999 = 1000
LATE_US = 5_000.0
LIMITS = {
    advice.BALANCER: "balancer",
    advice.MACHINE: "machine",
    advice.GENERATOR: "generator",
    advice.UNKNOWN: "not known",
}


def page(about: Mapping[str, str], results: Sequence[Result], charts: Sequence[str]) -> str:
    """All of report.md; `charts` are the names of the files beside it."""
    sections = [
        "# Load test",
        _about(about),
        "## Results",
        _results(results),
        _cost(results),
        _explained(),
        "## By CORES",
        _pictures([name for name in charts if name.startswith(("throughput", "cpu-"))]),
        "## Latency over time",
        _pictures([name for name in charts if name.startswith("latency-")]),
        "## Spread over cores",
        _spread(results),
        _pictures([name for name in charts if name.startswith(("connections-", "busy-"))]),
        "## Remarks",
        "\n".join(f"- {remark}" for remark in remarks(results)),
        "## Advice",
        advice_of(results),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def advice_of(results: Sequence[Result]) -> str:
    """The last paragraph of the report."""
    return advice.advise([point_of(r) for r in results if r.step.loop == CLOSED])


def _about(about: Mapping[str, str]) -> str:
    repeat = about.get("repeat", "")
    rows = [f"| {name} | {_cell(value)} |" for name, value in about.items() if name != "repeat"]
    table = "\n".join(["| | |", "|---|---|", *rows])
    return f"{table}\n\nTo repeat it, in a checkout:\n\n```sh\n{repeat}\n```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _results(results: Sequence[Result]) -> str:
    """What the clients saw."""
    head = ["CORES", "loop", "rate/s", "reached/s", "errors", "p50 ms", "p99 ms", "p99.9 ms",
            "longest ms"]
    return _table(head, [
        [
            label(r.step.cores), r.step.loop, _number(r.rate, "{:,.0f}"),
            f"{r.outcome.per_second:,.0f}", f"{r.outcome.error_count:,}",
            _ms(r.outcome.overall.p50_us), _ms(r.outcome.overall.p99_us),
            _ms(r.outcome.overall.p999_us), _ms(r.outcome.overall.max_us),
        ]
        for r in results
    ])


def _cost(results: Sequence[Result]) -> str:
    """What the balancer and the machine used for it, and what kept it from more."""
    head = ["CORES", "loop", "CPU µs/request", "cores busy", "waited", "memory MiB",
            "generator CPUs", "other CPUs", "machine busy", "limit"]
    return _table(head, [
        [
            label(r.step.cores), r.step.loop, _number(r.cpu_us_per_request, "{:.1f}"),
            _number(r.busy, "{:.0%}"), _number(r.waiting, "{:.0%}"),
            _number(None if r.resident_kib is None else r.resident_kib / 1024, "{:.1f}"),
            f"{r.generator_cpus:.2f}", _number(r.others_cpus, "{:.2f}"), f"{r.machine_busy:.0%}",
            LIMITS[advice.limit(point_of(r))] if r.step.loop == CLOSED else "the rate",
        ]
        for r in results
    ])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---" if name in ("loop", "limit") else "---:" for name in head], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _explained() -> str:
    return (
        "*closed*: each connection sends its next request when the last one is answered, so a slow "
        "answer means fewer requests, and queueing is not seen. *open*: requests are due at the "
        "rate, whatever becomes of those before, and latency counts from when they were due. "
        "*reached/s* are answers with a status of 2xx. *cores busy*: the balancer's threads were on "
        "their CPUs; *waited*: they could have run, but others had the CPU. *generator CPUs* and "
        "*other CPUs*: how many of its machine's the generator had, and programs that are not the "
        "test's, or other guests of the host. *machine busy*: how much of them all was in use."
    )


def _pictures(names: Sequence[str]) -> str:
    return "\n\n".join(f"![{name.rsplit('.', 1)[0].replace('-', ' ')}]({name})" for name in names)


def _spread(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        if len(result.connections_by_core) < 2:
            continue
        rows.append(
            f"| {label(result.step.cores)} | {result.step.loop} "
            f"| {_number(spread(result.connections_by_core), '{:.2f}')} "
            f"| {_number(spread(result.busy_by_core), '{:.2f}')} | {_number(result.moved, '{:,}')} |"
        )
    if not rows:
        return "No run had more than one core, as far as the balancer told."
    head = ("| CORES | loop | connections, max/mean | busy time, max/mean | moved to another core |\n"
            "|---:|---|---:|---:|---:|")
    return "\n".join([head, *rows])


def remarks(results: Sequence[Result]) -> list[str]:
    """What has to be known to read the numbers; the first is true of every run."""
    found = [
        "p99.9 of fewer than 1,000 requests is the longest one"
        + (": so it is in some seconds of this run." if _has_thin_seconds(results) else ".")
    ]
    if any(r.is_here for r in results):
        found.append(
            "The generator ran on the balancer's machine, as did backends on loopback addresses: they "
            "took CPU time that clients elsewhere would not, so throughput is lower than without."
        )
    for result in results:
        found += [f"{result.step.name}: {text}" for text in _of_run(result)]
    return found


def _has_thin_seconds(results: Sequence[Result]) -> bool:
    return any(second.count < ENOUGH_FOR_P999 for r in results for second in r.outcome.seconds)


def _of_run(result: Result) -> list[str]:
    outcome, found = result.outcome, []
    if outcome.errors:
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in sorted(outcome.errors.items()))
        found.append(
            f"errors: {kinds}. They are not in the latencies; a timeout is one of "
            f"{REQUEST_TIMEOUT_SECONDS} s."
        )
    if outcome.fell_behind:
        found.append(
            f"it fell behind: {outcome.unsent:,} requests were due and not sent by the end. They "
            "are in the latencies with the time they had waited by then, which is too little."
        )
    if outcome.lateness_p99_us is not None and outcome.lateness_p99_us > LATE_US:
        found.append(
            f"the generator's clock was late by {outcome.lateness_p99_us / 1000:.1f} ms at its 99th "
            "percentile: a delay before that is in no latency. It lacks CPU time."
        )
    if result.failed_connections:
        found.append(f"the balancer found no target for {result.failed_connections:,} connections.")
    if result.cpu_us_per_request is None:
        found.append("the balancer told no CPU time (`--process-stat` gives it).")
    return found




def _ms(us: float | None) -> str:
    return "–" if us is None else f"{us / 1000:,.2f}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
