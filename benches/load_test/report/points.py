"""What the advice needs of a run."""

from __future__ import annotations

from ..step import CPUS, Result
from .advice import Point


def point_of(result: Result) -> Point:
    """The run in the terms of advice.py."""
    return Point(
        cores=result.step.cores or len(result.connections_by_core) or None,
        per_second=result.outcome.per_second,
        error_share=result.outcome.error_share,
        busy=result.busy,
        machine_busy=result.machine_busy,
        generator_busy=result.generator_cpus / CPUS,
        others=(result.others_cpus or 0.0) / CPUS,
        is_here=result.is_here,
        cpu_us_per_request=result.cpu_us_per_request,
    )
