"""The load test for real: short runs against the binary that `cargo test` has built."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid
from pathlib import Path
from xml.etree import ElementTree

from .. import places

sys.path.insert(0, str(places.ROOT / "benches"))
os.environ["PATH"] += os.pathsep + "/usr/sbin"

from bench_kit.errors import BenchError  # noqa: E402
from bench_kit.processes import Server, free_port  # noqa: E402
from load_test.balancer.admin import Admin  # noqa: E402  (the path must be set first)
from load_test.balancer.local import HOST, PATH, Local  # noqa: E402
from load_test.generator import oha  # noqa: E402
from load_test.plan import CLOSED, OPEN, Step  # noqa: E402
from load_test.step import Runner  # noqa: E402
from load_test.target import Url  # noqa: E402
from side_by_side import peers  # noqa: E402
from side_by_side.backends import Backends  # noqa: E402

SCRIPT = str(places.ROOT / "scripts" / "load-test")
MARK = "SLB_LOAD_TEST_MARK"
PATIENCE_SECONDS = 20.0


class Real(unittest.TestCase):
    """Has what real runs need, or is skipped."""

    def setUp(self):
        self.binary = places.balancer()
        places.program("nginx")
        self.oha = oha.find()
        if self.oha is None:
            self.skipTest(f"there is no oha {oha.VERSION}: scripts/load-test builds it")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.report = self.folder / "report"
        # What the script starts inherits a mark, and logs to a file in its temporary folder: nginx
        # writes its title over its environment.
        self.mark = uuid.uuid4().hex
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()
        self.environment = {**os.environ, MARK: self.mark, "TMPDIR": str(self.scratch)}

    def run_script(self, *arguments):
        command = [sys.executable, SCRIPT, "--output", str(self.report), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                              env=self.environment)

    def running(self):
        """Names of the processes that the script has started and that live."""
        mark, found = f"{MARK}={self.mark}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_ours = os.readlink(process / "fd" / "2").startswith(str(self.scratch))
                if is_ours or mark in (process / "environ").read_bytes():
                    found.append((process / "comm").read_text().strip())
        return found

    def assert_nothing_is_left(self):
        self.assertEqual(self.running(), [])
        self.assertEqual(list(self.scratch.iterdir()), [])

    def wait_for(self, is_so, what):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.02)

    def backends(self):
        backends = Backends(self.folder)
        self.addCleanup(backends.stop)
        backends.start()
        return backends


class OwnBalancer(Real):
    def test_a_report_of_a_local_balancer(self):
        ran = self.run_script("--binary", str(self.binary), "--cores", "1", "--seconds", "2",
                              "--warmup", "0", "--connections", "8")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assert_nothing_is_left()
        content = json.loads((self.report / "results.json").read_text())
        closed, opened = content["runs"]
        for run in (closed, opened):
            self.assertGreater(run["outcome"]["good"], 100, run)
            self.assertEqual(run["outcome"]["errors"], {})
            self.assertEqual(len(run["outcome"]["seconds"]), 2)
            self.assertGreater(run["cpu_us_per_request"], 1)
            self.assertGreater(run["resident_kib"], 1000)
            self.assertEqual(len(run["busy_by_core"]), 1)
            self.assertTrue(0 < run["busy"] <= 1.1, run["busy"])
            self.assertGreater(run["generator_cpus"], 0.01)
        self.assertAlmostEqual(closed["connections_by_core"][0], 8, delta=2)
        share = opened["rate"] / closed["outcome"]["per_second"]
        self.assertAlmostEqual(share, 0.7, delta=0.01)
        page = (self.report / "report.md").read_text()
        self.assertTrue(page.endswith(content["advice"] + "\n"), page[-300:])
        self.assertIn("oha " + oha.VERSION, page)
        for name in ("throughput", "cpu-per-request", "latency-1-closed", "latency-1-open"):
            self.assertIn(f"({name}.svg)", page)
            ElementTree.parse(self.report / f"{name}.svg")
        self.assertEqual(set(self.folder.iterdir()), {self.report, self.scratch})


    def test_a_balancer_that_ends_is_an_error(self):
        balancer = Local(self.binary, self.backends().targets, self.folder)
        self.addCleanup(balancer.stop)
        balancer.set_cores(1, lambda: None)
        self.assertGreater(balancer.usage().cpu_us, 0)
        os.kill(balancer.pids()[0], signal.SIGKILL)
        with self.assertRaisesRegex(BenchError, "the balancer ended"):
            while True:
                balancer.usage()


class Interrupted(Real):
    def interrupted(self, number, before):
        output, inside = pty.openpty()
        self.addCleanup(os.close, output)
        script = subprocess.Popen(
            [sys.executable, SCRIPT, "--output", str(self.report), "--binary", str(self.binary),
             "--cores", "1", "--seconds", "60"],
            stdout=subprocess.DEVNULL, stderr=inside, env=self.environment,
        )
        os.close(inside)
        self.addCleanup(script.kill)
        said = Reader(output)
        self.wait_for(lambda: {"nginx", "stateless-load-", "oha"} <= set(self.running()), "started")
        self.wait_for(lambda: before in said.text, f"no {before!r} in {said.text!r}")
        script.send_signal(number)
        self.assertEqual(script.wait(PATIENCE_SECONDS), 130)
        self.wait_for(lambda: "interrupted" in said.text, said.text)
        self.assert_nothing_is_left()
        self.assertEqual(list(self.folder.iterdir()), [self.scratch])

    def test_ctrl_c_leaves_nothing(self):
        self.interrupted(signal.SIGINT, "0:00/2:08 CORES=1, closed loop")

    def test_sigterm_leaves_nothing(self):
        self.interrupted(signal.SIGTERM, "[........................]")


class Reader(threading.Thread):
    """Collects what comes from a terminal."""

    def __init__(self, descriptor):
        super().__init__(daemon=True)
        self.text = ""
        self._descriptor = descriptor
        self.start()

    def run(self):
        while True:
            try:
                select.select([self._descriptor], [], [])
                more = os.read(self._descriptor, 4096)
            except OSError:
                return  # nobody has it open any more
            if not more:
                return
            self.text += more.decode(errors="replace")


class Stall(Real):
    """A balancer that stands still for a second: an open loop sees it, a closed one does not."""

    def stalled(self, loop, rate):
        balancer = Local(self.binary, self.backends().targets, self.folder)
        self.addCleanup(balancer.stop)
        balancer.set_cores(1, lambda: None)
        pid = balancer.pids()[0]
        stop = threading.Timer(1.0, os.kill, (pid, signal.SIGSTOP))
        go_on = threading.Timer(2.0, os.kill, (pid, signal.SIGCONT))
        load = oha.Load(balancer.url, balancer.addresses, 4, 3, rate)
        runner = Runner(balancer, self.oha, self.folder, False, lambda: None)
        stop.start()
        go_on.start()
        try:
            return runner.run(Step(1, loop), load, 0).outcome
        finally:
            stop.cancel()
            go_on.cancel()
            os.kill(pid, signal.SIGCONT)

    def test_it_shows_in_the_open_loop(self):
        found = self.stalled(OPEN, 500.0)
        self.assertGreater(found.overall.p99_us, 700_000)
        self.assertGreater(found.overall.p999_us, 800_000)
        # Those that were due while it stood still waited half a second in the middle.
        self.assertGreater(found.seconds[1].p50_us, 200_000)
        self.assertLess(found.seconds[0].p50_us, 100_000)

    def test_the_closed_loop_hides_it(self):
        found = self.stalled(CLOSED, None)
        self.assertLess(found.overall.p99_us, 500_000)
        self.assertGreater(found.overall.max_us, 800_000)


class Deployed(Real):
    def setUp(self):
        super().setUp()
        self.targets = self.backends().targets
        self.port, self.admin_port = free_port([HOST]), free_port([HOST])
        self.admin = Admin(Url(HOST, self.admin_port, "/"), HOST)
        self.server = None
        self.addCleanup(lambda: self.server and self.server.stop())
        self.url = ["--url", f"http://localhost:{self.port}{PATH}"]
        self.asked = ["--admin", f"http://localhost:{self.admin_port}", "--seconds", "1",
                      "--warmup", "0", "--connections", "4"]

    def deploy(self, cores):
        if self.server:
            self.server.stop()
        env = {**peers.balancer_env(self.targets, self.port, self.admin_port), "CORES": str(cores)}
        self.server = Server("deployed", [str(self.binary)], self.folder / "deployed.log", env)
        self.server.wait_until(self.admin.is_ready, "ready")

    def test_as_it_is_deployed(self):
        self.deploy(1)
        stat = f"cat /proc/{self.server.pids()[0]}/stat"
        ran = self.run_script(*self.url, *self.asked, "--process-stat", stat)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        closed, opened = json.loads((self.report / "results.json").read_text())["runs"]
        self.assertIsNone(closed["step"]["cores"])
        self.assertEqual(len(closed["connections_by_core"]), 1)
        self.assertGreater(closed["cpu_us_per_request"], 1)
        self.assertGreater(opened["outcome"]["good"], 50)
        self.assertTrue(self.admin.is_ready(), "what is deployed goes on")
        self.assert_nothing_is_left()

    def test_cores_are_set_by_a_command(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("two CPUs are needed")
        self.deploy(1)
        order = self.folder / "order"
        os.mkfifo(order)

        is_over = threading.Event()

        def operator():
            # The command has ended by the time this restarts it, as with many a tool.
            for _ in range(2):
                self.deploy(int(order.read_text()))
            is_over.wait(PATIENCE_SECONDS)  # the balancer ends with the thread that started it

        working = threading.Thread(target=operator, daemon=True)
        self.addCleanup(working.join, PATIENCE_SECONDS)
        self.addCleanup(is_over.set)
        working.start()
        ran = self.run_script(*self.url, *self.asked, "--cores", "1,2", "--rate", "200",
                              "--set-cores", f"echo {{cores}} > {order}")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        runs = json.loads((self.report / "results.json").read_text())["runs"]
        self.assertEqual([len(run["connections_by_core"]) for run in runs], [1, 1, 2, 2])
        self.assertTrue((self.report / "connections-2.svg").exists())

    def test_what_fails_leaves_no_report(self):
        self.deploy(1)
        for arguments, said in (
            (["--url", f"http://localhost:{self.port}/nope", *self.asked], "status 404"),
            ([*self.url, *self.asked, "--process-stat", "echo x; exit 3"], "status 3"),
            ([*self.url, *self.asked, "--process-stat", "echo x"], "no line of /proc/PID/stat"),
            ([*self.url, *self.asked, "--cores", "1", "--set-cores", "echo {cores}nd; false"], "1nd"),
            (["--url", f"http://localhost:{free_port([HOST])}/"], "does not answer"),
            ([*self.url, "--admin", f"http://localhost:{free_port([HOST])}"], "/metrics does not"),
        ):
            with self.subTest(arguments):
                ran = self.run_script(*arguments)
                self.assertEqual(ran.returncode, 1, ran.stderr)
                self.assertIn(said, ran.stderr)
                self.assertNotIn("Traceback", ran.stderr)
                self.assert_nothing_is_left()
                left = {path.name for path in self.folder.iterdir() if "report" in path.name}
                self.assertEqual(left, set())


if __name__ == "__main__":
    unittest.main()
