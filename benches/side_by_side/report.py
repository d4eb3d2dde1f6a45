"""Medians over rounds, ratios to the best peer, the table and the JSON."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass

from .peers import BALANCER
from .scenarios import SCENARIOS, Run


@dataclass(frozen=True)
class Metric:
    """A column of the table; `key` is the metric's name in the JSON."""

    key: str
    title: str
    form: str
    higher_is_better: bool = False


METRICS = [
    Metric("requests_per_s", "req/s", "{:,.0f}", higher_is_better=True),
    Metric("mb_per_s", "MB/s", "{:,.0f}", higher_is_better=True),
    Metric("cpu_us", "CPU us/req", "{:,.2f}"),
    Metric("user_us", "user", "{:,.2f}"),
    Metric("system_us", "system", "{:,.2f}"),
    Metric("machine_us", "machine", "{:,.1f}"),
    Metric("p50_us", "p50 us", "{:,.0f}"),
    Metric("p99_us", "p99 us", "{:,.0f}"),
    Metric("kib_per_connection", "KiB/conn", "{:,.2f}"),
    Metric("idle_cpu_percent", "idle CPU %/core", "{:,.3f}"),
    Metric("start_rss_kib", "start KiB", "{:,.0f}"),
    Metric("rss_kib", "RSS KiB", "{:,.0f}"),
]


@dataclass(frozen=True)
class Target:
    """What the balancer must reach: `limit` bounds a ratio to the best peer or a plain value."""

    scenario: str
    metric: str
    limit: float
    unit: str
    is_ratio: bool


TARGETS = [
    Target("keepalive-64", "cpu_us", 0.97, "x best peer", True),
    Target("keepalive-1000", "cpu_us", 0.88, "x best peer", True),
    Target("new-connections", "cpu_us", 1.05, "x best peer", True),
    Target("bulk-10MiB", "cpu_us", 1.15, "x best peer", True),
    # Both in thousands of bytes, the stricter reading of "kB" and "MB".
    Target("idle-3000", "kib_per_connection", 0.6e3 / 1024, "KiB", False),
    Target("idle-3000", "start_rss_kib", 20e6 / 1024, "KiB", False),
    Target("idle-3000", "idle_cpu_percent", 0.5, "% of a core", False),
]

Medians = dict[str, dict[str, dict[str, float]]]


def medians(runs: list[Run]) -> Medians:
    """Scenario, then peer, then metric: the median over rounds."""
    grouped: dict[str, dict[str, dict[str, list[float]]]] = {}
    for run in runs:
        metrics = grouped.setdefault(run.scenario, {}).setdefault(run.peer, {})
        for name, value in run.values.items():
            metrics.setdefault(name, []).append(value)
    return {
        scenario: {
            peer: {name: statistics.median(values) for name, values in metrics.items()}
            for peer, metrics in by_peer.items()
        }
        for scenario, by_peer in grouped.items()
    }


def best_peer(by_peer: dict[str, dict[str, float]], metric: Metric) -> str | None:
    """Which other program is best at `metric`; None when none ran."""
    others = [name for name in by_peer if name != BALANCER and metric.key in by_peer[name]]
    if not others:
        return None
    choose = max if metric.higher_is_better else min
    return choose(others, key=lambda name: by_peer[name][metric.key])


def ratio(by_peer: dict[str, dict[str, float]], metric: Metric) -> float | None:
    """The balancer's median over the best peer's; None where either is missing or zero."""
    best = best_peer(by_peer, metric)
    own = by_peer.get(BALANCER, {}).get(metric.key)
    if best is None or own is None or not by_peer[best][metric.key]:
        return None
    return own / by_peer[best][metric.key]


def ratio_spread(runs: list[Run], scenario: str, metric: Metric, best: str) -> tuple[float, float] | None:
    """The smallest and largest ratio of the balancer to `best` within one round."""
    values = {
        (run.peer, run.round): run.values.get(metric.key) for run in runs if run.scenario == scenario
    }
    ratios = [
        own / values[(best, number)]
        for (peer, number), own in values.items()
        if peer == BALANCER and own is not None and values.get((best, number))
    ]
    return (min(ratios), max(ratios)) if ratios else None


def judge(all_medians: Medians, target: Target) -> tuple[float | None, bool | None]:
    """What was reached and whether that is enough; None where it was not measured."""
    by_peer = all_medians.get(target.scenario, {})
    metric = next(metric for metric in METRICS if metric.key == target.metric)
    if target.is_ratio:
        reached = ratio(by_peer, metric)
    else:
        reached = by_peer.get(BALANCER, {}).get(target.metric)
    return reached, None if reached is None else reached <= target.limit


def render(runs: list[Run]) -> str:
    """The whole report as text."""
    all_medians = medians(runs)
    parts = [
        _scenario_table(runs, all_medians[scenario.name], scenario.name, scenario.about)
        for scenario in SCENARIOS
        if scenario.name in all_medians
    ]
    parts.append(_targets(runs, all_medians))
    parts.append(_errors(runs))
    return "\n\n".join(part for part in parts if part)


def _scenario_table(
    runs: list[Run], by_peer: dict[str, dict[str, float]], name: str, about: str
) -> str:
    shown = [metric for metric in METRICS if any(metric.key in v for v in by_peer.values())]
    rows = [["", *(metric.title for metric in shown)]]
    for peer, values in sorted(by_peer.items()):
        rows.append([peer, *(_cell(metric.form, values.get(metric.key)) for metric in shown)])
    if BALANCER in by_peer and len(by_peer) > 1:
        rows.append(["ratio to best", *(_cell("{:.2f}", ratio(by_peer, m)) for m in shown)])
    rounds = len({run.round for run in runs if run.scenario == name})
    return f"{name}: {about} (median of {rounds})\n{_align(rows)}"


def _targets(runs: list[Run], all_medians: Medians) -> str:
    rows = []
    for target in TARGETS:
        reached, is_met = judge(all_medians, target)
        if reached is None:
            continue
        metric = next(metric for metric in METRICS if metric.key == target.metric)
        spread = ""
        if target.is_ratio:
            best = best_peer(all_medians[target.scenario], metric)
            bounds = best and ratio_spread(runs, target.scenario, metric, best)
            spread = f"{bounds[0]:.2f} to {bounds[1]:.2f} in single rounds, {best}" if bounds else ""
        rows.append([
            "met" if is_met else "NOT MET", target.scenario, metric.title,
            f"{reached:,.3f}", f"<= {target.limit:,.3f} {target.unit}", spread,
        ])
    return f"Targets\n{_align(rows, left=(0, 1, 2, 4, 5))}" if rows else ""


def _errors(runs: list[Run]) -> str:
    lines = [
        f"  {run.scenario}, {run.peer}, round {run.round}: "
        + ", ".join(f"{name} {count}" for name, count in run.errors.items())
        for run in runs
        if run.errors
    ]
    return "Errors\n" + "\n".join(lines) if lines else "No errors."


def _cell(form: str, value: float | None) -> str:
    return "-" if value is None else form.format(value)


def _align(rows: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  " + "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )


def as_json(runs: list[Run], about: dict[str, object]) -> dict[str, object]:
    """Everything: the machine, every single run, medians, ratios, targets."""
    all_medians = medians(runs)
    targets = []
    for target in TARGETS:
        reached, is_met = judge(all_medians, target)
        targets.append({**asdict(target), "reached": reached, "met": is_met})
    return {
        **about,
        "runs": [asdict(run) for run in runs],
        "medians": all_medians,
        "ratios": {
            scenario: {metric.key: ratio(by_peer, metric) for metric in METRICS}
            for scenario, by_peer in all_medians.items()
        },
        "targets": targets,
    }
