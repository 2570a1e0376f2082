"""How far counts of chance events, of which each is as likely as not, are from what is expected."""

import math

import numpy as np


def z(successes, draws):
    """By how many standard deviations so many successes of so many draws, numbers or arrays, are off."""
    return (successes - draws / 2) / np.sqrt(draws / 4)


def distance_from_normal(successes, draws):
    """The largest distance of the distribution of the counts' z values from the normal one, times the root of their number.

    By the test of Kolmogorov and Smirnov it is above 1.95 once in a thousand times. Counts are whole numbers, and are first
    spread evenly over their steps.
    """
    spread = successes + np.random.default_rng(1).random(successes.size) - 0.5
    normal = np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in np.sort(z(spread, draws)).tolist()])
    ranks = np.arange(successes.size + 1) / successes.size
    return max((ranks[1:] - normal).max(), (normal - ranks[:-1]).max()) * math.sqrt(successes.size)
