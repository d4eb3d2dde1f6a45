import unittest

from side_by_side import report
from side_by_side.scenarios import Run

CPU = next(metric for metric in report.METRICS if metric.key == "cpu_us")
RATE = next(metric for metric in report.METRICS if metric.key == "requests_per_s")


def run(peer, number, errors=None, scenario="keepalive-64", **values):
    return Run(scenario, peer, number, values, errors or {})


RUNS = [
    run("balancer", 1, cpu_us=6.0, requests_per_s=900),
    run("balancer", 2, cpu_us=9.0, requests_per_s=1000),
    run("balancer", 3, cpu_us=6.2, requests_per_s=1100),
    run("haproxy", 1, cpu_us=8.0, requests_per_s=500),
    run("haproxy", 2, cpu_us=8.0, requests_per_s=500),
    run("haproxy", 3, cpu_us=8.0, requests_per_s=500),
    run("nginx", 1, cpu_us=7.0, requests_per_s=400),
    run("nginx", 2, cpu_us=1.0, requests_per_s=400),
    run("nginx", 3, cpu_us=10.0, requests_per_s=400),
]


class Ratios(unittest.TestCase):
    def setUp(self):
        self.by_peer = report.medians(RUNS)["keepalive-64"]

    def test_medians(self):
        self.assertEqual(self.by_peer["balancer"]["cpu_us"], 6.2)
        self.assertEqual(self.by_peer["nginx"]["cpu_us"], 7.0)

    def test_the_best_is_the_lowest_cost_and_the_highest_rate(self):
        self.assertEqual(report.best_peer(self.by_peer, CPU), "nginx")
        self.assertEqual(report.best_peer(self.by_peer, RATE), "haproxy")

    def test_ratio(self):
        self.assertAlmostEqual(report.ratio(self.by_peer, CPU), 6.2 / 7.0)
        self.assertAlmostEqual(report.ratio(self.by_peer, RATE), 2.0)

    def test_no_ratio_without_both_sides(self):
        self.assertIsNone(report.ratio({"balancer": {"cpu_us": 1.0}}, CPU))
        self.assertIsNone(report.ratio({"nginx": {"cpu_us": 1.0}}, CPU))
        self.assertIsNone(report.ratio({"balancer": {"cpu_us": 1.0}, "nginx": {"cpu_us": 0.0}}, CPU))

    def test_spread_pairs_rounds(self):
        low, high = report.ratio_spread(RUNS, "keepalive-64", CPU, "nginx")
        self.assertAlmostEqual(low, 0.62)
        self.assertAlmostEqual(high, 9.0)


class Judging(unittest.TestCase):
    def test_a_ratio_meets_its_limit_and_misses_a_lower_one(self):
        target = report.Target("keepalive-64", "cpu_us", 0.97, "", True)
        stricter = report.Target("keepalive-64", "cpu_us", 0.88, "", True)
        self.assertTrue(report.judge(report.medians(RUNS), target)[1])
        self.assertFalse(report.judge(report.medians(RUNS), stricter)[1])

    def test_a_plain_value(self):
        runs = [run("balancer", 1, scenario="idle-3000", kib_per_connection=0.59)]
        target = next(t for t in report.TARGETS if t.metric == "kib_per_connection")
        self.assertEqual(report.judge(report.medians(runs), target), (0.59, False))  # 604 bytes

    def test_what_was_not_measured_is_neither_met_nor_missed(self):
        target = report.Target("bulk-10MiB", "cpu_us", 1.15, "", True)
        self.assertEqual(report.judge(report.medians(RUNS), target), (None, None))


class Text(unittest.TestCase):
    def test_shows_targets_and_no_errors(self):
        text = report.render([*RUNS, run("balancer", 1, scenario="idle-3000", idle_cpu_percent=0.6)])
        self.assertRegex(text, r"\n  met +keepalive-64 ")
        self.assertRegex(text, r"\n  NOT MET +idle-3000 ")
        self.assertIn("ratio to best", text)
        self.assertIn("No errors.", text)

    def test_names_every_error(self):
        text = report.render([*RUNS, run("nginx", 4, errors={"timeout": 3}, cpu_us=1.0)])
        self.assertIn("keepalive-64, nginx, round 4: timeout 3", text)

    def test_a_run_without_numbers_is_still_reported(self):
        text = report.render([run("balancer", 1, errors={"no request was answered": 1})])
        self.assertIn("no request was answered", text)

    def test_json_holds_every_run(self):
        content = report.as_json(RUNS, {"kernel": "6.1"})
        self.assertEqual(len(content["runs"]), len(RUNS))
        self.assertEqual(content["kernel"], "6.1")
