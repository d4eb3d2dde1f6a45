"""In which order what is compared is run."""

from __future__ import annotations


def rotated(names: list[str], number: int) -> list[str]:
    """For each round another order: every name comes first equally often."""
    shift = number % len(names)
    return names[shift:] + names[:shift]
