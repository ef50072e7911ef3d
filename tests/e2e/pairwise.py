# SPDX-License-Identifier: Apache-2.0
"""Few rows in which every pair of values of any two factors meets.

Goal:   most faults need one value or two that meet, so a test of all pairs finds what a test of all
        combinations finds, at the price of some dozens of rows instead of thousands.
Method: greedy, always in the same order: a row begins with a pair that has not been met, and takes
        for each other factor the value that meets most pairs anew.
"""
import itertools


def pairs(row):
    """The pairs of (factor, value) that meet in it."""
    return {frozenset(two) for two in itertools.combinations(row.items(), 2)}


def all_pairs(factors):
    return [frozenset(((a, x), (b, y)))
            for a, b in itertools.combinations(factors, 2)
            for x in factors[a] for y in factors[b]]


def gain(row, item, unmet):
    return sum(frozenset((item, other)) in unmet for other in row.items())


def rows(factors):
    """Of dicts: factor → value."""
    unmet = dict.fromkeys(all_pairs(factors))  # in order, so that the rows are always the same
    use = dict.fromkeys(((f, v) for f in factors for v in factors[f]), 0)
    result = []
    while unmet:
        row = dict(sorted(next(iter(unmet))))
        while len(row) < len(factors):
            choices = [(f, v) for f in factors if f not in row for v in factors[f]]
            best = max(choices, key=lambda c: (gain(row, c, unmet), -use[c]))
            row[best[0]] = best[1]
        for item in row.items():
            use[item] += 1
        for pair in pairs(row):
            unmet.pop(pair, None)
        result.append({f: row[f] for f in factors})
    return result


class Cells:
    """A test for each row of FACTORS; mixed into a TestCase that has run_cell(), where self.cell is
    the row. At the end it is told how many of them held."""

    FACTORS = {}
    held = 0

    def __init_subclass__(cls):
        super().__init_subclass__()
        cls.rows = rows(cls.FACTORS)
        for number, row in enumerate(cls.rows, 1):
            name = f"test_{number:02d}_" + "_".join(str(v) for v in row.values())
            setattr(cls, name, lambda self, row=row: self.hold(row))

    def hold(self, row):
        self.cell = row
        self.run_cell()
        type(self).held += 1

    def test_every_pair_of_values_meets_in_some_cell(self):
        met = set().union(*map(pairs, self.rows))
        self.assertEqual(met, set(all_pairs(self.FACTORS)))

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        print(f"  {cls.held} of {len(cls.rows)} cells held: {len(all_pairs(cls.FACTORS))} pairs of "
              f"{sum(map(len, cls.FACTORS.values()))} values", flush=True)
