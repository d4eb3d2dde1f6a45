"""Runs build_push.sh, with a build folder, a PATH and an AWS of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from .. import places

SCRIPT = places.ROOT / "build_push.sh"
PATIENCE_SECONDS = 60


class ScriptTest(unittest.TestCase):
    """A test that runs the script."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="build_push."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.target = self.folder / "target"
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        kept = {"HOME", "LANG", "PATH", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"}
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment.update(
            CARGO_TARGET_DIR=str(self.target),
            PATH=f"{self.bin}:{self.environment['PATH']}",
            AWS_ACCESS_KEY_ID="testing",
            AWS_SECRET_ACCESS_KEY="testing",
            AWS_DEFAULT_REGION="eu-west-1",
            AWS_MAX_ATTEMPTS="1",
            AWS_EC2_METADATA_DISABLED="true",
            AWS_CONFIG_FILE="/dev/null",
            AWS_SHARED_CREDENTIALS_FILE="/dev/null",
        )

    def start(self, *arguments: object) -> subprocess.Popen:
        return subprocess.Popen(
            [str(SCRIPT), *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_script(self, *arguments: object, status: int = 0) -> str:
        """Everything it said; it has to end with the status."""
        return self.end(self.start(*arguments), status)

    def end(self, process: subprocess.Popen, status: int) -> str:
        try:
            said = "".join(process.communicate(timeout=PATIENCE_SECONDS))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            self.fail(f"it does not end: {process.communicate()}")
        self.assertEqual(process.returncode, status, said)
        return said

    def use_program(self, name: str, script: str) -> None:
        """Puts a shell script before the program of that name."""
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{script}\n")
        path.chmod(0o755)

    def use_rustc_with_every_library(self) -> None:
        """The real one; but asked for a program, it says that it made one."""
        real = places.program("rustc")
        self.use_program("rustc", f'[[ "$*" != *--emit* ]] || exit 0\nexec {real} "$@"')

    def hide_program(self, name: str) -> None:
        """Makes the PATH one folder that has everything but this."""
        folder = self.folder / f"without-{name}"
        folder.mkdir()
        for place in self.environment["PATH"].split(":"):
            for path in Path(place).iterdir() if Path(place).is_dir() else ():
                link = folder / path.name
                if path.name != name and not link.is_symlink():
                    link.symlink_to(path)
        self.environment["PATH"] = str(folder)

    def built(self) -> list[str]:
        """What the folder of finished builds holds, apart from the lock."""
        dist = self.target / "dist"
        found = sorted(path.name for path in dist.iterdir()) if dist.exists() else []
        return [name for name in found if name != ".lock"]

    def assert_none_left(self, mark: str) -> None:
        """No process has the mark in its environment, soon."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := processes_with(mark):
            self.assertLess(time.monotonic(), deadline, f"still running: {left}")
            time.sleep(0.05)


def processes_with(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            # It has ended meanwhile.
            continue
    return [line for line in found if line]
