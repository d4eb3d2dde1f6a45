"""The script with which an instance of deploy/cloudformation installs and starts the balancer."""

from __future__ import annotations

import subprocess
import unittest
import urllib.request

from .. import places

try:
    import moto.server  # noqa: F401  (what the instance needs)
except ImportError:
    raise unittest.SkipTest("there is no moto")

from ..container.balancer import free_port
from . import template
from .instance import FILES, NAME, Amazon, Instance

DEPLOY = places.ROOT / "deploy"


class UserData(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        places.program("aws")
        places.program("curl")
        cls.amazon = Amazon()
        cls.addClassCleanup(cls.amazon.stop)

    def setUp(self):
        self.amazon.completed.clear()
        self.instance = Instance(self.amazon)
        self.addCleanup(self.instance.stop)

    def contents(self, program: bytes) -> dict[str, bytes]:
        files = [program, *((DEPLOY / name).read_bytes() for name in FILES[1:])]
        return dict(zip(FILES, files))

    def starter(self) -> bytes:
        """A program that becomes the balancer that was built here."""
        return f'#!/bin/sh\nexec "{places.balancer()}"\n'.encode()

    def assert_given_up(self, ran: subprocess.CompletedProcess[str]) -> None:
        self.assertNotEqual(ran.returncode, 0)
        self.assertEqual([done["LifecycleActionResult"] for done in self.amazon.completed],
                         ["ABANDON"], ran.stderr)

    def test_shellcheck_finds_nothing(self):
        command = [places.program("shellcheck"), "-"]
        script = template.user_data({"ArtifactBucket": "artifacts", "ExtraEnvironment": "A=b C=d"})
        ran = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stdout)

    def test_the_latest_version_is_installed_and_serves(self):
        self.amazon.upload("1.2.3", self.contents(self.starter()))
        self.amazon.upload("1.2.4", self.contents(b"#!/bin/sh\nexit 1\n"))
        self.amazon.move_latest("1.2.3")
        admin = str(free_port())
        extra = "NODE_FILTER=static TARGETS=127.0.0.2:9 TAG_VALUE=w*"
        ran = self.instance.boot(ClientPort=str(free_port()), AdminPort=admin, ExtraEnvironment=extra)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        [done] = self.amazon.completed
        self.assertEqual((done["LifecycleActionResult"], done["InstanceId"]), ("CONTINUE", "i-0a1b2c3d"))
        self.assertEqual((done["AutoScalingGroupName"], done["LifecycleHookName"]),
                         ("edge-balancers", "serves"))
        self.assertEqual(self.instance.installed(), sorted([
            f"etc/{NAME}.env", f"etc/systemd/system/{NAME}.service", f"etc/sysctl.d/60-{NAME}.conf",
            f"usr/local/bin/{NAME}",
        ]))
        lines = self.instance.read(f"etc/{NAME}.env").splitlines()
        self.assertEqual(lines[-3:], extra.split())
        self.assertIn("TARGET_PORT=30080", lines)
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/healthz", timeout=5) as answer:
            self.assertEqual(answer.status, 200)

    def test_without_further_variables_there_is_no_empty_one(self):
        self.amazon.upload("1.2.3", self.contents(b"#!/bin/sh\nexit 1\n"))
        self.instance.boot(Version="1.2.3", AdminPort=str(free_port()))
        lines = self.instance.read(f"etc/{NAME}.env").splitlines()
        self.assertEqual([line for line in lines if "=" not in line and line], [])

    def test_a_file_that_was_changed_is_not_installed(self):
        contents = self.contents(b"#!/bin/sh\nexit 1\n")
        self.amazon.upload("1.2.3", contents)
        self.amazon.store.put(f"1.2.3/{FILES[1]}", b"[Unit]\n")
        self.assert_given_up(self.instance.boot(Version="1.2.3"))
        self.assertEqual(self.instance.installed(), [])

    def test_a_file_without_a_sum_is_not_installed(self):
        contents = self.contents(b"#!/bin/sh\nexit 1\n")
        self.amazon.upload("1.2.3", contents, sums="0" * 64 + "  something-else\n")
        self.assert_given_up(self.instance.boot(Version="1.2.3"))
        self.assertEqual(self.instance.installed(), [])

    def test_a_version_that_is_not_there(self):
        ran = self.instance.boot(Version="9.9.9")
        self.assert_given_up(ran)
        self.assertIn("9.9.9/SHA256SUMS", ran.stderr)
        self.assertEqual(self.instance.installed(), [])

    def test_a_balancer_that_does_not_start_says_why_on_the_console(self):
        self.amazon.upload("1.2.3", self.contents(self.starter()))
        ran = self.instance.boot(Version="1.2.3", ExtraEnvironment="BALANCE=fair")
        self.assert_given_up(ran)
        self.assertIn("BALANCE", ran.stdout)
        self.assertIn("p2c", ran.stdout)
