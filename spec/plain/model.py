"""The model file and its linear layers: sections 3, 10 and 11 of docs/spec/engine.md.

Whoever opens a file proves it: digests, bounds of the header, certificates, static scales (ENGINE-10.5).
"""

import struct

from .arithmetic import rnd, signed
from .blake3 import digest
from .bounds import GATES, NORMED, VALUES, Reach, head_norm_holds, norm_holds, pairs, tmax
from .fast import numpy
from .operators import shorten
from .source import want


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        want(count <= len(self.data) - self.at, f"{count} more bytes wanted, the file ends")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def counted(self, what, most):
        return self.take(within(f"length of the {what}", self.number(4), 0, most))

    def align(self):
        want(not any(self.take(-self.at % 64)), "padding that is not zero")


def within(what, value, least, most):
    want(least <= value <= most, f"{what} is {value}, wanted {least} to {most}")
    return value


def decodes(data):
    try:
        return bytes(data).decode("utf-8") is not None
    except UnicodeDecodeError:
        return False


class Header:
    def __init__(self, data):
        self.bytes, read = data, Reader(data)
        u8, u32 = lambda: read.number(1), lambda: read.number(4)
        want(read.number(2) == 1, "another version of the header")
        want((op_set := read.number(2)) == 1, f"op set {op_set}, only 1 is known here")
        profile, family = u8(), u8()
        want(profile in (4, 8), f"profile {profile}")
        want(family in (1, 2), f"family {family}")
        self.op_set, self.w4 = op_set, profile == 4
        self.name = read.counted("name", 64)
        want(decodes(self.name), "the name is not UTF-8")
        self.hidden, self.layers, self.heads, self.kv = u32(), u32(), u32(), u32()
        self.dh, self.inner, self.vocabulary, self.context = u32(), u32(), u32(), u32()
        self.tied = u8()
        self.relative(read, family == 2)
        self.fx, self.eps = u8(), read.number(8)
        self.check_shape()
        self.f = [read.number(8) for _ in range(self.dh // 2)]
        self.a_m, self.a_0 = read.number(2), u8()
        self.scales = [
            {
                "input": (u8(), u8()),
                "fq": [u8() for _ in range(self.heads)],
                "fk": [u8() for _ in range(self.kv)],
                "fo": [u8() for _ in range(self.kv)],
                "post": (u8(), u8()),
                "fg": u8(),
                "fu": u8(),
                "query_norm": (u8(), u8()) if self.eh is not None else None,
                "key_norm": (u8(), u8()) if self.eh is not None else None,
                "after": (u8(), u8()) if self.after else None,
            }
            for _ in range(self.layers)
        ]
        self.final = (u8(), u8())
        self.ends = [u32() for _ in range(within("end-of-text tokens", u32(), 0, 16))]
        want(read.at == len(data), "bytes after the header")
        self.check_scales()

    def relative(self, read, differs):
        """ENGINE-10.6"""
        whether = lambda: differs and within("a flag", read.number(1), 0, 1) == 1
        number = lambda size: read.number(size) if differs else 0
        self.biases = whether()
        self.eh = within("eh", number(8), 0, (1 << 54) - 1) if whether() else None
        self.after = whether()
        activation = within("activation", number(1), 1, 2) if differs else 1
        self.gelu = activation == 2
        self.score_cap, self.logit_cap, self.w = number(4), number(4), number(4)
        for cap in (self.score_cap, self.logit_cap):
            want(cap == 0 or 1 << 8 <= cap < 1 << 24, f"a cap of {cap}")
        within("window", self.w, 0, self.context)
        within("head_size", self.dh, 2, 256)
        within("layers", self.layers, 1, 512)
        self.window_f = [read.number(8) for _ in range(self.dh // 2 if self.w else 0)]
        self.windows = [self.w > 0 and whether() for _ in range(self.layers)]
        want(self.w == 0 or any(self.windows), "a window that no layer has")
        same = not (self.biases or self.after or self.gelu or self.w)
        same = same and self.eh is None and not self.score_cap and not self.logit_cap
        want(not (differs and same), "a relative of Llama without a difference")

    def normed(self, scales):
        """Fraction bits of queries and of keys as they turn: ENGINE-7.4"""
        if self.eh is None:
            return scales["fq"], scales["fk"]
        return [scales["query_norm"][1]] * self.heads, [scales["key_norm"][1]] * self.kv

    def check_shape(self):
        """ENGINE-10.2, before anything is read whose length it decides"""
        for name, value, least, most in (
            ("hidden", self.hidden, 1, 1 << 14),
            ("layers", self.layers, 1, 512),
            ("heads", self.heads, 1, 1 << 14),
            ("heads dh", self.heads * self.dh, 1, 1 << 14),
            ("kv_heads", self.kv, 1, self.heads),
            ("head_size", self.dh, 2, 256),
            ("inner", self.inner, 1, 1 << 17),
            ("vocabulary", self.vocabulary, 1, 1 << 20),
            ("context", self.context, 1, 1 << 17),
            ("tied", self.tied, 0, 1),
            ("Fx", self.fx, 8, 16),
            ("eps", self.eps, 0, (1 << 54) - 1),
        ):
            within(name, value, least, most)
        want(self.dh % 2 == 0, "an odd head_size")
        want(self.heads % self.kv == 0, "kv_heads is no divisor of heads")

    def check_scales(self):
        within("A_M", self.a_m, 1 << 15, (1 << 16) - 1)
        for scales in self.scales:
            heads = scales["fq"] + scales["fk"] + scales["fo"]
            for bits in (*scales["input"], *scales["post"], *heads):
                within("fraction bits", bits, 0, 30)
            queries, keys = self.normed(scales)
            within("attention shift", self.a_0 + max(queries) + max(keys), 0, 62)
            if self.eh is not None:
                for bits in scales["fq"] + scales["fk"]:
                    within("fraction bits before a norm of heads", bits, 0, self.fx)
            for name in ("query_norm", "key_norm", "after"):
                for bits in scales[name] or ():
                    within("fraction bits", bits, 0, 30)
            within("spread of fo", max(scales["fo"]) - min(scales["fo"]), 0, 16)
            within("fg", scales["fg"], 11, 20)
            within("fu", scales["fu"], 0, 20)
        for bits in self.final:
            within("fraction bits", bits, 0, 30)
        want(all(n < self.vocabulary for n in self.ends), "an end-of-text token is no token")
        pairs = zip(self.ends, self.ends[1:])
        want(all(a < b for a, b in pairs), "end-of-text tokens do not ascend")

    def tensors(self):
        """ENGINE-10.4, 10.6: name, rows (none for gains), columns (none for biases), 4 bits or not"""
        d, n, v = self.hidden, self.inner, self.vocabulary
        q, kv = self.heads * self.dh, self.kv * self.dh
        yield "embedding", v, d, False
        for layer in range(self.layers):
            for name, rows, columns in (
                ("input_norm", None, d),
                ("query", q, d),
                ("key", kv, d),
                ("value", kv, d),
                *self.biases * (("query_bias", q, None), ("key_bias", kv, None), ("value_bias", kv, None)),
                *(self.eh is not None) * (("query_norm", None, self.dh), ("key_norm", None, self.dh)),
                ("output", d, q),
                *self.after * (("after_attention_norm", None, d),),
                ("post_norm", None, d),
                ("gate", n, d),
                ("up", n, d),
                ("down", d, n),
                *self.after * (("after_feed_forward_norm", None, d),),
            ):
                yield f"layers.{layer}.{name}", rows, columns, self.w4
        yield "final_norm", None, d, False
        if not self.tied:
            yield "head", v, d, False


def signed_bytes(data):
    return list(struct.unpack(f"<{len(data)}b", data))


def nibbles(row, columns):
    halves = [half for byte in row for half in (byte & 15, byte >> 4)]
    want(columns % 2 == 0 or halves[-1] == 0, "a row's last half byte is not zero")
    return [half - 16 if half > 7 else half for half in halves[:columns]]


def effective(sections, rows, columns, w4):
    """W = m q of all rows, as lists or as one array; ENGINE-3.1 and ENGINE-3.4."""
    group, width, least = (32, (columns + 1) // 2, -8) if w4 else (64, columns, -127)
    groups = -(-columns // group)
    if numpy is not None:
        return effective_at_once(sections, (rows, columns, width, group, groups), w4)
    m = signed_bytes(sections[1])
    want(all(w4 and -15 <= n < 0 or 0 < n <= 15 for n in m), "a group multiplier out of range")
    found = []
    for row in range(rows):
        q = sections[0][row * width : (row + 1) * width]
        q = nibbles(q, columns) if w4 else signed_bytes(q)
        want(min(q) >= least, "a weight out of range")
        at = row * groups
        weights = [n * m[at + column // group] for column, n in enumerate(q)]
        want(sum(w * w for w in weights) < 1 << 33, f"row {row} has no certificate")
        found.append(weights)
    return found


def effective_at_once(sections, shape, w4):
    rows, columns, width, group, groups = shape
    m = numpy.frombuffer(sections[1], "i1").reshape(rows, groups)
    fits = (abs(m.astype("i2")) <= 15) & (m != 0) & (w4 | (m > 0))
    want(fits.all(), "a group multiplier out of range")
    q = numpy.frombuffer(sections[0], "u1" if w4 else "i1").reshape(rows, width)
    if w4:
        q = numpy.stack([q << 4, q], 2).view("i1").reshape(rows, 2 * width) >> 4
        want(columns % 2 == 0 or not q[:, -1].any(), "a row's last half byte is not zero")
        q = q[:, :columns]
    want(w4 or (q >= -127).all(), "a weight out of range")
    weights = q.astype("i2") * numpy.repeat(m.astype("i2"), group, 1)[:, :columns]
    for at in range(0, rows, 1024):
        squares = (weights[at : at + 1024].astype("i8") ** 2).sum(1)
        want((squares < 1 << 33).all(), "a row has no certificate")
    return weights


class Matrix:
    def __init__(self, sections, rows, columns, w4):
        self.rows, self.lanes = effective(sections, rows, columns, w4), None
        self.multiplier = struct.unpack(f"<{rows}H", sections[2])
        self.exponent, self.bias = list(sections[3]), None
        want(min(self.multiplier) >= 1 << 15, "a row multiplier out of range")

    def row(self, index):
        return list(map(int, self.rows[index]))

    def shifts(self, difference, least):
        """ENGINE-3.7: `difference` is in - out"""
        for exponent in self.exponent:
            within("a row's shift", exponent + difference, least, 62)

    def reaches(self, gain, ge, fv):
        rows = zip(self.rows, self.multiplier, self.exponent, self.bias or [None] * len(self.rows))
        return [Reach(weights, m, c, gain, ge, fv, bias) for weights, m, c, bias in rows]

    def sums(self, x):
        """ENGINE-3.5, all rows"""
        if numpy is not None:
            return (self.rows @ numpy.array(x, "i8")).tolist()
        # Without numpy: a column is one long integer with 64 bits for each row, so that the long
        # arithmetic of Python adds up all rows at once. No lane leaves its 64 bits.
        count = len(self.rows)
        each = lambda bits: int.from_bytes(struct.pack("<Q", 1 << bits) * count, "little")
        if self.lanes is None:
            bias = each(32)
            pack = lambda column: struct.pack(f"<{count}Q", *((1 << 32) + w for w in column))
            self.lanes = [int.from_bytes(pack(c), "little") - bias for c in zip(*self.rows)]
        total = sum(n * lane for n, lane in zip(x, self.lanes) if n) + each(63)
        lanes = struct.unpack(f"<{count}Q", total.to_bytes(8 * count, "little"))
        return [lane - (1 << 63) for lane in lanes]

    def apply(self, v, fractions, out):
        """ENGINE-3.6, after the L2 rule; `out` gives the fraction bits of a row's output"""
        x, t = shorten(v)
        y = []
        for row, acc in enumerate(self.sums(x)):
            product, shift = acc * self.multiplier[row], self.exponent[row] + fractions - out(row) - t
            if self.bias is None:
                y.append(signed(rnd(product, shift), 32))
            else:
                y.append(signed(rnd(rnd(product, shift - 8) + self.bias[row], 8), 32))
        return y


class Model:
    def __init__(self, data):
        data = memoryview(data)
        read = Reader(data)
        want(bytes(read.take(8)) == b"MUTIRAO1", "this is no model file")
        claimed, header = bytes(read.take(32)), Header(bytes(read.counted("header", 1 << 25)))
        self.tokenizer = bytes(read.counted("tokenizer", 1 << 26))
        self.template = bytes(read.counted("template", 1 << 20))
        specs = list(header.tensors())
        within("number of leaf digests", read.number(4), len(specs), len(specs))
        leaves = [bytes(read.take(32)) for _ in specs]
        self.check_length(read.at, specs, len(data))
        read.align()
        self.header, self.tensors, self.leaves = header, {}, []
        for name, rows, columns, w4 in specs:
            sections = []
            for length in lengths(rows, columns, w4):
                sections.append(bytes(read.take(length)))
                read.align()
            self.leaves.append(digest("mutirao 1 tensor", [name.encode(), *sections]))
            want(self.leaves[-1] == leaves[len(self.leaves) - 1], f"{name} has another digest")
            self.tensors[name] = tensor_of(sections, rows, columns, w4)
            if name.endswith("_bias"):
                self.tensors[name.removesuffix("_bias")].bias = self.tensors[name]
        want(read.at == len(data), "bytes after the end")
        end = len(leaves) - (1 if header.tied else 2)
        each = (end - 1) // header.layers
        layers = [digest("mutirao 1 layer", leaves[at : at + each]) for at in range(1, end, each)]
        self.root = digest("mutirao 1 weights", [leaves[0], *layers, *leaves[end:]])
        texts = [digest("mutirao 1 tokenizer", [self.tokenizer])]
        texts.append(digest("mutirao 1 template", [self.template]))
        self.id = digest("mutirao 1 model", [header.bytes, self.root, *texts])
        want(self.id == claimed, "the file's id is not that of its content")
        self.prove()

    def check_length(self, front, specs, length):
        padded = lambda n: n + -n % 64
        sections = (n for _, *shape in specs for n in lengths(*shape))
        wanted = padded(front) + sum(map(padded, sections))
        want(wanted == length, f"the file has {length} bytes, its header wants {wanted}")

    def prove(self):
        """The static bounds: ENGINE-3.7, 6.4, 7.7, 8.1"""
        h = self.header
        embedding = self.tensors["embedding"]
        embedding.shifts(-h.fx, 0)
        for layer, scales in enumerate(h.scales):
            self.prove_layer(lambda name: self.tensors[f"layers.{layer}.{name}"], scales)
        want(norm_holds(self.tensors["final_norm"], *h.final), "final_norm has no scale")
        head = embedding if h.tied else self.tensors["head"]
        head.shifts(h.final[1] - 12, 9)

    def prove_layer(self, tensor, scales):
        h, width = self.header, self.header.heads * self.header.dh
        fit = pairs if h.eh is None else NORMED
        for name, norm, heads in (
            ("query", "input", [(bits, h.dh, fit) for bits in scales["fq"]]),
            ("key", "input", [(bits, h.dh, fit) for bits in scales["fk"]]),
            ("value", "input", [(bits, h.dh, VALUES) for bits in scales["fo"]]),
            ("gate", "post", [(scales["fg"], h.inner, GATES)]),
            ("up", "post", [(scales["fu"], h.inner, GATES)]),
        ):
            gain = tensor(f"{norm}_norm")
            want(norm_holds(gain, *scales[norm]), f"{norm}_norm has no scale")
            rows, at = tensor(name).reaches(gain, *scales[norm]), 0
            for bits, size, fits in heads:
                want(fits(rows[at : at + size], bits), f"a scale of {name} is too fine")
                at += size
        for name in ("query_norm", "key_norm") if h.eh is not None else ():
            want(head_norm_holds(tensor(name), *scales[name]), f"{name} has no scale")
        for at, name in enumerate(AFTER if h.after else ()):
            fine = norm_holds(tensor(name), scales["after"][at], h.fx, 60)
            want(fine, f"{name} has no scale")
        attention = min(scales["fo"]) + 4 - h.fx
        tensor("output").shifts(attention, tmax(16, width))
        tensor("down").shifts(scales["fg"] + scales["fu"] - h.fx, tmax(44, h.inner))


AFTER = ("after_attention_norm", "after_feed_forward_norm")


def tensor_of(sections, rows, columns, w4):
    if rows is None:
        return struct.unpack(f"<{columns}h", sections[0])
    return struct.unpack(f"<{rows}i", sections[0]) if columns is None else Matrix(sections, rows, columns, w4)


def lengths(rows, columns, w4):
    """ENGINE-10.4: bytes of the sections of a tensor"""
    if rows is None:
        return [2 * columns]
    if columns is None:
        return [4 * rows]
    width, group = ((columns + 1) // 2, 32) if w4 else (columns, 64)
    return [rows * width, rows * -(-columns // group), 2 * rows, rows]
