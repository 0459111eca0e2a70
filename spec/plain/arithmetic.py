"""Rounding, traps and tables: sections 1 and 2 of docs/spec/engine.md."""

from decimal import Decimal, getcontext
from functools import cache


class Trap(Exception):
    """ENGINE-1.4"""


def rnd(x, s):
    assert 0 <= s <= 62
    return x if s == 0 else (x + (1 << (s - 1))) >> s


def signed(x, bits):
    if not -(1 << (bits - 1)) <= x < 1 << (bits - 1):
        raise Trap
    return x


def half_up(x):
    return int((x + Decimal("0.5")).to_integral_value(rounding="ROUND_FLOOR"))


def make_tables():
    getcontext().prec = 36
    two = Decimal(2).ln() / 2048
    exp2 = [half_up(32767 * (-two * i).exp()) for i in range(65536)]
    exp2[2048] = 16384
    upper = [half_up(65536 / (1 + (-Decimal(i) / 2048).exp())) for i in range(32769)]
    sig = [65536 - upper[32768 - i] for i in range(32768)] + upper[:32768]
    return exp2, cosines(), sig


def cosines():
    one = 1 << 128

    def arctan(x):
        power, total, n, sign = one // x, 0, 1, 1
        while power:
            total, power, n, sign = total + sign * (power // n), power // (x * x), n + 2, -sign
        return total

    turn = 8 * (4 * arctan(5) - arctan(239))

    def series(angle, term, n):
        total, square = term, angle * angle >> 128
        while term:
            term = -(term * square >> 128) // ((n + 1) * (n + 2))
            total, n = total + term, n + 2
            if abs(term) < 2:
                break
        return total

    def first(i):
        if i <= 8192:
            value = series(turn * i >> 16, one, 0)
        else:
            angle = turn * (16384 - i) >> 16
            value = series(angle, angle, 1)
        return (value * 16384 + one // 2) >> 128

    quarter = [first(i) for i in range(16385)]
    half = quarter + [-c for c in quarter[-2::-1]]
    return half + half[-2:0:-1]


@cache
def gel():
    """ENGINE-2.5, made where it is needed"""
    pi, power, places = Decimal(0), [Decimal(1) / 5, Decimal(1) / 239], (16, -4)
    for n in range(1, 60, 2):
        for side, times in enumerate(places):
            pi += times * power[side] / n * (1 if n % 4 == 1 else -1)
        power = [power[0] / 25, power[1] / 57121]
    root, upper = (8 / pi).sqrt(), []
    for i in range(32769):
        z = Decimal(i) / 2048
        y = root * (z + Decimal("0.044715") * z * z * z)
        upper.append(half_up(65536 / (1 + (-y).exp())))
    return [65536 - upper[32768 - i] for i in range(32768)] + upper[:32768]


EXP2, COS, SIG = make_tables()
