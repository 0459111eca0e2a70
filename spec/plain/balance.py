"""Powers of two that move out of channels into the columns that read them: ENGINE-15.11."""

import struct

from .fast import numpy


def exponent(x):
    """The binary exponent of a magnitude, -1022 for what is below normal numbers."""
    return max((struct.unpack("<Q", struct.pack("<d", x))[0] >> 52) & 0x7FF, 1) - 1023


def columns_of(rows):
    """Of each column the largest magnitude against the largest of its row."""
    if numpy is not None:
        sizes = abs(rows)
        largest = sizes.max(1)
        return (sizes[largest > 0] / largest[largest > 0, None]).max(0, initial=0.0).tolist()
    out = [0.0] * len(rows[0])
    for row in rows:
        largest = max(map(abs, row))
        if largest > 0.0:
            out = [max(c, abs(w) / largest) for c, w in zip(out, row)]
    return out


def rows_of(rows, gains):
    """Of each row the largest magnitude of a weight times its gain."""
    if numpy is not None:
        return abs(rows * numpy.array(gains)).max(1).tolist()
    return [max(abs(w * g) for w, g in zip(row, gains)) for row in rows]


def doublings(x, most):
    """How often x can be doubled and be at most that; 0 or less where it is more already."""
    k = exponent(most) - exponent(x)
    return k - 1 if k > 0 and x * 2.0 ** min(k, 1023) > most else k


def room(columns, group):
    """By how many bits each column may grow within its group."""
    parts = [columns[at : at + group] for at in range(0, len(columns), group)]
    return [doublings(c, max(part)) for part in parts for c in part]


def bits_to_move(sizes, room):
    total = 0.0
    for size in sizes:
        total += abs(size)
    mean = total / len(sizes)
    return [min(max(min(doublings(mean, abs(s)), r), 0), 15) for s, r in zip(sizes, room)]


def shift(rows, out=(), into=()):
    """Rows without the bits that move out of them, and with those that move into their columns."""
    if numpy is not None:
        for bits, side in ((out, -1), (into, 1)):
            if len(bits):
                factors = numpy.array([2.0 ** (side * n) for n in bits])
                rows = rows * (factors[:, None] if side < 0 else factors)
        return rows
    into = [2.0**n for n in into] or [1.0] * len(rows[0])
    out = [2.0**-n for n in out] or [1.0] * len(rows)
    return [[w * c * r for w, c in zip(row, into)] for row, r in zip(rows, out)]
