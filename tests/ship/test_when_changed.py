""".ci/when-changed runs what it is told, once for the same files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from . import places


class WhenChanged(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name, "checkout")
        (self.root / ".ci").mkdir(parents=True)
        shutil.copy(places.ROOT / ".ci" / "when-changed", self.root / ".ci")
        (self.root / "input").mkdir()
        (self.root / "input" / "one").write_text("1")
        (self.root / "other").write_text("1")
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)
        subprocess.run(["git", "add", "."], cwd=self.root, check=True)

    def run_it(self, *command: str) -> int:
        arguments = ["input", "--", *command]
        return self.run_with("job", *arguments).returncode

    def run_with(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        cache = {"XDG_CACHE_HOME": str(self.root.parent / "cache")}
        return subprocess.run([".ci/when-changed", *arguments], cwd=self.root, text=True,
                              capture_output=True, check=False, env={**os.environ, **cache})

    def runs(self) -> int:
        """How often `count` has run."""
        counted = self.root / "counted"
        return len(counted.read_text()) if counted.exists() else 0

    def count(self, status: int = 0) -> int:
        return self.run_it("sh", "-c", f"printf x >>counted; exit {status}")

    def test_what_passed_is_not_run_again(self):
        self.assertEqual([self.count(), self.count(), self.count()], [0, 0, 0])
        self.assertEqual(self.runs(), 1)

    def test_a_changed_new_or_missing_file_runs_it_again(self):
        self.count()
        (self.root / "input" / "one").write_text("2")
        self.count()
        self.assertEqual(self.runs(), 2)
        (self.root / "input" / "two").write_text("2")
        subprocess.run(["git", "add", "."], cwd=self.root, check=True)
        self.count()
        self.assertEqual(self.runs(), 3)
        subprocess.run(["git", "rm", "-qf", "input/two"], cwd=self.root, check=True)
        self.count()
        self.assertEqual(self.runs(), 4)

    def test_other_files_do_not_matter(self):
        self.count()
        (self.root / "other").write_text("2")
        self.count()
        self.assertEqual(self.runs(), 1)

    def test_a_failure_is_passed_on_and_not_remembered(self):
        self.assertEqual([self.count(7), self.count(7)], [7, 7])
        self.assertEqual(self.runs(), 2)

    def test_what_cannot_be_run_here_is_no_failure_and_not_remembered(self):
        self.assertEqual([self.count(3), self.count(3)], [0, 0])
        self.assertEqual(self.runs(), 2)

    def test_another_command_is_another_job(self):
        self.count()
        self.assertEqual(self.run_it("sh", "-c", "exit 4"), 4)

    def test_a_path_that_is_not_there_is_an_error(self):
        ran = self.run_with("job", "input", "inptu", "--", "true")
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("inptu", ran.stderr)

    def test_wrong_arguments(self):
        for arguments in [(), ("job",), ("job", "input"), ("job", "--", "true"), ("job", "input", "--")]:
            with self.subTest(arguments):
                ran = self.run_with(*arguments)
                self.assertNotEqual(ran.returncode, 0)
                self.assertIn("usage: .ci/when-changed NAME", ran.stderr)


if __name__ == "__main__":
    unittest.main()
