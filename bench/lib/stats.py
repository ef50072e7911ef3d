# SPDX-License-Identifier: Apache-2.0
"""Ratios of pairs: their median, an interval for it, and what may be said of a limit.

A pair is measured back to back, so what the machine does at that time strikes both. The interval is
made of order statistics: for n independent pairs the k-th smallest and the k-th largest ratio
enclose the true median with a probability that the binomial distribution gives exactly, whatever
the distribution of the ratios is. With fewer than six pairs no interval reaches 95 %, and nothing
is claimed.

Whether the machine is quiet enough is seen in pairs of the same thing: if the interval of those
goes further from 1 than the limit, a limit that is kept or broken says nothing: NOT MEASURABLE.
"""
import math
import statistics

CONFIDENCE = 0.95
PASS, FAIL, NOT_MEASURABLE = "PASS", "FAIL", "NOT MEASURABLE"


def coverage(n, k):
    """How sure the median lies between the k-th smallest and the k-th largest of n (k from 1)."""
    return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2 ** n


class Ratio:
    """The median of some ratios, and the interval of it, if there are enough of them."""

    def __init__(self, ratios):
        self.ratios = sorted(ratios)
        self.median = statistics.median(self.ratios)
        n = len(self.ratios)
        k = max((k for k in range(1, n // 2 + 1) if coverage(n, k) >= CONFIDENCE), default=None)
        self.sure = k is not None
        self.low = self.ratios[k - 1] if self.sure else self.ratios[0]
        self.high = self.ratios[n - k] if self.sure else self.ratios[-1]

    def __str__(self):
        way = "" if self.sure else ", too few pairs"
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}{way}]"

    def noise(self):
        """As a factor of 1 or more: how far the interval of what should be 1 goes from it."""
        return max(self.high, 1 / self.low)


def ratio(over, under):
    """Of measurements in pairs."""
    return Ratio([a / b for a, b in zip(over, under, strict=True)])


def judge(value, same, limit, at_most):
    """PASS if the whole interval of a ratio is at most, or at least, `limit`, FAIL if not; `same`
    is the ratio of pairs of the same thing."""
    asked = max(limit, 1 / limit)
    if not value.sure or not same.sure or same.noise() > asked:
        return NOT_MEASURABLE
    kept = value.high <= limit if at_most else value.low >= limit
    return PASS if kept else FAIL
