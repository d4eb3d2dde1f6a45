"""The sentence of advice on CORES, from the results alone."""

from __future__ import annotations

from dataclasses import dataclass

# The smallest count that reaches this much of the best throughput is enough.
ENOUGH = 0.95
# A core that runs so much of the time has nothing to spare: the rest goes into wake-ups.
SATURATED = 0.85
# So much of a machine, or of the generator's own threads, in use: more load cannot come from it.
FULL = 0.90
# A run with more errors than this shows failure, not throughput.
ERRORS = 0.01
# CPUs that programs (or other guests of the host) other than ours used, as a share of all.
OTHERS = 0.15

BALANCER, MACHINE, GENERATOR, UNKNOWN = "balancer", "machine", "generator", "unknown"


@dataclass(frozen=True)
class Point:
    """A closed-loop run. Shares are 0 to 1; `busy` is None where the balancer tells no CPU time.

    `machine_busy` is that of the machine the generator runs on, and `is_here` says that the
    balancer is on it, too. `generator_busy` is of the generator's own threads.
    """

    cores: int | None
    per_second: float
    error_share: float
    busy: float | None
    machine_busy: float
    generator_busy: float
    others: float
    is_here: bool
    cpu_us_per_request: float | None = None


def limit(point: Point) -> str:
    """What kept the throughput of a closed loop from being higher."""
    if point.busy is not None and point.busy >= SATURATED:
        return BALANCER
    if point.machine_busy >= FULL:
        return MACHINE if point.is_here else GENERATOR
    if point.generator_busy >= FULL:
        return GENERATOR
    return UNKNOWN


def advise(points: list[Point]) -> str:
    """One paragraph that begins with the advice, or says why the data carries none."""
    good = sorted(
        (p for p in points if p.error_share <= ERRORS and p.per_second > 0 and p.cores is not None),
        key=lambda point: point.cores or 0,
    )
    if not points:
        return "No advice on `CORES`: no closed loop was measured."
    if disturbed := [p for p in points if p.others >= OTHERS]:
        worst = max(p.others for p in disturbed)
        return (
            f"No advice on `CORES`: other programs, or other guests of the host, used up to "
            f"{worst:.0%} of this machine's CPUs during a run. Repeat it when they are quiet."
        )
    if not good:
        if all(p.cores is None for p in points):
            return "No advice on `CORES`: how many there were is not known (`--admin` tells)."
        return "No advice on `CORES`: every closed loop had more than 1 % of errors."
    if len(good) == 1:
        return _of_one(good[0]) + _capacity(good[0])
    return _of_several(good)


def _of_one(point: Point) -> str:
    why = {
        BALANCER: "its cores were saturated, so more of them may carry more",
        MACHINE: "the generator was the limit, since it shared the balancer's machine, whose CPUs "
                 "were all in use: run it from another machine",
        GENERATOR: "the generator was the limit: run it from a larger machine, or from several",
        UNKNOWN: _unknown(point),
    }[limit(point)]
    return (
        f"No advice on `CORES`: only {point.cores} was measured, with {point.per_second:,.0f} "
        f"requests a second; {why}."
    )


def _unknown(point: Point) -> str:
    if point.busy is None:
        return ("whether the balancer was the limit cannot be said, since it told no CPU time "
                "(`--process-stat`)")
    return (f"its cores were only {point.busy:.0%} busy and so was not the generator: connections "
            "(`--connections`), the targets or the network were the limit")


def _of_several(good: list[Point]) -> str:
    best = max(point.per_second for point in good)
    pick = next(point for point in good if point.per_second >= ENOUGH * best)
    larger = [point for point in good if (point.cores or 0) > (pick.cores or 0)]
    # A run that something else held back shows what its cores carry at least, not at most.
    held = [point for point in larger if limit(point) != BALANCER]
    reached = f"{pick.per_second:,.0f} requests a second in a closed loop"
    if not larger:
        return _largest(good, pick, reached)
    if held:
        named = ", ".join(str(point.cores) for point in held)
        return (
            f"No advice on `CORES`: {pick.cores} reached {reached}, and {named} not 5 % more, but "
            f"there {_held(held[0])}." + _capacity(pick)
        )
    return (
        f"Set `CORES={pick.cores}`: it reached {reached}, and more cores, saturated too, did not "
        f"reach 5 % more."
    )


def _largest(good: list[Point], pick: Point, reached: str) -> str:
    if limit(pick) == BALANCER:
        return (
            f"Set `CORES={pick.cores}`, or more: it reached {reached}, the most of all values tried, "
            f"and its cores were saturated."
        )
    second = max(p.per_second for p in good if p is not pick)
    return (
        f"For more than {second:,.0f} requests a second set `CORES={pick.cores}` rather than less: "
        f"it reached {reached}, and that is not its limit, since {_held(pick)}." + _capacity(pick)
    )


def _held(point: Point) -> str:
    return {
        BALANCER: "the balancer's cores were saturated",
        MACHINE: "the generator was the limit: it and the backends shared the balancer's machine, "
                 "whose CPUs were all in use; run it from another machine",
        GENERATOR: "the generator was the limit; run it from a larger machine",
        UNKNOWN: _unknown(point),
    }[limit(point)]


def _capacity(point: Point) -> str:
    if not point.cpu_us_per_request:
        return ""
    most = 1e6 / point.cpu_us_per_request
    return (
        f" By arithmetic, not by measurement: at {point.cpu_us_per_request:.1f} µs of CPU time per "
        f"request, one core would be full at {most:,.0f} requests a second."
    )
