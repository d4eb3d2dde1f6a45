"""scripts/package refuses what would make a bad package, before it does anything.

The packages themselves are made, installed and removed by scripts/package-test.
"""

import platform
import subprocess
import tempfile
import unittest
from pathlib import Path

from . import places

NATIVE, OTHER = ("amd64", "arm64") if platform.machine() == "x86_64" else ("arm64", "amd64")


class Package(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.output = Path(folder.name)

    def refused(self, *arguments: object) -> str:
        """What it says; nothing is made."""
        command = [places.ROOT / "scripts" / "package", *map(str, arguments)]
        command += ["--output", str(self.output)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual((ran.returncode, ran.stdout), (1, ""), ran.stderr)
        self.assertEqual(list(self.output.iterdir()), [])
        return ran.stderr

    def test_wrong_arguments_show_the_usage(self):
        for arguments in [[], ["--arch", "amd64"], ["--arch", "riscv", "--binary", "/bin/true"],
                          ["--binary"], ["--arch", "amd64", "--binary", "/bin/true", "--push", "x"]]:
            for script in ["package", "package-test"]:
                command = [places.ROOT / "scripts" / script, *arguments]
                if script == "package-test":
                    command = [places.ROOT / "scripts" / script, *arguments, "--what"]
                ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
                self.assertEqual((ran.returncode, ran.stdout), (2, ""), ran.stderr)
                self.assertTrue(ran.stderr.startswith(f"usage: scripts/{script} "), ran.stderr)

    def test_what_is_no_program_of_that_architecture_is_refused(self):
        missing = self.output / "missing"
        said = self.refused("--arch", NATIVE, "--binary", missing)
        self.assertIn(f"{missing} is no program: build it first", said)
        said = self.refused("--arch", NATIVE, "--binary", places.ROOT / "scripts" / "package")
        self.assertIn("is no ELF file", said)
        said = self.refused("--arch", OTHER, "--binary", "/bin/true")
        self.assertIn(f"/bin/true is not for {OTHER}: ", said)
        said = self.refused("--arch", NATIVE, "--binary", "/bin/true")
        self.assertIn("/bin/true is not stateless-load-balancer", said)

    def test_a_binary_with_debug_information_is_refused(self):
        said = self.refused("--arch", NATIVE, "--binary", places.balancer())
        self.assertIn("has debug information: build it by build_push.sh", said)

    def test_a_version_that_debian_would_read_differently_is_refused(self):
        said = self.refused("--arch", NATIVE, "--binary", "/bin/true", "--version", "latest")
        self.assertIn("latest is no version; accepted: X.Y.Z", said)


if __name__ == "__main__":
    unittest.main()
