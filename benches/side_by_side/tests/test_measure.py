import os
import time
import unittest

from bench_kit.errors import BenchError

from side_by_side import measure
from side_by_side.measure import Cpu

STAT = "42 (a) R (b c) S 1 42 42 0 -1 4194560 100 200 0 0 {utime} {stime} 7 8 20 0 1 0 99 1 2"


class Parsers(unittest.TestCase):
    def test_stat_finds_the_fields_behind_a_name_with_parentheses(self):
        self.assertEqual(measure.parse_stat_ticks(STAT.format(utime=31, stime=59)), (31, 59))

    def test_schedstat(self):
        self.assertEqual(measure.parse_schedstat_ns("183280929 11261949 347\n"), 183280929)

    def test_machine_busy_leaves_idle_iowait_and_guest_out(self):
        line = "cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9 9 9 9 9 9 9 9\n"
        self.assertEqual(measure.parse_machine_busy_ticks(line), 1 + 2 + 4 + 8 + 16 + 32)

    def test_smaps_rollup(self):
        text = "55d0-7ffe ---p 00000000 00:00 0  [rollup]\nRss:  5120 kB\nPss:  900 kB\nPss_Anon: 7 kB\n"
        self.assertEqual(measure.parse_smaps_rollup(text), measure.Memory(5120, 900))


class Splitting(unittest.TestCase):
    def test_total_is_the_schedulers_and_split_the_ticks(self):
        cpu = measure.split_cpu(1_000_000_000, user_ticks=20, system_ticks=60)
        self.assertEqual(cpu, Cpu(250_000.0, 750_000.0))

    def test_time_of_ended_threads_counts(self):
        cpu = measure.split_cpu(1_000, user_ticks=1, system_ticks=3)
        self.assertEqual(cpu.total_us, 4 * measure.TICK_US)

    def test_no_ticks_yet(self):
        self.assertEqual(measure.split_cpu(4_000, 0, 0), Cpu(2.0, 2.0))

    def test_another_total_keeps_the_split(self):
        self.assertEqual(Cpu(1.0, 3.0).scaled_to(8.0), Cpu(2.0, 6.0))

    def test_between_keeps_the_total_when_the_split_wavers(self):
        used = measure.cpu_between({1: Cpu(10.0, 10.0)}, {1: Cpu(9.0, 21.0)})
        self.assertEqual(used, Cpu(0.0, 10.0))

    def test_between_refuses_other_processes(self):
        with self.assertRaises(BenchError):
            measure.cpu_between({1: Cpu(0, 0)}, {1: Cpu(1, 1), 2: Cpu(1, 1)})


class OwnProcess(unittest.TestCase):
    def test_spinning_is_seen(self):
        pid = os.getpid()
        before, end = measure.sample_cpu([pid]), time.process_time() + 0.1
        while time.process_time() < end:
            pass
        used = measure.cpu_between(before, measure.sample_cpu([pid]))
        self.assertGreater(used.total_us, 80_000)

    def test_memory_is_read(self):
        memory = measure.sample_memory([os.getpid()])
        self.assertGreater(memory.rss_kib, 1000)
        self.assertLessEqual(memory.pss_kib, memory.rss_kib)

    def test_a_process_that_is_gone_is_an_error(self):
        with self.assertRaises(BenchError):
            measure.sample_memory([2**22 + 1])
        with self.assertRaises(BenchError):
            measure.sample_cpu([2**22 + 1])
