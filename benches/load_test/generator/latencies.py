"""What became of the requests of one run: quantiles of latency, over all and second by second."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench_kit.errors import BenchError

QUERY = "SELECT coalesce(start_latency_correction, start), end, status FROM oha ORDER BY 1"
# oha stops ticking up to some milliseconds early: that is not a backlog.
BACKLOG_SHARE = 0.005


class Request(NamedTuple):
    """An answered request: seconds from the run's start when it was due and when it ended."""

    due: float
    end: float
    status: int

    @property
    def is_good(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Quantiles:
    """Latencies in microseconds; None where no request was answered."""

    count: int
    p50_us: float | None
    p99_us: float | None
    p999_us: float | None
    max_us: float | None


@dataclass(frozen=True)
class Outcome:
    """All of a run. `unsent`: due in an open loop, but never sent, since the run was over; these
    are in the latencies with the time they had waited by then, so that no stall is hidden."""

    answered: int
    good: int
    per_second: float
    errors: dict[str, int]
    unsent: int
    lateness_p99_us: float | None
    overall: Quantiles
    seconds: list[Quantiles]

    @property
    def error_count(self) -> int:
        """Requests that failed or had another status than 2xx."""
        return sum(self.errors.values())

    @property
    def error_share(self) -> float:
        """Of all that were sent; 1 where none was."""
        sent = self.good + self.error_count
        return self.error_count / sent if sent else 1.0

    @property
    def fell_behind(self) -> bool:
        """Whether an open loop ended with a backlog of requests."""
        return self.unsent > BACKLOG_SHARE * (self.unsent + self.good + self.error_count)


def read_table(path: Path) -> list[Request]:
    """Rows of oha's table, by the time they were due; raises BenchError when it is unreadable."""
    if not path.exists():
        return []  # oha makes none where no request was answered
    try:
        connection = sqlite3.connect(path)
        try:
            return [Request(*row) for row in connection.execute(QUERY)]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise BenchError(f"oha's table cannot be read: {error}")


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile: the smallest value that `share` of all do not exceed."""
    # Rounded first: 0.999 * 1000 is 999.0000000000001 or so in other cases.
    return ordered[max(0, math.ceil(round(share * len(ordered), 6)) - 1)]


def quantiles(latencies_us: Iterable[float]) -> Quantiles:
    """p50, p99, p99.9 and the longest."""
    ordered = sorted(latencies_us)
    if not ordered:
        return Quantiles(0, None, None, None, None)
    return Quantiles(
        len(ordered), quantile(ordered, 0.5), quantile(ordered, 0.99), quantile(ordered, 0.999),
        ordered[-1],
    )


def by_second(requests: Iterable[Request], seconds: int) -> list[Quantiles]:
    """Quantiles of the requests that were due in each second of the run."""
    buckets: list[list[float]] = [[] for _ in range(seconds)]
    for request in requests:
        # A tick on the very end belongs to the last second.
        buckets[min(int(request.due), seconds - 1)].append((request.end - request.due) * 1e6)
    return [quantiles(bucket) for bucket in buckets]


def due_count(rate: float, seconds: int) -> int:
    """How many requests an open loop owes: one at 0, then one each 1/rate seconds."""
    return math.floor(round(rate * seconds, 6)) + 1


def lateness_p99_us(requests: Sequence[Request], rate: float) -> float:
    """How late the generator's own ticks were, at the 99th percentile: not part of any latency."""
    late = sorted((request.due - tick / rate) * 1e6 for tick, request in enumerate(requests))
    return quantile(late, 0.99)


def backlog(
    answered: Sequence[Request], first: int, count: int, seconds: int, rate: float
) -> list[Request]:
    """The ticks from `first` up to `count`, as if answered when the last answer came: they waited
    until then at least. oha sends in the order of its ticks, so what is missing is the end."""
    over = max([float(seconds), *(request.end for request in answered)])
    return [Request(tick / rate, over, 0) for tick in range(first, count)]


def outcome(
    requests: Sequence[Request], failures: dict[str, int], seconds: int, rate: float | None
) -> Outcome:
    """What became of all requests; `requests` in the order they were due."""
    errors = dict(failures)
    for request in requests:
        if not request.is_good:
            kind = f"status {request.status}"
            errors[kind] = errors.get(kind, 0) + 1
    good = [request for request in requests if request.is_good]
    sent = len(requests) + sum(failures.values())
    unsent = 0 if rate is None else max(0, due_count(rate, seconds) - sent)
    waited = [] if rate is None else backlog(good, sent, sent + unsent, seconds, rate)
    # A request that failed has no row, so ticks cannot be told from one another then.
    is_known = rate is not None and requests and not failures
    return Outcome(
        answered=len(requests),
        good=len(good),
        per_second=sum(request.end <= seconds for request in good) / seconds,
        errors=errors,
        unsent=unsent,
        lateness_p99_us=lateness_p99_us(requests, rate) if is_known else None,
        overall=quantiles((request.end - request.due) * 1e6 for request in [*good, *waited]),
        seconds=by_second([*good, *waited], seconds),
    )
