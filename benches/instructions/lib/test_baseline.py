"""The comparison with a baseline fails where it has to."""

import json
import tempfile
import unittest
from pathlib import Path

import baseline

KNOWN = {
    "file": {"instructions": 100_000.0, "allocations": 30.0, "syscalls": 6.0},
    "bosh": {"instructions": 160_000.0, "allocations": 57.0, "syscalls": 6.0},
}


def scaled(factor, key):
    """The baseline's figures, of which one is multiplied in each scenario."""
    return {name: {**figures, key: figures[key] * factor} for name, figures in KNOWN.items()}


class Comparison(unittest.TestCase):
    def test_equal_figures_pass(self):
        self.assertEqual(baseline.differences(KNOWN, KNOWN), [])

    def test_five_percent_more_instructions_fail_in_each_scenario(self):
        found = baseline.differences(scaled(1.05, "instructions"), KNOWN)
        self.assertEqual([(one.scenario, one.key) for one in found],
                         [("file", "instructions"), ("bosh", "instructions")])

    def test_five_percent_more_in_one_scenario_fail(self):
        counted = {**KNOWN, "bosh": scaled(1.05, "instructions")["bosh"]}
        (found,) = baseline.differences(counted, KNOWN)
        self.assertEqual(baseline.describe(found), "bosh: instructions 160000.0 → 168000.0 (+5.0%)")

    def test_the_tolerance_is_three_percent_in_both_directions(self):
        for factor, fails in ((1.029, False), (1.031, True), (0.971, False), (0.969, True)):
            found = baseline.differences(scaled(factor, "instructions"), KNOWN)
            self.assertEqual(bool(found), fails, factor)

    def test_system_calls_have_a_tolerance_of_their_own(self):
        for factor, fails in ((1.09, False), (1.11, True)):
            self.assertEqual(bool(baseline.differences(scaled(factor, "syscalls"), KNOWN)), fails)

    def test_a_scenario_without_a_baseline_fails(self):
        (found,) = baseline.differences({"new": {"instructions": 1.0}}, KNOWN)
        self.assertIn("none in the baseline", baseline.describe(found))

    def test_work_of_other_threads_is_not_compared(self):
        counted = {"file": {**KNOWN["file"], "control": 9e9}}
        self.assertEqual(baseline.differences(counted, KNOWN), [])


class Control(unittest.TestCase):
    def test_a_slowed_request_is_noticed(self):
        self.assertTrue(baseline.notices({"file": {"instructions": 105_000.0}}, KNOWN))

    def test_a_request_as_fast_as_the_baseline_or_faster_is_not(self):
        for instructions in (100_000.0, 102_000.0, 90_000.0):
            slowed = {"file": {"instructions": instructions}}
            self.assertFalse(baseline.notices(slowed, KNOWN), instructions)

    def test_other_figures_do_not_stand_in_for_instructions(self):
        slowed = {"file": {"instructions": 100_000.0, "syscalls": 60.0}}
        self.assertFalse(baseline.notices(slowed, KNOWN))

    def test_a_missing_baseline_proves_nothing(self):
        self.assertFalse(baseline.notices({"new": {"instructions": 1.0}}, KNOWN))


class Advice(unittest.TestCase):
    def test_another_compiler_is_named_with_both_versions(self):
        lines = baseline.advice({"rustc": "1.95.0"}, {"rustc": "1.96.0"}, "run --update")
        self.assertIn("rustc: 1.96.0 here, 1.95.0 in the baseline", lines)
        self.assertIn("run --update", lines[-1])

    def test_equal_conditions_are_not_named(self):
        (line,) = baseline.advice({"rustc": "1.95.0"}, {"rustc": "1.95.0"}, "run --update")
        self.assertIn("run --update", line)


class Files(unittest.TestCase):
    def test_an_update_keeps_what_was_not_counted(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "baseline.json")
            self.assertEqual(baseline.read(path), ({}, {}))
            counted = {"file": {"instructions": 1.234, "control": 5.0}}
            baseline.write(path, {"rustc": "1"}, KNOWN, counted)
            conditions, known = baseline.read(path)
            self.assertEqual(conditions, {"rustc": "1"})
            self.assertEqual(known["bosh"], KNOWN["bosh"])
            self.assertEqual(known["file"], {**KNOWN["file"], "instructions": 1.23})
            self.assertTrue(json.loads(path.read_text()))


if __name__ == "__main__":
    unittest.main()
