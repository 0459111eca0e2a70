"""All positions of a sequence at once, where numpy is there. What it says is what `sequence` says, bit for
bit; `spec/vectors.py` compares the two.

Products of matrices go through doubles: every operand and every partial sum is an integer below 2^53
(weights below 2^11 times activations below 2^15, scores below 2^38, sums of values below 2^45), and such
sums are exact in any order. All else is in 64-bit integers, which ENGINE's bounds never leave.
"""

from .arithmetic import COS, EXP2, SIG, gel
from .fast import numpy
from .model import AFTER
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


def wide_norm(x, gain, ge, fv, eps):
    """ENGINE-6.1 to 6.3, a row a position"""
    t0 = numpy.maximum(bit_lengths(abs(x).max(1)) - 20, 0)
    xs = round_off(x, t0[:, None])
    total = (xs * xs).sum(1) + (eps >> (2 * t0))
    found = [scale_of(int(one), x.shape[1]) for one in total]
    r, bits = (numpy.array(part, "i8")[:, None] for part in zip(*found))
    return round_off(xs * r * numpy.array(gain, "i8"), bits + ge - fv)


def cap(x, c):
    """ENGINE-9.4; no cap is 0"""
    if c == 0:
        return x
    y, r = numpy.clip(x, -8 * c, 8 * c), ((1 << 41) + c) // (2 * c)
    i = numpy.clip(round_off(y * r, 20), -(1 << 23), (1 << 23) - 1)
    j, f = i >> 8, i & 255
    e = SIG[j + 32768] * (256 - f) + SIG[numpy.minimum(j + 1, 32767) + 32768] * f
    return round_off((2 * e - (1 << 24)) * c, 24)


class Batch:
    """What `model` computes for `tokens`; `alive` positions, the first that traps not among them."""

    def __init__(self, model, tokens):
        self.model, h = model, model.header
        embedding = model.tensors["embedding"]
        multiplier = numpy.array(embedding.multiplier, "i8")[tokens][:, None]
        shift = numpy.array(embedding.exponent, "i8")[tokens][:, None] - h.fx
        places = range(len(tokens))
        index = lambda fs: [[(pos * f + (1 << 47) >> 48) % 65536 for f in fs] for pos in places]
        self.turns = numpy.array(index(h.f))
        self.window_turns = numpy.array(index(h.window_f)) if h.w else None
        self.gate = numpy.array(gel(), "i8") if h.gelu else SIG
        self.x = round_off(embedding.rows[tokens].astype("i8") * multiplier, shift)
        for layer, scales in enumerate(h.scales):
            tensor = lambda name: model.tensors[f"layers.{layer}.{name}"]
            self.grow(self.after(self.attention(tensor, scales, h.windows[layer]), tensor, scales, 0))
            self.grow(self.after(self.feed_forward(tensor, scales), tensor, scales, 1))

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
        """ENGINE-6.1 to 6.3 and the L2 rule"""
        return shorten(wide_norm(self.x, gain, ge, fv, self.model.header.eps))

    def after(self, y, tensor, scales, half):
        """ENGINE-6.5"""
        h = self.model.header
        return wide_norm(y, tensor(AFTER[half]), scales["after"][half], h.fx, h.eps) if h.after else y

    def linear(self, matrix, short, fractions, out):
        """ENGINE-3.6"""
        x, t = short
        acc = product(x, doubles(matrix))
        scale = numpy.array(matrix.exponent, "i8") + fractions - out
        y, shift = acc * numpy.array(matrix.multiplier, "i8"), scale - t[:, None]
        if matrix.bias is None:
            return self.fits(round_off(y, shift), 32)
        return self.fits(round_off(round_off(y, shift - 8) + numpy.array(matrix.bias, "i8"), 8), 32)

    def head_norms(self, x, name, bits, tensor, scales):
        """ENGINE-6.6, heads side by side"""
        h = self.model.header
        if h.eh is None:
            return x
        parts = []
        for head, fine in enumerate(scales[bits]):
            part, eps = x[:, head * h.dh : (head + 1) * h.dh], h.eh >> (2 * (h.fx - fine))
            parts.append(wide_norm(part, tensor(name), *scales[name], eps))
        return numpy.concatenate(parts, 1)

    def turn(self, row, turns):
        """ENGINE-7.2, heads side by side: positions, heads, channels"""
        h, row = self.model.header, self.fits(row, 16)
        index = turns[: len(row), None]
        cos, sin = COS[index], COS[(index - 16384) % 65536]
        heads = row.reshape(len(row), -1, h.dh)
        a, b = heads[:, :, : h.dh // 2], heads[:, :, h.dh // 2 :]
        out = round_off(a * cos - b * sin, 14), round_off(b * cos + a * sin, 14)
        return self.fits(numpy.concatenate(out, 2), 16)

    def attention(self, tensor, scales, windowed):
        h, fv = self.model.header, scales["input"][1]
        n = self.norm(tensor("input_norm"), *scales["input"])
        each = lambda bits: numpy.repeat(numpy.array(scales[bits], "i8"), h.dh)
        rows = [self.linear(tensor(name), n, fv, each(bits)) for name, bits in HEADS]
        alive = min(map(len, rows))
        turns, sides = self.window_turns if windowed else self.turns, []
        for row, (name, bits) in zip(rows, HEADS[:2]):
            row = self.head_norms(row[:alive], f"{name}_norm", bits, tensor, scales)
            sides.append(self.turn(row, turns))
        queries, keys = sides
        fqs, fks = h.normed(scales)
        values = rows[2].reshape(len(rows[2]), -1, h.dh)
        values = self.keep(abs(values) < 1 << 12, values)
        alive = min(len(queries), len(keys), len(values))
        self.x = self.x[:alive]
        coarsest, out = min(scales["fo"]), numpy.empty((alive, h.heads, h.dh), "i8")
        for head in range(h.heads):
            kv = head // (h.heads // h.kv)
            a_s = h.a_0 + fqs[head] + fks[kv]
            sides = queries[:alive, head], keys[:alive, kv], values[:alive, kv]
            width = h.w if windowed else alive
            out[:, head] = self.attend(*sides, a_s, scales["fo"][kv] - coarsest, width)
        short = shorten(out.reshape(alive, -1))
        return self.linear(tensor("output"), short, coarsest + 4, h.fx)

    def attend(self, q, k, v, a_s, align, width):
        """ENGINE-7.3 to ENGINE-7.6, 7.9 and 7.10"""
        out = []
        for first in range(0, len(q), ROWS):
            part = q[first : first + ROWS]
            seen = first + len(part)
            z = round_off(product(part, k[:seen].T) * self.model.header.a_m, a_s)
            z = cap(z, self.model.header.score_cap)
            back = numpy.arange(first, seen)[:, None] - numpy.arange(seen)
            hidden = (back < 0) | (back >= width)
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
        hidden = round_off(g * self.gate[i + 32768], 16) * u
        return self.linear(tensor("down"), shorten(hidden), fg + fu, self.model.header.fx)

    def logits(self, first, end):
        """Of the positions from `first` to before `end`; fewer where one of them traps."""
        h, tensors, kept = self.model.header, self.model.tensors, self.x
        self.x = kept[first:end]
        head = tensors["embedding"] if h.tied else tensors["head"]
        try:
            n = self.norm(tensors["final_norm"], *h.final)
            return cap(self.linear(head, n, h.final[1], 12), h.logit_cap)
        except Ended:
            return self.x
        finally:
            self.x = kept


HEADS = (("query", "fq"), ("key", "fk"), ("value", "fo"))
