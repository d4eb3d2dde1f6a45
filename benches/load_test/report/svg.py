"""Charts as SVG: bars in groups, and lines over time. No script; light and dark.

Colours are of Okabe and Ito, told apart by the colour-blind; each series has a dash or a place of
its own as well. The background is part of the picture, so that text is readable whatever is behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 348
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 86, 52
LEGEND = 66
TICKS = 5
MAX_NAMES = 24  # that fit below the groups
STYLE = """
.page{fill:#ffffff}.text{fill:#24292f}.soft{fill:#57606a}.grid{stroke:#d8dee4}.axis{stroke:#57606a}
.fill0{fill:#0072b2}.fill1{fill:#e69f00}.fill2{fill:#009e73}.fill3{fill:#cc79a7}
.line0{stroke:#0072b2}.line1{stroke:#d98c00}.line2{stroke:#b3425f}
text{font:13px system-ui,"Segoe UI",Helvetica,Arial,sans-serif}.title{font-size:16px;font-weight:600}
.value{font-size:12px}.line{fill:none;stroke-width:2}.grid,.axis{stroke-width:1}
@media (prefers-color-scheme: dark){
.page{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9da7b3}.grid{stroke:#30363d}.axis{stroke:#9da7b3}
.fill0{fill:#56b4e9}.line0{stroke:#56b4e9}.line1{stroke:#e69f00}.line2{stroke:#f08fa9}}
"""
DASHES = ["", "7 4", "2 3"]


@dataclass(frozen=True)
class Series:
    """Values under one name; None leaves a gap."""

    name: str
    values: Sequence[float | None]


def nice_ticks(top: float, count: int = TICKS) -> list[float]:
    """0 and up in steps of 1, 2 or 5 times a power of ten, the last at or above `top`."""
    if not top > 0 or math.isinf(top):
        return [0.0, 1.0]
    rough = top / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    last = math.ceil(top / step - 1e-9)
    return [round(index * step, 10) for index in range(last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from at or below `low` to at or above `high`; only the powers
    where that would be many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [s * 10.0 ** power for power in range(first, last + 1) for s in (1, 2, 5)]
    start = max(index for index, value in enumerate(every) if value <= low * (1 + 1e-9))
    end = min(index for index, value in enumerate(every) if value >= high * (1 - 1e-9))
    chosen = every[start:max(end, start + 1) + 1]
    if len(chosen) <= 8:
        return chosen
    return [10.0 ** power for power in range(first, max(last, first + 1) + 1)]


def number(value: float) -> str:
    """Short: `12,000`, `0.25`, `7.5`."""
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def bars(title: str, subtitle: str, unit: str, groups: Sequence[str],
         series: Sequence[Series], x_name: str, top: float | None = None) -> str:
    """A bar for each series in each group, with its value above it. `top` fixes the axis."""
    known = [v for one in series for v in one.values if v is not None]
    # Room above the highest bar for its value.
    ticks = nice_ticks(top if top is not None else max(known, default=0.0) * 1.06)
    plot_width, floor = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM
    parts = [*_frame(title, subtitle), *_axis(ticks, lambda v: _linear(v, ticks[-1]), unit),
             *_legend([(one.name, _swatch(index)) for index, one in enumerate(series)
                       if any(value is not None for value in one.values)])]
    room = plot_width / max(len(groups), 1)
    every = math.ceil(len(groups) / MAX_NAMES)
    width = min(64.0, room * 0.8 / max(len(series), 1))
    gap = min(4.0, width / 4)
    for place, group in enumerate(groups):
        middle = LEFT + room * (place + 0.5)
        shown = [(i, one.values[place]) for i, one in enumerate(series) if one.values[place] is not None]
        start = middle - width * len(shown) / 2
        for slot, (index, value) in enumerate(shown):
            x, y = start + slot * width, _linear(value, ticks[-1])
            parts.append(f'<rect class="fill{index % 4}" x="{x + gap / 2:.1f}" y="{y:.1f}" '
                         f'width="{max(width - gap, 1):.1f}" height="{max(floor - y, 0.5):.1f}"/>')
            if width >= 30:
                parts.append(_text(x + width / 2, y - 5, number(round(value, 2)), "text value", "middle"))
        if place % every == 0:
            parts.append(_text(middle, floor + 18, group, "text", "middle"))
    parts.append(_text(LEFT + plot_width / 2, HEIGHT - 12, x_name, "soft", "middle"))
    return _document(title, parts)


def lines(title: str, subtitle: str, unit: str, x_name: str, series: Sequence[Series]) -> str:
    """Lines over the seconds 0, 1, 2 and so on; the values' axis is logarithmic."""
    known = [v for one in series for v in one.values if v is not None and v > 0]
    ticks = log_ticks(min(known), max(known)) if known else [1.0, 10.0]
    count = max((len(one.values) for one in series), default=1)
    plot_width, floor = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM

    def x_of(second: float) -> float:
        return LEFT + plot_width * second / max(count, 1)

    def y_of(value: float) -> float:
        share = math.log(value / ticks[0]) / math.log(ticks[-1] / ticks[0])
        return floor - share * (floor - TOP)

    parts = [*_frame(title, subtitle), *_axis(ticks, y_of, unit),
             *_legend([(one.name, _stroke(index)) for index, one in enumerate(series)])]
    for tick in nice_ticks(count):
        if tick <= count and tick == int(tick):
            parts.append(_text(x_of(tick), floor + 18, number(tick), "text", "middle"))
    for index, one in enumerate(series):
        points = [(x_of(second + 0.5), y_of(v)) if v is not None and v > 0 else None
                  for second, v in enumerate(one.values)]
        parts += [_path(run, index) for run in _runs(points)]
    parts.append(_text(LEFT + plot_width / 2, HEIGHT - 12, x_name, "soft", "middle"))
    return _document(title, parts)


def _linear(value: float, top: float) -> float:
    floor = HEIGHT - BOTTOM
    return floor - (floor - TOP) * min(value / top, 1.0)


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    found: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            found.append([])
        else:
            found[-1].append(point)
    return [run for run in found if run]


def _path(run: list[tuple[float, float]], index: int) -> str:
    if len(run) == 1:
        return f'<circle class="fill{index % 4}" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="3"/>'
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
    return f'<polyline class="line line{index % 3}" points="{where}"{_dash(index)}/>'


def _dash(index: int) -> str:
    dash = DASHES[index % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _frame(title: str, subtitle: str) -> list[str]:
    return [
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
        _text(16, 24, title, "text title"),
        _text(16, 43, subtitle, "soft"),
    ]


def _axis(ticks: Sequence[float], y_of, unit: str) -> list[str]:
    right, parts = WIDTH - RIGHT, []
    for tick in ticks:
        y = y_of(tick)
        kind = "axis" if tick == ticks[0] else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, number(tick), "text", "end"))
    return [*parts, _text(16, LEGEND, unit, "soft")]


def _legend(entries: Sequence[tuple[str, str]]) -> list[str]:
    parts, x = [], float(WIDTH - RIGHT)
    for name, mark in reversed(entries):
        x -= 7.2 * len(name)
        parts.append(_text(x, LEGEND, name, "text"))
        x -= 28
        parts.append(f'<g transform="translate({x:.1f} {LEGEND - 4})">{mark}</g>')
        x -= 16
    return parts


def _swatch(index: int) -> str:
    return f'<rect class="fill{index % 4}" x="8" y="-6" width="12" height="12"/>'


def _stroke(index: int) -> str:
    return f'<polyline class="line line{index % 3}" points="0,0 22,0"{_dash(index)}/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{where}>{escape(text)}</text>'


def _document(title: str, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n{inside}\n</svg>\n"
    )
