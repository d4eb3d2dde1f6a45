import contextlib
import io
import unittest
from pathlib import Path

from side_by_side import __main__ as program
from side_by_side import peers


class CommandLine(unittest.TestCase):
    def refused(self, *arguments):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), self.assertRaises(SystemExit) as end:
            program.parse(list(arguments))
        self.assertEqual(end.exception.code, 2)
        return errors.getvalue()

    def test_defaults(self):
        options = program.parse([])
        self.assertEqual((options.rounds, options.seconds, options.peers), (5, 5.0, peers.NAMES))

    def test_bad_values_are_named(self):
        self.assertIn("envoy", self.refused("--peers", "haproxy,envoy"))
        self.assertIn("0", self.refused("--rounds", "0"))
        self.assertIn("x", self.refused("--seconds", "x"))
        self.assertIn("/no/such", self.refused("--balancer", "/no/such"))


class Configurations(unittest.TestCase):
    TARGETS = ["127.0.0.11:2000", "127.0.0.12:2000"]

    def test_every_peer_is_given_every_target_and_its_port(self):
        texts = [
            peers.haproxy_config(self.TARGETS, 3000),
            peers.nginx_config(self.TARGETS, Path("/tmp/x"), 3000, "16k"),
            str(peers.balancer_env(self.TARGETS, 3000, 3001)),
        ]
        for text in texts:
            with self.subTest(text):
                for wanted in (*self.TARGETS, "3000"):
                    self.assertIn(wanted, text)
