# SPDX-License-Identifier: Apache-2.0
"""The same load with an archiver beside it and alone, and what was refused in either.

Goal:   the application sees no error that it would not see alone.
Method: phases take turns, so that whatever else the machine does is spread over both. Where alone
        nothing is refused, nothing may be refused beside the archiver. Where SQLite refuses some
        (a deferred transaction that would have to write on what another has changed meanwhile), the
        share may not be larger: if it were the same, so many would fall to the archiver's side less
        than once in a million runs.
"""
import collections
import math

CHANCE = 1e-6


def at_least(n, k, share):
    """The chance of k or more of n, each with chance `share`."""
    return sum(math.comb(n, i) * share**i * (1 - share)**(n - i) for i in range(k, n + 1))


class Sides:
    """What was asked for and what was refused, by side. `refuses`: SQLite does so by itself."""

    def __init__(self, name, refuses):
        self.name, self.refuses = name, refuses
        self.done = collections.Counter()
        self.refused = collections.Counter()

    def add(self, side, done, refused):
        self.done[side] += done
        self.refused[side] += refused

    def __str__(self):
        return f"{self.name}: " + ", ".join(
            f"{self.refused[side]:,} refused {side} of {self.done[side]:,}"
            for side in ("alone", "attached"))

    def check(self):
        alone, attached = self.refused["alone"], self.refused["attached"]
        if alone + attached == 0:
            return
        share = self.done["attached"] / (self.done["alone"] + self.done["attached"])
        if ((alone == 0 and not self.refuses)
                or at_least(alone + attached, attached, share) < CHANCE):
            raise AssertionError(f"the application sees errors on our account: {self}")
