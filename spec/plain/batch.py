"""All positions of a sequence at once, where numpy is there. What it says is what `sequence` says, bit for
bit; `spec/vectors.py` compares the two.

Products of matrices go through doubles: every operand and every partial sum is an integer below 2^53
(weights below 2^11 times activations below 2^15, scores below 2^38, sums of values below 2^45), and such
sums are exact in any order. All else is in 64-bit integers, which ENGINE's bounds never leave.
"""

from .arithmetic import COS, EXP2, SIG
from .fast import numpy
from .operators import scale_of

# Rows of scores at a time: a bound on memory.
ROWS = 256
if numpy is not None:
    EXP2, COS, SIG = (numpy.array(table, "i8") for table in (EXP2, COS, SIG))


class Ended(Exception):
    """No position is left before the first that traps."""


def round_off(x, s):
    """ENGINE-1.2, for shifts that differ"""
    s = numpy.asarray(s, "i8")
    half = numpy.where(s > 0, 1 << numpy.maximum(s - 1, 0), 0)
    return (x + half) >> s


def bit_lengths(x):
    """Of numbers below 2^53."""
    return numpy.frexp(x.astype("f8"))[1].astype("i8")


def shorten(v):
    """ENGINE-4.1, a row a position"""
    t = numpy.maximum(bit_lengths(abs(v).max(1)) - 15, 0)
    x = numpy.empty_like(v)
    rows = numpy.arange(len(v))
    while len(rows):
        part, shift = v[rows], t[rows][:, None]
        short = round_off(round_off(part, numpy.maximum(shift - 1, 0)), numpy.minimum(shift, 1))
        x[rows] = short
        rows = rows[(short * short).sum(1) >= 1 << 29]
        t[rows] += 1
    return x, t


def product(a, b):
    return (a.astype("f8") @ b.astype("f8", copy=False)).astype("i8")


def doubles(matrix):
    """The weights, inputs first; kept where they are few."""
    if matrix.lanes is not None:
        return matrix.lanes
    weights = numpy.ascontiguousarray(matrix.rows.T).astype("f8")
    if weights.size <= 1 << 22:
        matrix.lanes = weights
    return weights


class Batch:
    """What `model` computes for `tokens`; `alive` positions, the first that traps not among them."""

    def __init__(self, model, tokens):
        self.model, h = model, model.header
        embedding = model.tensors["embedding"]
        multiplier = numpy.array(embedding.multiplier, "i8")[tokens][:, None]
        shift = numpy.array(embedding.exponent, "i8")[tokens][:, None] - h.fx
        self.turns = numpy.array(
            [[(pos * f + (1 << 47) >> 48) % 65536 for f in h.f] for pos in range(len(tokens))]
        )
        self.x = round_off(embedding.rows[tokens].astype("i8") * multiplier, shift)
        for layer, scales in enumerate(h.scales):
            tensor = lambda name: model.tensors[f"layers.{layer}.{name}"]
            self.grow(self.attention(tensor, scales))
            self.grow(self.feed_forward(tensor, scales))

    @property
    def alive(self):
        return len(self.x)

    def keep(self, fine, *more):
        """Drops the first position that is not fine and all behind it; of `more` as well."""
        bad = numpy.flatnonzero(~fine.reshape(len(fine), -1).all(1))
        alive = int(bad[0]) if len(bad) else len(fine)
        self.x = self.x[:alive]
        if alive == 0:
            raise Ended
        kept = [one[:alive] for one in more]
        return kept if len(kept) > 1 else kept[0]

    def fits(self, y, bits):
        return self.keep((y >= -(1 << (bits - 1))) & (y < 1 << (bits - 1)), y)

    def grow(self, y):
        self.x = self.x[: len(y)]
        self.x = self.fits(self.x + y, 32)

    def norm(self, gain, ge, fv):
        """Section 6, and the L2 rule"""
        h, x = self.model.header, self.x
        t0 = numpy.maximum(bit_lengths(abs(x).max(1)) - 20, 0)
        xs = round_off(x, t0[:, None])
        total = (xs * xs).sum(1) + (h.eps >> (2 * t0))
        found = [scale_of(int(one), h.hidden) for one in total]
        r, bits = (numpy.array(part, "i8")[:, None] for part in zip(*found))
        return shorten(round_off(xs * r * numpy.array(gain, "i8"), bits + ge - fv))

    def linear(self, matrix, short, fractions, out):
        """ENGINE-3.6"""
        x, t = short
        acc = product(x, doubles(matrix))
        scale = numpy.array(matrix.exponent, "i8") + fractions - out
        y = round_off(acc * numpy.array(matrix.multiplier, "i8"), scale - t[:, None])
        return self.fits(y, 32)

    def turn(self, row):
        """ENGINE-7.2, heads side by side: positions, heads, channels"""
        h, row = self.model.header, self.fits(row, 16)
        index = self.turns[: len(row), None]
        cos, sin = COS[index], COS[(index - 16384) % 65536]
        heads = row.reshape(len(row), -1, h.dh)
        a, b = heads[:, :, : h.dh // 2], heads[:, :, h.dh // 2 :]
        out = round_off(a * cos - b * sin, 14), round_off(b * cos + a * sin, 14)
        return self.fits(numpy.concatenate(out, 2), 16)

    def attention(self, tensor, scales):
        h, fv = self.model.header, scales["input"][1]
        n = self.norm(tensor("input_norm"), *scales["input"])
        each = lambda bits: numpy.repeat(numpy.array(scales[bits], "i8"), h.dh)
        rows = [self.linear(tensor(name), n, fv, each(bits)) for name, bits in HEADS]
        alive = min(map(len, rows))
        queries, keys = self.turn(rows[0][:alive]), self.turn(rows[1][:alive])
        values = rows[2].reshape(len(rows[2]), -1, h.dh)
        values = self.keep(abs(values) < 1 << 12, values)
        alive = min(len(queries), len(keys), len(values))
        self.x = self.x[:alive]
        coarsest, out = min(scales["fo"]), numpy.empty((alive, h.heads, h.dh), "i8")
        for head in range(h.heads):
            kv = head // (h.heads // h.kv)
            a_s = h.a_0 + scales["fq"][head] + scales["fk"][kv]
            sides = queries[:alive, head], keys[:alive, kv], values[:alive, kv]
            out[:, head] = self.attend(*sides, a_s, scales["fo"][kv] - coarsest)
        short = shorten(out.reshape(alive, -1))
        return self.linear(tensor("output"), short, coarsest + 4, h.fx)

    def attend(self, q, k, v, a_s, align):
        """ENGINE-7.3 to ENGINE-7.6"""
        out = []
        for first in range(0, len(q), ROWS):
            part = q[first : first + ROWS]
            seen = first + len(part)
            z = round_off(product(part, k[:seen].T) * self.model.header.a_m, a_s)
            hidden = numpy.arange(seen) > numpy.arange(first, seen)[:, None]
            largest = numpy.where(hidden, -(1 << 62), z).max(1)[:, None]
            p = EXP2[numpy.clip(largest - z, 0, 65535)]
            p[hidden] = 0
            total = p.sum(1)
            e = bit_lengths(total)
            r = ((1 << (e + 15)) // total)[:, None]
            out.append(round_off(product(p, v[:seen]) * r, e[:, None] + 11 + align))
        return numpy.concatenate(out)

    def feed_forward(self, tensor, scales):
        n = self.norm(tensor("post_norm"), *scales["post"])
        fv, fg, fu = scales["post"][1], scales["fg"], scales["fu"]
        g, u = self.linear(tensor("gate"), n, fv, fg), self.linear(tensor("up"), n, fv, fu)
        alive = min(len(g), len(u))
        g, u = g[:alive], u[:alive]
        g, u = self.keep((abs(g) < 1 << 22) & (abs(u) < 1 << 22), g, u)
        i = numpy.clip(round_off(g, fg - 11), -32768, 32767)
        hidden = round_off(g * SIG[i + 32768], 16) * u
        return self.linear(tensor("down"), shorten(hidden), fg + fu, self.model.header.fx)

    def logits(self, first, end):
        """Of the positions from `first` to before `end`; fewer where one of them traps."""
        h, tensors, kept = self.model.header, self.model.tensors, self.x
        self.x = kept[first:end]
        head = tensors["embedding"] if h.tied else tensors["head"]
        try:
            n = self.norm(tensors["final_norm"], *h.final)
            return self.linear(head, n, h.final[1], 12)
        except Ended:
            return self.x
        finally:
            self.x = kept


HEADS = (("query", "fq"), ("key", "fk"), ("value", "fo"))
