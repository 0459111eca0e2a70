"""The model file and its linear layers: sections 3, 10 and 11 of docs/spec/engine.md."""

import struct

from .arithmetic import rnd, signed
from .blake3 import digest
from .operators import shorten


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data)
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def counted(self):
        return self.take(self.number(4))

    def align(self):
        assert not any(self.take(-self.at % 64))


class Header:
    def __init__(self, data):
        self.bytes, read = data, Reader(data)
        u8, u32 = lambda: read.number(1), lambda: read.number(4)
        assert (read.number(2), read.number(2)) == (1, 1)
        self.w4, family = u8() == 4, u8()
        assert family == 1
        self.name = read.counted().decode()
        self.hidden, self.layers, self.heads, self.kv = u32(), u32(), u32(), u32()
        self.dh, self.inner, self.vocabulary, self.context = u32(), u32(), u32(), u32()
        self.tied, self.fx, self.eps = u8(), u8(), read.number(8)
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
            }
            for _ in range(self.layers)
        ]
        self.final = (u8(), u8())
        self.ends = [u32() for _ in range(u32())]
        assert read.at == len(data)

    def tensors(self):
        """ENGINE-10.4: name, rows (none for gains), columns, 4 bits or not"""
        d, n, v = self.hidden, self.inner, self.vocabulary
        q, kv = self.heads * self.dh, self.kv * self.dh
        yield "embedding", v, d, False
        for layer in range(self.layers):
            for name, rows, columns in (
                ("input_norm", None, d),
                ("query", q, d),
                ("key", kv, d),
                ("value", kv, d),
                ("output", d, q),
                ("post_norm", None, d),
                ("gate", n, d),
                ("up", n, d),
                ("down", d, n),
            ):
                yield f"layers.{layer}.{name}", rows, columns, self.w4
        yield "final_norm", None, d, False
        if not self.tied:
            yield "head", v, d, False


def signed_bytes(data):
    return list(struct.unpack(f"<{len(data)}b", data))


def nibbles(row, columns):
    halves = [half for byte in row for half in (byte & 15, byte >> 4)]
    return [half - 16 if half > 7 else half for half in halves[:columns]]


class Matrix:
    def __init__(self, sections, rows, columns, w4):
        q, m, multiplier, exponent = sections
        group, width = (32, (columns + 1) // 2) if w4 else (64, columns)
        groups = -(-columns // group)
        m = signed_bytes(m)
        self.rows = []
        for row in range(rows):
            part = q[row * width : (row + 1) * width]
            part = nibbles(part, columns) if w4 else signed_bytes(part)
            self.rows.append([n * m[row * groups + at // group] for at, n in enumerate(part)])
            assert sum(w * w for w in self.rows[-1]) < 1 << 33
        self.multiplier = struct.unpack(f"<{rows}H", multiplier)
        self.exponent = list(exponent)

    def apply(self, v, fractions, out):
        """ENGINE-3.6, after the L2 rule; `out` gives the fraction bits of a row's output"""
        x, t = shorten(v)
        y = []
        for row, weights in enumerate(self.rows):
            acc = sum(w * n for w, n in zip(weights, x))
            shift = self.exponent[row] + fractions - out(row) - t
            y.append(signed(rnd(acc * self.multiplier[row], shift), 32))
        return y


class Model:
    def __init__(self, data):
        read = Reader(data)
        assert read.take(8) == b"MUTIRAO1"
        claimed, header = read.take(32), Header(read.counted())
        tokenizer, template = read.counted(), read.counted()
        leaves = [read.take(32) for _ in range(read.number(4))]
        read.align()
        self.header, self.tensors, self.leaves = header, {}, []
        for name, rows, columns, w4 in header.tensors():
            width, group = ((columns + 1) // 2, 32) if w4 else (columns, 64)
            lengths = [2 * columns]
            if rows is not None:
                lengths = [rows * width, rows * -(-columns // group), 2 * rows, rows]
            sections = []
            for length in lengths:
                sections.append(read.take(length))
                read.align()
            self.leaves.append(digest("mutirao 1 tensor", [name.encode(), *sections]))
            gains = lambda: struct.unpack(f"<{columns}h", sections[0])
            self.tensors[name] = gains() if rows is None else Matrix(sections, rows, columns, w4)
        assert read.at == len(data) and leaves == self.leaves
        end = 1 + 9 * header.layers
        layers = [digest("mutirao 1 layer", leaves[at : at + 9]) for at in range(1, end, 9)]
        self.root = digest("mutirao 1 weights", [leaves[0], *layers, *leaves[end:]])
        texts = [digest("mutirao 1 tokenizer", [tokenizer])]
        texts.append(digest("mutirao 1 template", [template]))
        self.id = digest("mutirao 1 model", [header.bytes, self.root, *texts])
        assert self.id == claimed
