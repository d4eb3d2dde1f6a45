"""The load generator: wrk, and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.processes import run_to_end

SCRIPT = Path(__file__).with_name("result.lua")
MARK = "RESULT "


@dataclass(frozen=True)
class LoadResult:
    """One wrk run. Latencies are of whole requests, as seen by a closed loop of clients."""

    seconds: float
    requests: int
    bytes: int
    p50_us: float
    p99_us: float
    errors: dict[str, int]

    @property
    def error_count(self) -> int:
        """Socket errors, timeouts and answers that are not 2xx or 3xx."""
        return sum(self.errors.values())


def parse_wrk(output: str) -> LoadResult:
    """Reads the line that result.lua prints; raises BenchError when there is none."""
    for line in output.splitlines():
        if line.startswith(MARK):
            try:
                raw = json.loads(line[len(MARK):])
                return LoadResult(
                    seconds=raw["duration_us"] / 1e6,
                    requests=raw["requests"],
                    bytes=raw["bytes"],
                    p50_us=float(raw["p50_us"]),
                    p99_us=float(raw["p99_us"]),
                    errors={name: int(count) for name, count in raw["errors"].items()},
                )
            except (ValueError, KeyError, TypeError) as error:
                raise BenchError(f"wrk's result line is not understood ({error!r}): {line}")
    raise BenchError(f"wrk printed no result line; it said:\n{output.strip() or '(nothing)'}")


def run_wrk(url: str, connections: int, seconds: float, headers: tuple[str, ...]) -> LoadResult:
    """Loads `url` from two threads; wrk counts whole seconds only."""
    command = ["wrk", "-t2", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "10s", "--script", str(SCRIPT)]
    for header in headers:
        command += ["-H", header]
    return parse_wrk(run_to_end(command + [url], timeout=seconds + 60))
