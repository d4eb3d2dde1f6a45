"""The command line of the instruction counter."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench_kit.errors import exit_status
from side_by_side.environment import build_balancer

from . import run, valgrind
from .run import UNITS

DESCRIPTION = """\
Counts what the release binary's core executes in user space, with valgrind's callgrind: per request
of a connection that stays, per connection with one request, per turn of a loop that has nothing to
do. A client and a target in lockstep give every run the same turns, and the cores' clock is slowed,
so that two counts of one binary differ by a tenth of a percent at most. Each figure is the
difference of two sizes of run: what start and end cost is in none of them.
"""

EPILOG = """\
columns:
  instructions  in user space, of the binary and the libraries it is linked with
  turns         of the core's loop, and so calls of io_uring_enter(2)
  system calls  without those that read the clock, which outside valgrind are none

Without --binary the release binary is built. With two, the second is compared with the first.
Programs from `cargo build --release --no-default-features` will do: they have no AWS, which is
never on the path of a byte, and are built in minutes.

exit status: 0 counted, and the second binary needs at most LIMIT percent more per unit; 1 it needs
more, or an error; 2 bad arguments; 130 interrupted
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the count; returns the exit status."""
    options = parse(arguments)
    return exit_status(lambda: count(options), "interrupted")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line; exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benches/run instructions",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--binary", action="append", type=Path, default=[], metavar="PATH",
                        help="count this one; given twice, compare the second with the first")
    parser.add_argument("--limit", type=float, default=1.0, metavar="PERCENT",
                        help="how much more the second may need (default 1)")
    options = parser.parse_args(arguments)
    if len(options.binary) > 2:
        parser.error("--binary: two can be compared, not more")
    for path in options.binary:
        if not os.access(path, os.X_OK):
            parser.error(f"--binary {path}: not an executable file")
    return options


def count(options: argparse.Namespace) -> int:
    """Counts and reports."""
    binaries = [path.resolve() for path in options.binary] or [build_balancer()]
    with tempfile.TemporaryDirectory(prefix="instructions-") as name:
        directory = Path(name)
        machine = run.Machine(valgrind.command(), valgrind.clock(directory), directory)
        results = [run.count(machine, binary) for binary in binaries]
    for binary, figures in zip(binaries, results):
        print(f"{binary}")
        print(f"  {'per':<12}{'instructions':>14}{'turns':>10}{'system calls':>14}")
        for unit in UNITS:
            figure = figures[unit.name]
            print(
                f"  {unit.name:<12}{figure.instructions:>14,.1f}"
                f"{figure.turns:>10.3f}{figure.system_calls:>14.3f}"
            )
    return compare(*results, options.limit) if len(results) == 2 else 0


def compare(
    before: dict[str, run.Figure], after: dict[str, run.Figure], limit_percent: float
) -> int:
    """Prints how the second binary's instructions are to the first's; 1 if they are too many."""
    worst = 0.0
    print("second to first")
    for unit in UNITS:
        ratio = after[unit.name].instructions / before[unit.name].instructions
        print(f"  {unit.name:<12}{ratio:>14.4f}")
        worst = max(worst, ratio)
    if worst > 1 + limit_percent / 100:
        print(f"error: more than {limit_percent:g} % above the first", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
