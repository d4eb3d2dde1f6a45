"""How a benchmark ends other than well: the one error that has a message, and signals."""

from __future__ import annotations

import signal
import sys
from typing import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class BenchError(Exception):
    """Something the person at the terminal can act on; its text says what and how."""


def exit_status(action: Callable[[], int], interrupted: str) -> int:
    """What `action` returns; 1 after a BenchError; 130 after a signal, which `interrupted` tells of.

    A signal raises KeyboardInterrupt in `action`, once: a second one must not stop it from ending
    what it has started, which takes seconds at most.
    """
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return action()
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130


def _interrupt(*_: object) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
