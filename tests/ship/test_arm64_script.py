"""scripts/arm64-test: what it refuses, what it cannot do here, and what it makes of a console."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from . import places

sys.path.insert(0, str(places.ROOT / "scripts"))

from arm64.archive import Initramfs  # noqa: E402  (the path must be set first)
from arm64.packages import whole  # noqa: E402
from arm64.report import Console, table  # noqa: E402

SCRIPT = places.ROOT / "scripts" / "arm64-test"


class Arguments(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.home = Path(scratch.name, "home")
        self.programs = Path(scratch.name, "bin")
        self.programs.mkdir()

    def run_script(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs it where there are no programs but those of `self.programs`."""
        env = {"PATH": str(self.programs), "HOME": str(self.home)}
        command = [sys.executable, str(SCRIPT), *arguments]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=60
        )

    def test_wrong_ones_are_refused_and_nothing_is_done(self):
        for wrong in (["--arm64"], ["--only", "riscv64"], ["now"], ["--only", "arm64", "--set-up"]):
            ran = self.run_script(*wrong)
            self.assertEqual((ran.returncode, ran.stdout), (2, ""), wrong)
            self.assertIn("usage: scripts/arm64-test", ran.stderr)
            self.assertFalse(self.home.exists())

    def test_without_cargo_both_halves_are_skipped_with_the_reason(self):
        ran = self.run_script()
        self.assertEqual(ran.returncode, 3, ran.stdout + ran.stderr)
        for name in ("arm64", "amd64"):
            self.assertIn(f"\nskipped: arm64-test: {name}: there is no cargo", ran.stdout)

    def test_packages_that_cannot_be_installed_are_named(self):
        cargo = self.programs / "cargo"
        cargo.write_text("#!/bin/false\n")
        cargo.chmod(0o755)
        ran = self.run_script("--only", "arm64")
        self.assertEqual(ran.returncode, 3, ran.stdout + ran.stderr)
        self.assertIn("skipped: arm64-test: arm64: these Debian packages are needed: ", ran.stdout)
        self.assertIn("gcc-aarch64-linux-gnu", ran.stdout)
        self.assertIn("qemu-system-arm", ran.stdout)


class Consoles(unittest.TestCase):
    """A suite passes only if it says so itself."""

    OF_ONE = (
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; "
        "finished in 1.00s"
    )

    def read(self, *lines: str) -> Console:
        console = Console({"one": 60.0, "two": 60.0})
        console.read("@@ kernel aarch64 6.1.0 4", 0.0)
        for second, line in enumerate(lines):
            console.read(line, float(second))
        console.close(99.0)
        return console

    def counts(self, console: Console) -> list[tuple[str, int, int, int]]:
        return [(row.suite, row.passed, row.failed, row.skipped) for row in console.rows]

    def test_a_suite_that_hangs_does_not_hide_the_next(self):
        console = self.read(
            "@@ begin one", "test a ... ok", "test b ... Killed", "@@ end one 137",
            "@@ begin two", self.OF_ONE, "@@ end two 0",
        )
        self.assertEqual(self.counts(console), [("one", 0, 1, 0), ("two", 3, 0, 0)])
        self.assertEqual(console.rows[0].note, "killed: it had 60 s")
        self.assertIn("killed: it had 60 s", table([("arm64", console)]))

    def test_what_the_machine_did_not_get_to_has_failed(self):
        console = self.read("@@ begin one", self.OF_ONE)
        self.assertEqual(self.counts(console), [("one", 3, 1, 0), ("two", 0, 1, 0)])

    def test_tests_that_skip_themselves_have_not_passed(self):
        console = self.read(
            "@@ begin one", "test a ... skipped: a: there is only one CPU", "skipped: b: no ip",
            self.OF_ONE, "@@ end one 0", "@@ begin two", self.OF_ONE, "@@ end two 0",
        )
        self.assertEqual(self.counts(console), [("one", 1, 0, 2), ("two", 3, 0, 0)])

    def test_an_end_without_a_result_is_a_failure(self):
        nothing = self.OF_ONE.replace("3 passed", "0 passed")
        console = self.read(
            "@@ begin one", "Segmentation fault", "@@ end one 139",
            "@@ begin two", nothing, "@@ end two 0",
        )
        self.assertEqual(self.counts(console), [("one", 0, 1, 0), ("two", 0, 1, 0)])
        notes = [row.note for row in console.rows]
        self.assertEqual(notes, ["ended with status 139", "no test was run"])


class Files(unittest.TestCase):
    def test_cpio_reads_the_archive(self):
        cpio = places.program("cpio")
        output = io.BytesIO()
        initramfs = Initramfs(output)
        initramfs.file("/a/b/file", b"12345")
        initramfs.link("/a/link", "b/file")
        initramfs.end()
        with tempfile.TemporaryDirectory() as folder:
            command = [cpio, "--extract", "--quiet"]
            subprocess.run(command, input=output.getvalue(), cwd=folder, check=True, timeout=30)
            self.assertEqual(Path(folder, "a", "link").read_bytes(), b"12345")
            self.assertEqual(Path(folder, "a", "b", "file").stat().st_mode & 0o777, 0o755)

    def test_a_folder_is_there_only_once_it_is_full(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "kernel")
            with self.assertRaises(KeyboardInterrupt), whole(folder) as new:
                (new / "half").touch()
                raise KeyboardInterrupt
            self.assertEqual(os.listdir(scratch), [])
            with whole(folder) as new:
                (new / "all").touch()
                self.assertFalse(folder.exists())
            self.assertEqual(os.listdir(folder), ["all"])


if __name__ == "__main__":
    unittest.main()
