"""The project's tests in virtual machines: an arm64 kernel, and the oldest kernel for amd64."""


class Failed(Exception):
    """Something that had to work does not; the text says what."""


class CannotRun(Exception):
    """This machine lacks what is needed; the text says what, and what to do."""
