import unittest

from bench_kit.turns import rotated


class Turns(unittest.TestCase):
    def test_each_comes_first_in_turn(self):
        orders = [rotated(["a", "b", "c"], number) for number in range(4)]
        expected = [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]
        self.assertEqual(orders, expected)
