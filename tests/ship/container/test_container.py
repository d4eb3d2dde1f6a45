"""deploy/container and deploy/kubernetes: linted, and what can be tried without a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from .. import places
from . import seccomp
from .balancer import BODY, Balancer, Target, free_port, targets, wait_until

CONTAINER = places.ROOT / "deploy" / "container"
MANIFEST = places.ROOT / "deploy" / "kubernetes" / "stateless-load-balancer.yaml"
PROFILE = CONTAINER / "seccomp.json"
IO_URING = ["io_uring_setup", "io_uring_enter", "io_uring_register"]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


class Linted(unittest.TestCase):
    def test_hadolint_finds_nothing(self):
        ran = run(places.program("hadolint"), str(CONTAINER / "Dockerfile"))
        self.assertEqual((ran.returncode, ran.stdout), (0, ""), ran.stderr)

    def test_kubernetes_knows_every_field(self):
        ran = run(places.program("kubernetes-validate"), "--strict", str(MANIFEST))
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertEqual((ran.stdout + ran.stderr).count(" passed for resource "), 4)

    def test_the_grace_period_covers_the_end(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("there is no yaml")
        pod = next(document["spec"]["template"]["spec"]
                   for document in yaml.safe_load_all(MANIFEST.read_text())
                   if document["kind"] == "Deployment")
        [container] = pod["containers"]
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        longest = int(variables["SHUTDOWN_DELAY"]) + int(variables["SHUTDOWN_TIMEOUT"]) + 5
        self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], longest)
        self.assertTrue(variables["TARGETS_FILE"].startswith(
            container["volumeMounts"][0]["mountPath"] + "/"))


class Running(unittest.TestCase):
    def setUp(self):
        self.program = places.balancer()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def target(self) -> Target:
        target = Target()
        self.addCleanup(target.stop)
        return target

    def start(self, command: list[str], variables: dict[str, str]) -> Balancer:
        balancer = Balancer(self.program, command, variables, self.folder / "log")
        self.addCleanup(balancer.kill)
        return balancer

    def mount(self, number: int, text: str) -> None:
        """As the kubelet's AtomicWriter does: a folder for each version, and one rename of a link."""
        folder = self.folder / "mounted"
        version = folder / f"..version-{number}"
        version.mkdir(parents=True)
        (version / "targets.json").write_text(text)
        (folder / "..data_tmp").symlink_to(version.name)
        os.replace(folder / "..data_tmp", folder / "..data")
        if not (folder / "targets.json").is_symlink():
            (folder / "targets.json").symlink_to("..data/targets.json")
        for old in folder.glob("..version-*"):
            if old != version:
                (old / "targets.json").unlink()
                old.rmdir()

    def test_a_changed_config_map_is_read(self):
        first, second = self.target(), self.target()
        self.mount(1, targets(first.port))
        path = str(self.folder / "mounted" / "targets.json")
        balancer = self.start([], {"NODE_FILTER": "file", "TARGETS_FILE": path})
        balancer.wait_until_ready()
        self.assertEqual(balancer.get("/"), str(first.port).encode())
        self.mount(2, targets(second.port))
        wait_until("the second target is used",
                   lambda: balancer.get("/") == str(second.port).encode())

    def under_profile(self, *left_out: str) -> list[str]:
        try:
            seccomp.library()
        except OSError as error:
            self.skipTest(str(error))
        os.environ["PYTHONPATH"] = str(places.ROOT / "tests")
        return [sys.executable, "-m", "ship.container.seccomp", str(PROFILE),
                *(f"-{name}" for name in left_out)]

    def test_the_profile_is_enough_to_serve(self):
        target, path = self.target(), self.folder / "targets.json"
        path.write_text(targets(target.port))
        balancer = self.start(self.under_profile(), {
            "NODE_FILTER": "file", "TARGETS_FILE": str(path), "LOG_CONNECTIONS": "true"})
        balancer.wait_until_ready()
        status = Path(f"/proc/{balancer.process.pid}/status").read_text()
        self.assertIn("\nSeccomp:\t2\n", status)
        for _ in range(20):
            self.assertEqual(balancer.get("/"), str(target.port).encode())
        self.assertEqual(balancer.get("/large"), BODY)
        self.assertEqual(len(json.loads(balancer.ask("/targets"))["targets"]), 1)
        balancer.process.send_signal(signal.SIGHUP)
        wait_until("SIGHUP is answered", lambda: "SIGHUP" in balancer.log())
        self.assertIn("load_balancer_", balancer.ask("/metrics"))
        self.assertEqual(balancer.end(), 0, balancer.log())
        # What is refused is told at most: nothing of it may be.
        self.assertNotIn("not permitted", balancer.log())

    def test_the_profile_is_enough_to_check(self):
        target = self.target()
        variables = {"NODE_FILTER": "static", "TARGETS": f"127.0.0.1:{target.port}",
                     "HEALTH_CHECK_PATH": "/", "PORT": str(free_port()),
                     "ADMIN_PORT": str(free_port())}
        command = [*self.under_profile(), str(self.program), "check"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                             env={**os.environ, **variables})
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertNotIn("not permitted", ran.stdout)

    def test_a_profile_without_io_uring_is_named_as_the_cause(self):
        for left_out in IO_URING:
            with self.subTest(left_out):
                balancer = self.start(self.under_profile(left_out), {
                    "NODE_FILTER": "static", "TARGETS": "127.0.0.1:9"})
                self.assertEqual(balancer.process.wait(20), 1, balancer.log())
                self.assertIn("io_uring", balancer.log())
                self.assertIn("seccomp", balancer.log())
