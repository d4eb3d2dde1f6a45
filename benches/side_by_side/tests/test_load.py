import unittest

from bench_kit.errors import BenchError

from side_by_side.load import parse_wrk

OUTPUT = """\
Running 2s test @ http://127.0.0.1:20000/small
  2 threads and 64 connections
  Socket errors: connect 0, read 3, write 0, timeout 1
Requests/sec:  57534.12
RESULT {"duration_us": 2000000, "requests": 115000, "bytes": 29000000, "p50_us": 1069, \
"p99_us": 2639, "errors": {"connect": 0, "read": 3, "write": 0, "status": 2, "timeout": 1}}
"""


class ParseWrk(unittest.TestCase):
    def test_reads_every_number(self):
        result = parse_wrk(OUTPUT)
        self.assertEqual(
            (result.seconds, result.requests, result.bytes, result.p50_us, result.p99_us),
            (2.0, 115000, 29000000, 1069.0, 2639.0),
        )

    def test_counts_all_kinds_of_errors(self):
        self.assertEqual(parse_wrk(OUTPUT).error_count, 6)

    def test_says_what_wrk_said_when_there_is_no_result(self):
        with self.assertRaisesRegex(BenchError, "unable to connect"):
            parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")

    def test_refuses_a_garbled_result(self):
        for line in ("RESULT {", "RESULT {}", "RESULT []"):
            with self.subTest(line), self.assertRaisesRegex(BenchError, "not understood"):
                parse_wrk(line)
