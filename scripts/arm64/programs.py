"""Other programs: what they print, and that they end with this one."""

from __future__ import annotations

import ctypes
import signal
import subprocess
from pathlib import Path

from . import CannotRun

ROOT = Path(__file__).resolve().parents[2]
INSTALLER = ROOT / "scripts" / "install-packages.sh"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def in_child() -> None:
    """For preexec_fn: the child does not outlive this program, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def output(
    command: list[str], why: str, seconds: float = 600, env: dict[str, str] | None = None,
    stdin: str = "", cwd: Path | None = None,
) -> str:
    """What a program prints. Raises CannotRun, which begins with `why`, when it fails or hangs."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=seconds,
            env=env, cwd=cwd, preexec_fn=in_child,
        )
    except OSError as error:
        raise CannotRun(f"{why}: {command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{why}: {command[0]} did not end within {seconds:.0f} s")
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it printed nothing"]
        raise CannotRun(f"{why}: {command[0]} ended with status {done.returncode}: {last[0]}")
    return done.stdout


def succeeds(command: list[str], seconds: float, stdin: str = "") -> bool:
    """Whether a program ends with status 0."""
    try:
        output(command, "", seconds, stdin=stdin)
    except CannotRun:
        return False
    return True


def install(packages: list[str]) -> None:
    """Installs Debian packages; raises CannotRun where that is impossible."""
    print(f"installing {' '.join(packages)}", flush=True)
    command = ["bash", str(INSTALLER), *packages]
    output(command, f"these Debian packages are needed: {' '.join(packages)}")
