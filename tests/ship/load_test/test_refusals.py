"""What the load test refuses: usage or a clear error, exit status 2, and nothing is done."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import places

sys.path.insert(0, str(places.ROOT / "benches"))

from load_test import options, target  # noqa: E402  (the path must be set first)

SCRIPT = places.ROOT / "scripts" / "load-test"
CPUS = len(os.sched_getaffinity(0))


class Refusals(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.output = ["--output", str(self.folder / "report")]

    def refused(self, *arguments):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), self.assertRaises(SystemExit) as end:
            options.parse([*self.output, *arguments])
        self.assertEqual(end.exception.code, 2, errors.getvalue())
        self.assertIn("usage: scripts/load-test", errors.getvalue())
        return errors.getvalue()

    def test_cores(self):
        beyond = self.refused("--cores", f"1,{CPUS + 1}")
        self.assertIn(f"--cores {CPUS + 1}: this machine has {CPUS} CPUs", beyond)
        for text in ("0", "x", "", "1,", "-1", "1.5", "1,1", "٣", "1_0", "9" * 5000):
            with self.subTest(text[:20]):
                self.assertIn("--cores", self.refused("--cores", text))

    def test_times_and_counts(self):
        for name, bad in {
            "--seconds": ("0", "301", "x", "-3", "2.5", "1e2", ""),
            "--warmup": ("61", "x", "-1"),
            "--connections": ("0", "10001", "many"),
            "--rate": ("0", "-5", "fast", "1000001"),
            "--rate-share": ("0", "101", "70%"),
        }.items():
            for text in bad:
                with self.subTest(name=name, text=text):
                    self.assertIn(name, self.refused(f"{name}={text}"))

    def test_rate_and_share_exclude_each_other(self):
        self.assertIn("not allowed with", self.refused("--rate", "5", "--rate-share", "50"))

    def test_too_long_in_all(self):
        with mock.patch.object(os, "sched_getaffinity", lambda _: range(8)):
            text = self.refused("--cores", "1,2,3,4,5,6,7,8", "--seconds", "300")
        self.assertIn("at most 60:00", text)

    def test_more_connections_than_open_files(self):
        with mock.patch.object(options.resource, "getrlimit", lambda _: (100, 100)):
            self.assertIn("hard limit is 100", self.refused("--connections", "64"))

    def test_urls(self):
        for text, said in {
            "https://127.0.0.1/": "passes TLS through",
            "ftp://127.0.0.1/": "not an HTTP URL",
            "127.0.0.1:80": "not an HTTP URL",
            "http://": "not an HTTP URL",
            "": "not an HTTP URL",
            "http://127.0.0.1:0/": "port 0",
            "http://127.0.0.1:99999/": "0-65535",
            "http://127.0.0.1:x/": "could not be cast|x",
            "http://me@127.0.0.1/": "no user",
            "http://127.0.0.1/a b": "no space",
            "http://[::1/": "IPv6",
            "http://no.such.host.invalid/": "cannot be resolved",
        }.items():
            with self.subTest(text):
                self.assertRegex(self.refused("--url", text), said)

    def test_addresses_of_others(self):
        for text in ("http://192.0.2.1/", "http://10.0.0.1:8080/", "http://[2001:db8::1]/",
                     "http://0.0.0.0/", "http://[::ffff:192.0.2.1]/"):
            with self.subTest(text):
                self.assertIn("--target-is-mine", self.refused("--url", text))
        admin = self.refused("--url", "http://127.0.0.1/", "--admin", "http://192.0.2.1:9901")
        self.assertIn("192.0.2.1 is not a loopback address", admin)

    def test_one_strange_address_of_a_name_is_enough(self):
        found = [(2, 1, 6, "", ("127.0.0.1", 80)), (2, 1, 6, "", ("192.0.2.7", 80))]
        with mock.patch.object(target.socket, "getaddrinfo", lambda *_, **__: found):
            text = self.refused("--url", "http://lb.test/")
        self.assertIn("192.0.2.7 (of lb.test)", text)

    def test_what_is_mine_and_loopback_is_taken(self):
        for text in ("http://127.0.0.1:1/", "http://127.9.9.9/", "http://[::1]:5/a?b=c"):
            with self.subTest(text):
                self.assertIsNone(options.parse([*self.output, "--url", text]).cores[0])
        mine = options.parse([*self.output, "--url", "http://192.0.2.1/", "--target-is-mine"])
        self.assertEqual(mine.addresses, ("192.0.2.1",))

    def test_arguments_that_do_not_go_together(self):
        url = ["--url", "http://127.0.0.1:1/"]
        admin = ["--admin", "http://127.0.0.1:2"]
        for arguments, said in (
            (["--admin", "http://127.0.0.1:2"], "give --url too"),
            (["--target-is-mine"], "give --url too"),
            (["--set-cores", "x {cores}"], "give --url too"),
            (["--process-stat", "x"], "give --url too"),
            ([*url, "--binary", sys.executable], "--binary is for"),
            ([*url, "--cores", "1"], "needs --set-cores"),
            ([*url, *admin, "--cores", "1", "--set-cores", "x"], r"holds no \{cores\}"),
            ([*url, *admin, "--set-cores", "x {cores}"], "needs --cores"),
            ([*url, "--cores", "1", "--set-cores", "x {cores}"], "needs --admin"),
            ([*url, "--admin", "http://127.0.0.1:2/metrics"], "http://HOST:PORT"),
            (["--no-such"], "unrecognized"),
            (["--sec", "3"], "unrecognized"),
            (["more"], "unrecognized"),
        ):
            with self.subTest(arguments):
                self.assertRegex(self.refused(*arguments), said)

    def test_binaries_and_folders(self):
        for text in ("/no/such", str(self.folder), str(SCRIPT.with_name("test.sh")) + "x"):
            with self.subTest(text):
                self.assertIn("not an executable file", self.refused("--binary", text))
        self.assertIn("exists already", self.refused("--output", str(self.folder)))
        self.assertIn("there is no folder", self.refused("--output", str(self.folder / "a" / "b")))

    def test_the_command_itself_does_nothing(self):
        ran = subprocess.run(
            [sys.executable, str(SCRIPT), *self.output, "--cores", "0"],
            capture_output=True, text=True, check=False, timeout=20,
        )
        self.assertEqual(ran.returncode, 2)
        self.assertIn("usage:", ran.stderr)
        self.assertEqual(ran.stdout, "")
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
