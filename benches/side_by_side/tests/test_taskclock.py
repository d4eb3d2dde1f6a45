import os
import time
import unittest

from bench_kit import taskclock
from bench_kit.errors import BenchError


class ParseTaskClock(unittest.TestCase):
    def test_milliseconds_become_microseconds(self):
        text = "1741.96,msec,task-clock,1741960000,100.00,0.580,CPUs utilized\n"
        self.assertAlmostEqual(taskclock.parse_task_clock_us(text), 1_741_960.0)

    def test_threads_that_never_ran_used_nothing(self):
        text = "Events disabled\n<not counted>,msec,task-clock,0,100.00,,\n"
        self.assertEqual(taskclock.parse_task_clock_us(text), 0.0)

    def test_what_was_not_counted_is_an_error(self):
        for text in ("", "<not supported>,msec,task-clock,0,0.00,,\n", "12,,cycles,1,1,,\n"):
            with self.subTest(text), self.assertRaises(BenchError):
                taskclock.parse_task_clock_us(text)


class Counting(unittest.TestCase):
    def setUp(self):
        if not taskclock.is_available():
            self.skipTest("perf is missing or not allowed")

    def test_only_the_work_is_counted(self):
        spin(0.3)
        _, busy_us = taskclock.count([os.getpid()], True, lambda: spin(0.2))
        self.assertGreater(busy_us, 150_000)
        self.assertLess(busy_us, 450_000)

    def test_a_process_that_is_gone_is_an_error(self):
        with self.assertRaises(BenchError):
            taskclock.count([2**22 + 1], True, lambda: None)


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
