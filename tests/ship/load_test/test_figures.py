"""The load test's arithmetic: what requests came to, what is advised, how charts are scaled."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sqlite3
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

from .. import places

sys.path.insert(0, str(places.ROOT / "benches"))

from bench_kit.errors import BenchError  # noqa: E402
from load_test import machine, plan, progress  # noqa: E402  (the path must be set first)
from load_test.balancer.admin import parse_metrics  # noqa: E402
from load_test.balancer.usage import parse_stat  # noqa: E402
from load_test.generator import latencies, oha  # noqa: E402
from load_test.generator.latencies import Request  # noqa: E402
from load_test.report import advice, page, svg  # noqa: E402
from load_test.report.advice import Point, advise  # noqa: E402
from load_test.report.charts import charts, spread  # noqa: E402
from load_test.step import Result  # noqa: E402
from load_test.target import Url  # noqa: E402


class Latencies(unittest.TestCase):
    def test_quantiles_are_of_the_nearest_rank(self):
        ordered = list(range(1, 1001))
        found = [latencies.quantile(ordered, share) for share in (0.5, 0.99, 0.999, 1.0)]
        self.assertEqual(found, [500, 990, 999, 1000])
        self.assertEqual(latencies.quantile([7.0], 0.5), 7.0)

    def test_a_request_belongs_to_the_second_it_was_due_in(self):
        requests = [Request(0.1, 0.2, 200), Request(0.9, 2.9, 200), Request(2.0, 2.5, 200)]
        seconds = latencies.by_second(requests, 2)
        self.assertEqual([second.count for second in seconds], [2, 1])
        self.assertAlmostEqual(seconds[0].max_us, 2e6)

    def test_a_second_without_requests_has_no_quantiles(self):
        self.assertIsNone(latencies.by_second([Request(0.1, 0.2, 200)], 2)[1].p99_us)

    def test_errors_are_counted_by_kind_and_are_in_no_latency(self):
        requests = [Request(0.0, 0.1, 200), Request(0.1, 9.0, 503), Request(0.2, 0.3, 302)]
        found = latencies.outcome(requests, {"timeout": 2}, 1, None)
        self.assertEqual(found.errors, {"timeout": 2, "status 503": 1, "status 302": 1})
        self.assertEqual((found.good, found.answered, found.overall.count), (1, 3, 1))
        self.assertAlmostEqual(found.error_share, 0.8)

    def test_an_answer_after_the_end_is_not_in_the_throughput(self):
        requests = [Request(0.0, 0.5, 200), Request(0.9, 1.4, 200)]
        self.assertEqual(latencies.outcome(requests, {}, 1, None).per_second, 1.0)

    def test_requests_that_were_due_and_never_sent_are_found(self):
        sent = [Request(tick / 10, tick / 10 + 0.01, 200) for tick in range(8)]
        found = latencies.outcome(sent, {"timeout": 1}, 2, 10.0)
        self.assertEqual(found.unsent, 21 - 9)
        self.assertTrue(found.fell_behind)
        # They are 9 to 20, due from 0.9 s to 2 s: waiting when it was over after 2 s.
        self.assertEqual(found.overall.count, 8 + 12)
        self.assertAlmostEqual(found.overall.max_us, 1.1e6)
        self.assertEqual([second.count for second in found.seconds], [8 + 1, 11])
        self.assertEqual(latencies.outcome(sent, {}, 2, None).unsent, 0)

    def test_the_generators_own_lateness_is_told(self):
        late = [Request(tick / 10 + 0.004, tick / 10 + 0.01, 200) for tick in range(10)]
        self.assertAlmostEqual(latencies.outcome(late, {}, 1, 10.0).lateness_p99_us, 4000.0)
        self.assertIsNone(latencies.outcome(late, {"timeout": 1}, 1, 10.0).lateness_p99_us)

    def test_nothing_answered_is_an_error_share_of_one(self):
        found = latencies.outcome([], {}, 1, None)
        self.assertEqual((found.error_share, found.per_second), (1.0, 0.0))

    def test_the_table_is_read_by_the_time_requests_were_due(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.db"
            self.assertEqual(latencies.read_table(path), [])
            with sqlite3.connect(path) as table:
                table.execute("CREATE TABLE oha (start, start_latency_correction, end, status)")
                table.execute("INSERT INTO oha VALUES (0.5, 0.1, 0.6, 200), (0.05, NULL, 0.2, 200)")
            table.close()
            self.assertEqual([row.due for row in latencies.read_table(path)], [0.05, 0.1])
            path.write_bytes(b"no table" * 200)
            with self.assertRaisesRegex(BenchError, "cannot be read"):
                latencies.read_table(path)


class Generator(unittest.TestCase):
    def test_only_the_addresses_that_were_agreed_to_are_connected_to(self):
        load = oha.Load(Url("lb.test", 80, "/a"), ("127.0.0.1", "::1"), 8, 3, 500.0, True)
        words = oha.arguments(load, Path("j"), Path("t"))
        self.assertIn("lb.test:80:127.0.0.1:80", words)
        self.assertIn("lb.test:80:[::1]:80", words)
        self.assertIn("--latency-correction", words)
        self.assertIn("--disable-keepalive", words)
        self.assertEqual(words[words.index("-r") + 1], "0")
        self.assertEqual(words[-1], "http://lb.test:80/a")

    def test_errors_are_read_from_its_json(self):
        self.assertEqual(oha.parse_errors('{"errorDistribution": {"timeout": 3}}'), {"timeout": 3})
        for text in ("", "[]", "{}", '{"errorDistribution": 1}'):
            with self.subTest(text), self.assertRaisesRegex(BenchError, "not understood"):
                oha.parse_errors(text)


class Installation(unittest.TestCase):
    """oha is built where it is missing; a stand-in takes cargo's place, which takes minutes."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.cache = self.folder / "stateless-load-balancer"
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin", "XDG_CACHE_HOME": str(self.folder)}
        changed = mock.patch.dict(os.environ, environment)
        changed.start()
        self.addCleanup(changed.stop)

    def program(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def test_it_is_built_once(self):
        self.program(self.folder / "cargo", "\n".join([
            'echo "$@" >>"$XDG_CACHE_HOME/asked"',
            'mkdir -p "$CARGO_TARGET_DIR" "$4/bin"',
            f'printf "#!/bin/sh\\necho oha {oha.VERSION}\\n" >"$4/bin/oha"',
            'chmod +x "$4/bin/oha"',
        ]))
        with contextlib.redirect_stderr(io.StringIO()) as said:
            found = [machine.generator(self.folder) for _ in range(2)]
        self.assertEqual(found, [self.cache / "bin" / "oha"] * 2)
        asked = (self.folder / "asked").read_text().splitlines()
        self.assertEqual(asked, [f"install --locked --root {self.cache} oha@{oha.VERSION}"])
        self.assertEqual(said.getvalue().count("building oha"), 1)
        self.assertFalse((self.cache / "oha-build").exists())

    def test_a_release_binary_older_than_its_sources_is_not_loaded(self):
        source = self.folder / "src" / "main.rs"
        built = self.folder / "target" / "release" / "stateless-load-balancer"
        self.program(built, "")
        self.program(source, "")
        self.program(self.folder / "cargo", 'echo "$@" >"$XDG_CACHE_HOME/asked"')
        os.environ["CARGO_TARGET_DIR"] = str(self.folder / "target")
        with mock.patch.object(machine, "ROOT", self.folder):
            os.utime(source, (1, 1))
            self.assertEqual(machine.balancer(None, self.folder), built)
            os.utime(built, (0, 0))
            with contextlib.redirect_stderr(io.StringIO()):
                found = machine.balancer(None, self.folder)
        own = self.folder / "target" / "load-test"
        self.assertEqual(found, own / "release" / "stateless-load-balancer")
        self.assertIn(f"--target-dir {own}", (self.folder / "asked").read_text())

    def test_another_version_is_not_used(self):
        self.program(self.folder / "oha", "echo oha 0.1.0")
        self.assertIsNone(oha.find())
        self.program(self.cache / "bin" / "oha", f"echo oha {oha.VERSION}")
        self.assertEqual(oha.find(), self.cache / "bin" / "oha")

    def test_a_build_that_fails_says_why_and_leaves_nothing(self):
        self.program(self.folder / "cargo", 'mkdir -p "$CARGO_TARGET_DIR"; echo no compiler; exit 7')
        failure = self.assertRaisesRegex(BenchError, "(?s)status 7.*no compiler")
        with contextlib.redirect_stderr(io.StringIO()), failure:
            machine.generator(self.folder)
        self.assertFalse((self.cache / "oha-build").exists())


class Told(unittest.TestCase):
    METRICS = "\n".join([
        "# HELP load_balancer_core_connections open client connections",
        'load_balancer_core_connections{core="10"} 7',
        'load_balancer_core_connections{core="2"} 5',
        'load_balancer_build_info{version="1.2.3"} 1',
        "load_balancer_moved_connections_total 4",
    ])

    def test_metrics(self):
        told = parse_metrics(self.METRICS)
        self.assertEqual(told.core_connections, [5, 7])
        self.assertEqual((told.version, told.moved, told.cpu_seconds), ("1.2.3", 4, None))
        self.assertEqual(parse_metrics("process_cpu_seconds_total 1.5").cpu_seconds, 1.5)

    def test_proc_stat(self):
        after_name = "S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 5 0 100 9999 256 1"
        cpu_us, resident_kib = parse_stat(f"42 (a) b c) {after_name}")
        self.assertEqual(cpu_us, 2_000_000.0)
        self.assertEqual(resident_kib, 256 * 4)
        with self.assertRaisesRegex(BenchError, "--process-stat"):
            parse_stat("no such process")

    def test_spread(self):
        self.assertEqual(spread([10, 20, 30]), 1.5)
        self.assertIsNone(spread([]))
        self.assertIsNone(spread([0, 0]))


def point(cores, per_second, **changed):
    values = {
        "error_share": 0.0, "busy": 0.97, "machine_busy": 0.6, "generator_busy": 0.3,
        "others": 0.01, "is_here": True, "cpu_us_per_request": 20.0, **changed,
    }
    return Point(cores=cores, per_second=per_second, **values)


class Advice(unittest.TestCase):
    FULL = {"busy": 0.5, "machine_busy": 0.99}

    def test_the_smallest_that_is_enough(self):
        text = advise([point(1, 50_000), point(2, 96_000), point(4, 100_000)])
        self.assertTrue(text.startswith("Set `CORES=2`: it reached 96,000"), text)

    def test_the_order_of_the_runs_does_not_matter(self):
        text = advise([point(4, 100_000), point(1, 50_000), point(2, 96_000)])
        self.assertTrue(text.startswith("Set `CORES=2`:"), text)

    def test_the_largest_may_not_be_the_end(self):
        text = advise([point(1, 50_000), point(2, 90_000)])
        self.assertTrue(text.startswith("Set `CORES=2`, or more:"), text)

    def test_no_advice_where_the_generator_held_back_the_larger_ones(self):
        text = advise([point(1, 50_000), point(2, 51_000, **self.FULL)])
        self.assertTrue(text.startswith("No advice on `CORES`"), text)
        self.assertIn("run it from another machine", text)
        self.assertIn("50,000 requests a second.", text)  # 1e6 / 20 µs

    def test_more_that_was_seen_holds_although_the_generator_held_it_back(self):
        text = advise([point(1, 50_000), point(2, 70_000, **self.FULL)])
        self.assertTrue(text.startswith("For more than 50,000 requests a second set `CORES=2`"), text)
        self.assertIn("not its limit", text)

    def test_errors_and_other_programs_are_no_basis(self):
        self.assertIn("more than 1 % of errors", advise([point(1, 9, error_share=0.5)]))
        disturbed = advise([point(1, 50_000), point(2, 90_000, others=0.4)])
        self.assertIn("other programs", disturbed)
        self.assertTrue(disturbed.startswith("No advice"))

    def test_one_value_is_none_to_choose_from(self):
        for limited in ({}, self.FULL, {"busy": None}, {"busy": 0.4}):
            with self.subTest(limited):
                text = advise([point(2, 50_000, **limited)])
                self.assertTrue(text.startswith("No advice on `CORES`: only 2 was measured"), text)

    def test_without_runs_or_known_cores(self):
        self.assertIn("no closed loop", advise([]))
        self.assertIn("--admin", advise([point(None, 100)]))

    def test_a_deployed_balancer_whose_cpu_is_not_known_has_no_known_limit(self):
        unknown = {"busy": None, "is_here": False, "cpu_us_per_request": None}
        self.assertEqual(advice.limit(point(1, 1, **unknown)), advice.UNKNOWN)
        self.assertTrue(advise([point(1, 50_000, **unknown), point(2, 50_000, **unknown)])
                        .startswith("No advice"))

    def test_the_generators_machine_is_the_limit_when_it_is_full(self):
        away = {"busy": 0.4, "is_here": False}
        self.assertEqual(advice.limit(point(1, 1, **away, machine_busy=0.98)), advice.GENERATOR)
        self.assertEqual(advice.limit(point(1, 1, **away, generator_busy=0.98)), advice.GENERATOR)


class Remarks(unittest.TestCase):
    def result(self, outcome, **changed):
        values = {
            "step": plan.Step(2, plan.OPEN), "rate": 10.0, "outcome": outcome,
            "cpu_us_per_request": 20.0, "cpu_source": "schedstat", "resident_kib": 2048.0,
            "busy": 0.5, "waiting": 0.1, "busy_by_core": [0.4, 0.6],
            "connections_by_core": [3.0, 5.0], "moved": 1, "failed_connections": 0,
            "generator_cpus": 0.5, "machine_busy": 0.7, "others_cpus": 0.1, "is_here": True,
            **changed,
        }
        return Result(**values)

    def test_what_spoils_a_run_is_said(self):
        sent = [Request(tick / 10 + 0.02, tick / 10 + 0.03, 200) for tick in range(5)]
        slow = latencies.outcome(sent, {}, 1, 10.0)
        text = "\n".join(page.remarks([self.result(slow, cpu_us_per_request=None)]))
        self.assertIn("CORES=2, open loop: it fell behind: 6 requests were due and not sent", text)
        self.assertIn("clock was late by 20.0 ms", text)
        self.assertIn("told no CPU time", text)
        failed = latencies.outcome([Request(0.0, 0.1, 503)], {"timeout": 3}, 1, None)
        text = "\n".join(page.remarks([self.result(failed, failed_connections=2)]))
        self.assertIn("errors: status 503 (1), timeout (3)", text)
        self.assertIn("no target for 2 connections", text)

    def test_a_good_run_has_no_remark_of_its_own(self):
        sent = [Request(tick / 10, tick / 10 + 0.01, 200) for tick in range(11)]
        good = self.result(latencies.outcome(sent, {}, 1, 10.0))
        self.assertFalse([text for text in page.remarks([good]) if "CORES=2" in text])

    def test_the_page_ends_with_the_advice_and_shows_every_chart(self):
        sent = [Request(tick / 10, tick / 10 + 0.01, 200) for tick in range(11)]
        runs = [self.result(latencies.outcome(sent, {}, 1, rate), rate=rate,
                            step=plan.Step(2, loop))
                for loop, rate in ((plan.CLOSED, None), (plan.OPEN, 10.0))]
        pictures = charts(runs)
        text = page.page({"date": "today", "repeat": "scripts/load-test"}, runs, list(pictures))
        self.assertTrue(text.endswith(page.advice_of(runs) + "\n"))
        self.assertIn("only 2 was measured", page.advice_of(runs))
        self.assertEqual(set(re.findall(r"\]\(([^)]+\.svg)\)", text)), set(pictures))
        self.assertEqual(set(pictures), {
            "throughput.svg", "cpu-per-request.svg", "latency-2-closed.svg", "latency-2-open.svg",
            "connections-2.svg", "busy-2.svg",
        })


class Charts(unittest.TestCase):
    def test_ticks_are_nice_and_reach_the_top(self):
        self.assertEqual(svg.nice_ticks(10), [0, 2, 4, 6, 8, 10])
        self.assertEqual(svg.nice_ticks(23_456), [0, 5000, 10000, 15000, 20000, 25000])
        self.assertEqual(svg.nice_ticks(0.7), [0, 0.2, 0.4, 0.6, 0.8])
        self.assertEqual(svg.nice_ticks(0), [0, 1])
        for top in (1e-9, 0.3, 1, 7, 99.9, 100, 12_345, 5e9):
            ticks = svg.nice_ticks(top)
            self.assertGreaterEqual(ticks[-1], top * (1 - 1e-9))
            self.assertTrue(2 <= len(ticks) <= 7, ticks)

    def test_logarithmic_ticks_enclose_the_values(self):
        self.assertEqual(svg.log_ticks(1.2, 18), [1, 2, 5, 10, 20])
        self.assertEqual(svg.log_ticks(3, 3), [2, 5])
        for low, high in ((0.01, 9000), (1, 1), (0.5, 0.50001), (7, 1e6)):
            ticks = svg.log_ticks(low, high)
            self.assertLessEqual(ticks[0], low * (1 + 1e-9))
            self.assertGreaterEqual(ticks[-1], high * (1 - 1e-9))
            self.assertGreater(len(ticks), 1)

    def test_pictures_are_xml_without_scripts_and_with_what_was_given(self):
        series = [svg.Series("a<b", [1.0, None, 3.0]), svg.Series("none", [None, None, None])]
        for picture in (
            svg.bars("T & U", "sub", "ms", ["1", "2", "4"], series, "x"),
            svg.lines("T & U", "sub", "ms", "x", series),
        ):
            tree = ElementTree.fromstring(picture)
            texts = [element.text for element in tree.iter() if element.tag.endswith("text")]
            self.assertIn("T & U", texts)
            self.assertIn("a<b", texts)
            self.assertIn("prefers-color-scheme: dark", picture)
            self.assertNotIn("script", picture)
            self.assertNotRegex(picture, r"\b(nan|inf)\b")

    def test_a_bar_is_as_high_as_its_value(self):
        picture = svg.bars("t", "s", "u", ["1", "2"], [svg.Series("a", [50.0, 100.0])], "x")
        heights = [float(h) for h in re.findall(r'class="fill0" x="\d[\d.]*" y="\d[\d.]*" '
                                                r'width="[\d.]+" height="([\d.]+)"', picture)]
        bars = heights[-2:]
        self.assertAlmostEqual(bars[1] / bars[0], 2.0, places=2)

    def test_a_gap_is_not_drawn_over(self):
        picture = svg.lines("t", "s", "u", "x", [svg.Series("a", [1.0, 2.0, None, 3.0, 4.0])])
        lines = re.findall(r'points="([^"]+)"', picture)
        self.assertEqual(sorted(len(line.split()) for line in lines), [2, 2, 2])  # and the legend's


class Plan(unittest.TestCase):
    def test_steps_and_time(self):
        names = [step.name for step in plan.steps([1, None])]
        self.assertEqual(names, ["CORES=1, closed loop", "CORES=1, open loop",
                                 "as deployed, closed loop", "as deployed, open loop"])
        self.assertEqual(plan.total_seconds([1, 2], 10, 2), 4 * 14)

    def test_default_values(self):
        self.assertEqual(plan.default_cores(1), [1])
        self.assertEqual(plan.default_cores(6), [1, 2, 4, 6])
        self.assertEqual(plan.default_cores(8), [1, 2, 4, 8])

    def test_the_bar_fits_its_line(self):
        line = progress.bar_line(30, 60, "CORES=1, closed loop", 60)
        self.assertIn("############............] 0:30/1:00 CORES=1", line)
        self.assertLessEqual(len(progress.bar_line(90, 60, "x" * 200, 40)), 40)

    def test_the_command_to_repeat_names_no_folder(self):
        self.assertEqual(machine.repeat_command(["--output", "/a b", "--rate", "5"]),
                         "scripts/load-test --rate 5")
        self.assertEqual(machine.repeat_command(["--output=/a", "--set-cores", "x {cores}"]),
                         "scripts/load-test --set-cores 'x {cores}'")


if __name__ == "__main__":
    unittest.main()
