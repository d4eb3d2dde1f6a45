"""Every shell script of the project is clean in shellcheck's eyes."""

import subprocess
import unittest

from . import places


class Scripts(unittest.TestCase):
    def test_shellcheck_finds_nothing(self):
        scripts = [str(path) for path in places.scripts()]
        self.assertIn(str(places.ROOT / "scripts" / "test.sh"), scripts)
        command = [places.program("shellcheck"), "--external-sources", *scripts]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)


if __name__ == "__main__":
    unittest.main()
