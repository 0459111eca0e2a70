"""What no input can exceed, from weights and gains alone: ENGINE-4.2, 6.4, 7.7 and 8.1."""

from math import isqrt

from .fast import numpy


def above(x):
    r = isqrt(x)
    return r if r * r == x else r + 1


def tmax(b, n):
    """ENGINE-4.2"""
    t = next((t for t in range(b) if n * (4 * (1 << (b - t)) + 3) ** 2 < 1 << 33), b)
    return max(t, b - 14)


def norm_holds(gain, ge, fv, limit=46):
    """ENGINE-6.4; with 60 for the limit and Fx for fv the second half of ENGINE-6.5"""
    d, largest = len(gain), max(map(abs, gain))
    fine = d * largest**2 << (2 * fv) < 1 << (limit + 2 * ge)
    return shifts_hold(d, ge, fv) and fine


def shifts_hold(d, ge, fv):
    k0 = next(k for k in range(31) if d << (2 * k) >= 1 << 30)
    return k0 + ge >= fv and 43 + ge - min(fv, ge) <= 62


def head_norm_holds(gain, ge, fv):
    """ENGINE-6.6"""
    length = (above(len(gain) * max(map(abs, gain)) ** 2 << 32) << fv >> ge) + 1 + (1 << 16)
    return shifts_hold(len(gain), ge, fv) and length + (length >> 12) + (1 << 17) < 1 << 31


def row_sums(weights, gain):
    """The sums of (W gain)^2 and of |W|."""
    if numpy is None or isinstance(weights, list):
        return sum((w * g) ** 2 for w, g in zip(weights, gain)), sum(map(abs, weights))
    weights = numpy.asarray(weights, "i8")
    # A product is below 2^26: 1024 squares fit in 63 bits.
    squares = (weights * numpy.asarray(gain, "i8")) ** 2
    parts = (squares[at : at + 1024].sum() for at in range(0, len(squares), 1024))
    return sum(map(int, parts)), int(abs(weights).sum())


class Reach:
    """How far a row behind a norm can reach, before its output's fraction bits are chosen."""

    def __init__(self, weights, multiplier, exponent, gain, ge, fv, bias=None):
        squares, sizes = row_sums(weights, gain)
        main = (above(squares) * above(len(gain) << 32) << fv >> ge) + 1
        self.top = (main + (main >> 20) + 1 + 385 * 65536 * sizes) * multiplier
        self.shift, self.bias = exponent + fv, bias

    def __call__(self, bits):
        s = self.shift - bits
        if not (9 if self.bias is None else 17) <= s <= 62:
            return None
        found = (self.top >> s) + 1 + 65536 + (abs(self.bias or 0) << 8)
        return found if found < 1 << 50 else None


def below(bound):
    return lambda rows, bits: all((far := row(bits)) is not None and far < bound for row in rows)


VALUES, GATES, NORMED = below(1 << 28), below(1 << 38), below(1 << 46)


def pairs(rows, bits):
    """A head's rows, each turned with the one half a head further."""
    found = [row(bits) for row in rows]
    half = len(found) // 2
    if None in found:
        return False
    lengths = [above(a * a + b * b) for a, b in zip(found[:half], found[half:])]
    return all(n + (n >> 12) + (1 << 17) < 1 << 31 for n in lengths)


def finest(rows, fits, most):
    """The most fraction bits for which it fits, or none."""
    return next((bits for bits in range(most, -1, -1) if fits(rows, bits)), None)
