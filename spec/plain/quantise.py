"""Rows and gains as integers: ENGINE-15.2, ENGINE-15.3. Python's floats are IEEE doubles.

A quantised row is (q, m, (M, C), W). Where numpy is there a whole matrix is quantised at once, with the
same operations on the same doubles in the same order; `quantise_row` is the plain reading.
"""

import struct

from .bounds import head_norm_holds, norm_holds
from .fast import numpy
from .source import Refused


def nearest(x):
    return int((x + 0.5) // 1)


def least_scale(wanted, least, most):
    e = max((struct.unpack("<Q", struct.pack("<d", wanted))[0] >> 52) & 0x7FF, 1) - 1023
    c = min(15 - e, most)
    if c < 0:
        return None
    scaled_up = wanted * 2.0**c
    m = max(int(scaled_up) + (int(scaled_up) < scaled_up), 1 << 15)
    if m == 1 << 16:
        m, c = 1 << 15, c - 1
    return (m, c) if least <= c <= most and m < 1 << 16 else None


def quantise_group(w, a, scale, w4):
    lowest, highest, top = (-8, 7, 8) if w4 else (-127, 127, 127)
    n = min(max(nearest(max(map(abs, w)) / (scale * top)), 0), 64)
    best = None
    for m in range(max(n - 2, 1), min(max(n + 2, 1), 15) + 1):
        for signed_m in (m, -m) if w4 else (m,):
            step = signed_m * scale
            q = [min(nearest(min(max(x / step, lowest), highest)), highest) for x in w]
            error = 0.0
            for x, weight, one in zip(w, a, q):
                miss = x - one * step
                error += weight * (miss * miss)
            if best is None or error < best[0]:
                best = error, signed_m, q
    return best


def quantise_row(w, a, w4, least, most):
    group, top, best = (32, 8, None) if w4 else (64, 127, None)
    for stretch in (1.0, 0.9375, 0.875) if w4 else (1.0,):
        wanted = max(map(abs, w)) / (top * 15.0) * stretch
        while (scale := least_scale(wanted, least, most)) is not None:
            value = scale[0] * 2.0 ** -scale[1]
            parts = [
                quantise_group(w[at : at + group], a[at : at + group], value, w4)
                for at in range(0, len(w), group)
            ]
            weights = [m * q for _, m, part in parts for q in part]
            if sum(one * one for one in weights) < 1 << 33:
                error = 0.0
                for part in parts:
                    error += part[0]
                if best is None or error < best[0]:
                    q, m = [q for _, _, p in parts for q in p], [m for _, m, _ in parts]
                    best = error, q, m, scale, weights
                break
            wanted = value * 1.0625
    if best is None:
        raise Refused("a row has weights too large for op set 1")
    return best[1:]


def quantise_rows(rows, a, w4, least, most):
    """Rows of a matrix with importances a, all under the same exponents."""
    if numpy is not None:
        block = max(1, (1 << 20) // len(a))
        parts = [whole(rows[at : at + block], a, w4, least, most) for at in range(0, len(rows), block)]
        return [row for part in parts for row in part]
    return [quantise_row(row, a, w4, least, most) for row in rows]


def whole(rows, a, w4, least, most):
    """As quantise_row, for many rows."""
    group, top = (32, 8) if w4 else (64, 127)
    count, columns = rows.shape
    groups = -(-columns // group)
    # Zeros fill the last group: they are exact under any step and add 0.0 to an error.
    w, importance = numpy.zeros((count, groups * group)), numpy.zeros(groups * group)
    w[:, :columns], importance[:columns] = rows, a
    w, importance = w.reshape(count, groups, group), importance.reshape(groups, group)
    largest, best = abs(w).max((1, 2)), [None] * count
    for stretch in (1.0, 0.9375, 0.875) if w4 else (1.0,):
        wanted = {row: float(size) / (top * 15.0) * stretch for row, size in enumerate(largest)}
        while wanted:
            scales = {row: least_scale(value, least, most) for row, value in wanted.items()}
            scales = {row: scale for row, scale in scales.items() if scale is not None}
            active = list(scales)
            value = numpy.array([m * 2.0**-c for m, c in scales.values()])
            if not active:
                break
            q, m, errors = groups_at(w[active], importance, value, w4)
            weights = (q * m[:, :, None]).reshape(len(active), -1)[:, :columns]
            squares, wanted = (weights * weights).sum(1), {}
            for at, row in enumerate(active):
                if squares[at] >= 1 << 33:
                    wanted[row] = float(value[at]) * 1.0625
                elif best[row] is None or errors[at] < best[row][0]:
                    flat = q[at].reshape(-1)[:columns].tolist()
                    best[row] = errors[at], flat, m[at].tolist(), scales[row], weights[at]
    if None in best:
        raise Refused("a row has weights too large for op set 1")
    return [row[1:] for row in best]


def groups_at(w, a, scale, w4):
    lowest, highest, top = (-8, 7, 8) if w4 else (-127, 127, 127)
    scale = scale[:, None]
    n = numpy.clip(numpy.floor(abs(w).max(2) / (scale * top) + 0.5), 0, 64).astype("i8")
    first, last = numpy.maximum(n - 2, 1), numpy.minimum(numpy.maximum(n + 2, 1), 15)
    best = numpy.full(n.shape, numpy.inf)
    best_q, best_m = numpy.zeros(w.shape, "i8"), numpy.zeros(n.shape, "i8")
    for further in range(5):
        for sign in (1, -1) if w4 else (1,):
            m = (first + further) * sign
            step = (m * scale)[:, :, None]
            q = numpy.floor(numpy.clip(w / step, lowest, highest) + 0.5)
            q = numpy.minimum(q, highest)
            miss = w - q * step
            terms, error = a * (miss * miss), numpy.zeros(n.shape)
            for at in range(w.shape[2]):
                error = error + terms[:, :, at]
            better = (error < best) & (first + further <= last)
            best = numpy.where(better, error, best)
            best_q[better], best_m[better] = q[better].astype("i8"), m[better]
    total = numpy.zeros(len(w))
    for at in range(n.shape[1]):
        total = total + best[:, at]
    return best_q, best_m, total


def quantise_gain(gain):
    """ENGINE-15.3"""
    g, ge = gain_integers(gain)
    fv = next((fv for fv in range(22, -1, -1) if norm_holds(g, ge, fv)), None)
    if fv is None:
        raise Refused("a norm has no scale")
    return g, ge, fv, [x * x for x in gain]


def quantise_head_gain(gain):
    """ENGINE-15.10"""
    g, ge = gain_integers(gain)
    fv = next((fv for fv in range(27, -1, -1) if head_norm_holds(g, ge, fv)), None)
    if fv is None:
        raise Refused("a norm of heads has no scale")
    return g, ge, fv


def gain_integers(gain):
    largest = max(map(abs, gain))
    ge = next((b for b in range(24, -1, -1) if largest * 2.0**b <= 32766.0), None)
    if ge is None:
        raise Refused("a gain is too large for 16 bits")
    return [nearest(x * 2.0**ge) for x in gain], ge


def sections_of(rows, w4):
    q, m = b"", b""
    for row in rows:
        if w4:
            halves = [n & 15 for n in row[0]] + [0] * (len(row[0]) % 2)
            q += bytes(a | b << 4 for a, b in zip(halves[::2], halves[1::2]))
        else:
            q += struct.pack(f"<{len(row[0])}b", *row[0])
        m += struct.pack(f"<{len(row[1])}b", *row[1])
    multipliers = struct.pack(f"<{len(rows)}H", *(row[2][0] for row in rows))
    return [q, m, multipliers, bytes(row[2][1] for row in rows)]
