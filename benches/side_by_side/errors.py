"""The one error that ends a benchmark with a message instead of a traceback."""


class BenchError(Exception):
    """Something the person at the terminal can act on; its text says what and how."""
