"""The operators between the matrices: sections 4 and 6 to 8 of docs/spec/engine.md."""

from math import isqrt
from operator import mul

from .arithmetic import COS, EXP2, SIG, rnd, signed


def shorten(v):
    """ENGINE-4.1"""
    t = max(0, max(map(abs, v)).bit_length() - 15)
    while True:
        x = v if t == 0 else [rnd(rnd(n, t - 1), 1) for n in v]
        if sum(n * n for n in x) < 1 << 29:
            return list(x), t
        t += 1


def root(x, eps):
    """ENGINE-6.1, ENGINE-6.2"""
    t0 = max(0, max(map(abs, x)).bit_length() - 20)
    total = sum(rnd(n, t0) ** 2 for n in x) + (eps >> (2 * t0))
    return t0, *scale_of(total, len(x))


def scale_of(total, d):
    """ENGINE-6.2: r and k + u/2 of a sum of d squares"""
    u = max(0, total.bit_length() - 28)
    u += u & 1
    short, k = max(total >> u, 1), 0
    while isqrt((d << (2 * k)) // short) < 1 << 15:
        k += 1
    return isqrt((d << (2 * k)) // short), k + u // 2


def norm(x, gain, ge, fv, eps):
    """ENGINE-6.3"""
    t0, r, bits = root(x, eps)
    return [rnd(rnd(n, t0) * r * g, bits + ge - fv) for n, g in zip(x, gain)]


def angle(position, frequency):
    """ENGINE-7.1"""
    turns = position * frequency % (1 << 64)
    index = ((turns + (1 << 47)) >> 48) % 65536
    return COS[index], COS[(index - 16384) % 65536]


def rotate(a, b, cos, sin):
    """ENGINE-7.2"""
    signed(a, 16), signed(b, 16)
    return signed(rnd(a * cos - b * sin, 14), 16), signed(rnd(b * cos + a * sin, 14), 16)


def attend(q, keys, values, a_m, a_s, align, score_cap=0):
    """ENGINE-7.3 to ENGINE-7.6"""
    z = [cap(rnd(sum(map(mul, q, key)) * a_m, a_s), score_cap) for key in keys]
    largest = max(z)
    p = [EXP2[min(largest - one, 65535)] for one in z]
    total = sum(p)
    e = total.bit_length()
    r = (1 << (e + 15)) // total
    sums = [sum(map(mul, p, channel)) for channel in zip(*values)]
    return [rnd(s * r, e + 11 + align) for s in sums]


def gate(g, u, fg, table=SIG):
    """ENGINE-8.2, and with GEL for the table ENGINE-8.3"""
    i = min(max(rnd(g, fg - 11), -32768), 32767)
    return rnd(g * table[i + 32768], 16) * u


def cap(x, c):
    """ENGINE-9.4; no cap is 0"""
    if c == 0:
        return x
    y, r = min(max(x, -8 * c), 8 * c), ((1 << 41) + c) // (2 * c)
    i = min(max(rnd(y * r, 20), -(1 << 23)), (1 << 23) - 1)
    j, f = i >> 8, i & 255
    e = SIG[j + 32768] * (256 - f) + SIG[min(j + 1, 32767) + 32768] * f
    return rnd((2 * e - (1 << 24)) * c, 24)
