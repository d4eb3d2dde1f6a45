import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.processes import Server, free_port, process_tree, run_to_end

from side_by_side.idle import is_complete

# Forks a child that ignores SIGTERM, as the parent does.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print("up", flush=True)
time.sleep(60)
"""


class Servers(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.log = Path(self.directory.name) / "log"

    def tearDown(self):
        self.directory.cleanup()

    def test_stop_ends_the_whole_tree(self):
        server = Server("stubborn", [sys.executable, "-c", STUBBORN], self.log)
        server.wait_until(lambda: self.log.read_text().count("up") == 2, "up")
        pids = server.pids()
        self.assertEqual(len(pids), 2)
        server.stop()
        deadline = time.monotonic() + 10
        while any(is_running(pid) for pid in pids):
            self.assertLess(time.monotonic(), deadline, "a process was left behind")
            time.sleep(0.01)

    def test_a_server_that_ends_early_is_quoted(self):
        server = Server("broken", [sys.executable, "-c", "exit('no such setting')"], self.log)
        with self.assertRaisesRegex(BenchError, "(?s)status 1.*no such setting"):
            server.wait_until(lambda: False, "ready")

    def test_a_program_that_is_missing_is_named(self):
        with self.assertRaisesRegex(BenchError, "/no/such/program"):
            Server("missing", ["/no/such/program"], self.log)

    def test_a_program_that_fails_is_quoted(self):
        with self.assertRaisesRegex(BenchError, "(?s)status 3.*why"):
            run_to_end(["sh", "-c", "echo why; exit 3"], timeout=10)

    def test_a_program_that_hangs_is_ended(self):
        with self.assertRaisesRegex(BenchError, "did not end"):
            run_to_end(["sleep", "60"], timeout=0.2)


class Helpers(unittest.TestCase):
    def test_tree_of_a_process_without_children(self):
        with subprocess.Popen(["sleep", "60"]) as child:
            self.assertEqual(process_tree(child.pid), [child.pid])
            child.kill()

    def test_a_free_port_is_below_the_ephemeral_range(self):
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        self.assertLess(free_port(["127.0.0.11", "127.0.0.12"]), max(low, 32768))

    def test_an_answer_is_complete_with_its_last_byte(self):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
        self.assertTrue(is_complete(answer))
        self.assertFalse(any(is_complete(answer[:length]) for length in range(len(answer))))


def is_running(pid):
    try:
        # Field 3 is the state; an orphan may stay a zombie until its new parent looks.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
