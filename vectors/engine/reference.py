#!/usr/bin/env python3
"""A second implementation of docs/spec/engine.md, in plain Python integers, without a library.

It shares no code with the engine. It reads the vectors beside it, computes everything anew from
the clauses, BLAKE3 and the tables included, and says for each file whether it agrees:

    python3 vectors/engine/reference.py
"""

import json
import struct
import sys
from decimal import Decimal, getcontext
from math import isqrt
from pathlib import Path

# --- BLAKE3 (source: the BLAKE3 paper, section 2) -------------------------------------------------

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A]
IV += [0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
START, END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = 1, 2, 4, 8, 16, 32, 64
WORD = 0xFFFFFFFF


def mix(v, a, b, c, d, x, y):
    for word, far, near in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + word) & WORD
        v[d] ^= v[a]
        v[d] = (v[d] >> far | v[d] << (32 - far)) & WORD
        v[c] = (v[c] + v[d]) & WORD
        v[b] ^= v[c]
        v[b] = (v[b] >> near | v[b] << (32 - near)) & WORD


def compress(value, block, counter, flags):
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = value + IV[:4] + [counter & WORD, counter >> 32, len(block), flags]
    for _ in range(7):
        for at in range(4):
            mix(v, at, 4 + at, 8 + at, 12 + at, words[2 * at], words[2 * at + 1])
        for at in range(4):
            a, b = words[8 + 2 * at], words[9 + 2 * at]
            mix(v, at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4, a, b)
        words = [words[at] for at in ORDER]
    return [v[at] ^ v[at + 8] for at in range(8)]


def tree(key, data, counter, flags, root):
    if len(data) <= 1024:
        blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
        value = key
        for index, block in enumerate(blocks):
            last = index + 1 == len(blocks)
            here = flags | (START if index == 0 else 0) | ((END | root) if last else 0)
            value = compress(value, block, counter, here)
        return value
    left = 1024 << ((len(data) - 1) // 1024).bit_length() - 1
    halves = tree(key, data[:left], counter, flags, 0), tree(
        key, data[left:], counter + left // 1024, flags, 0
    )
    block = struct.pack("<16I", *halves[0], *halves[1])
    return compress(key, block, 0, flags | PARENT | root)


def pack8(value):
    return struct.pack("<8I", *value)


def keyed(key, data):
    return pack8(tree(list(struct.unpack("<8I", key)), data, 0, KEYED, ROOT))


def digest(domain, parts):
    """ENGINE-11.1"""
    context = tree(IV, domain.encode(), 0, CONTEXT, ROOT)
    data = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    return pack8(tree(context, data, 0, MATERIAL, ROOT))


# --- Arithmetic and tables (sections 1 and 2) -----------------------------------------------------


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
    getcontext().prec = 50
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


EXP2, COS, SIG = make_tables()

# --- Operators (sections 3 to 9) ------------------------------------------------------------------


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
    u = 0
    while total >> u >= 1 << 28:
        u += 2
    short, k = max(total >> u, 1), 0
    while isqrt((len(x) << (2 * k)) // short) < 1 << 15:
        k += 1
    return t0, isqrt((len(x) << (2 * k)) // short), k + u // 2


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


def attend(q, keys, values, a_m, a_s, align):
    """ENGINE-7.3 to ENGINE-7.6"""
    z = [rnd(sum(a * b for a, b in zip(q, key)) * a_m, a_s) for key in keys]
    p = [EXP2[min(max(z) - one, 65535)] for one in z]
    total = sum(p)
    e = total.bit_length()
    r = (1 << (e + 15)) // total
    sums = [sum(w * v[j] for w, v in zip(p, values)) for j in range(len(q))]
    return [rnd(s * r, e + 11 + align) for s in sums]


def gate(g, u, fg):
    """ENGINE-8.2"""
    i = min(max(rnd(g, fg - 11), -32768), 32767)
    return rnd(g * SIG[i + 32768], 16) * u


# --- The model file (sections 10 and 11) ----------------------------------------------------------


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


class Sequence:
    def __init__(self, model):
        self.model, self.position = model, 0
        layers, heads = range(model.header.layers), range(model.header.kv)
        self.memory = [[([], []) for _ in heads] for _ in layers]

    def turn(self, row):
        h, out = self.model.header, list(row)
        for at in range(0, len(row), h.dh):
            for j, frequency in enumerate(h.f):
                pair = at + j, at + j + h.dh // 2
                turned = rotate(row[pair[0]], row[pair[1]], *angle(self.position, frequency))
                out[pair[0]], out[pair[1]] = turned
        return out

    def attention(self, x, layer):
        h, scales = self.model.header, self.model.header.scales[layer]
        tensor = lambda name: self.model.tensors[f"layers.{layer}.{name}"]
        n = norm(x, tensor("input_norm"), *scales["input"], h.eps)
        fv = scales["input"][1]
        heads = lambda name, bits: tensor(name).apply(n, fv, lambda row: scales[bits][row // h.dh])
        queries, keys = self.turn(heads("query", "fq")), self.turn(heads("key", "fk"))
        values = heads("value", "fo")
        if any(abs(v) >= 1 << 12 for v in values):
            raise Trap
        for kv, (old_keys, old_values) in enumerate(self.memory[layer]):
            old_keys.append(keys[kv * h.dh : (kv + 1) * h.dh])
            old_values.append(values[kv * h.dh : (kv + 1) * h.dh])
        coarsest, out = min(scales["fo"]), []
        for head in range(h.heads):
            kv = head // (h.heads // h.kv)
            a_s = h.a_0 + scales["fq"][head] + scales["fk"][kv]
            query = queries[head * h.dh : (head + 1) * h.dh]
            align = scales["fo"][kv] - coarsest
            out += attend(query, *self.memory[layer][kv], h.a_m, a_s, align)
        return tensor("output").apply(out, coarsest + 4, lambda _: h.fx)

    def feed_forward(self, x, layer):
        h, scales = self.model.header, self.model.header.scales[layer]
        tensor = lambda name: self.model.tensors[f"layers.{layer}.{name}"]
        n = norm(x, tensor("post_norm"), *scales["post"], h.eps)
        fv, fg, fu = scales["post"][1], scales["fg"], scales["fu"]
        g, u = tensor("gate").apply(n, fv, lambda _: fg), tensor("up").apply(n, fv, lambda _: fu)
        if any(abs(value) >= 1 << 22 for value in g + u):
            raise Trap
        hidden = [gate(a, b, fg) for a, b in zip(g, u)]
        return tensor("down").apply(hidden, fg + fu, lambda _: h.fx)

    def feed(self, token, wanted=True):
        """The logits after one more token."""
        h, embedding = self.model.header, self.model.tensors["embedding"]
        shift = embedding.exponent[token] - h.fx
        x = [rnd(w * embedding.multiplier[token], shift) for w in embedding.rows[token]]
        for layer in range(h.layers):
            for part in (self.attention, self.feed_forward):
                x = [signed(a + b, 32) for a, b in zip(x, part(x, layer))]
        self.position += 1
        if not wanted:
            return None
        n = norm(x, self.model.tensors["final_norm"], *h.final, h.eps)
        head = embedding if h.tied else self.model.tensors["head"]
        return head.apply(n, h.final[1], lambda _: 12)


# --- Sampling and answers (sections 13 and 14) ----------------------------------------------------


def choose(logits, job, position):
    largest, t = max(logits), job["temperature_milli"]
    if t == 0:
        return logits.index(largest)
    inverse = (6196328019 * 256000 + (t << 31)) // (t << 32)
    p = [EXP2[min(rnd((largest - l) * inverse, 9), 65535)] for l in logits]
    order, c = sorted(p, reverse=True), max(1, -(-job["min_p"] * 32767 // 65536))
    if 0 < job["top_k"] <= len(p):
        c = max(c, order[job["top_k"] - 1])
    total = sum(w for w in p if w >= c)
    enough = lambda least: sum(w for w in p if w >= least) << 16 >= total * job["top_p"]
    c = max(c, next(w for w in order if enough(w)))
    kept = [w if w >= c else 0 for w in p]
    seed = bytes.fromhex(job["seed"])
    u = keyed(seed, b"mutirao 1 sample" + struct.pack("<Q", position))
    bound, prefix = int.from_bytes(u[:8], "little") * sum(kept), 0
    for token, weight in enumerate(kept):
        prefix += weight
        if prefix << 64 > bound:
            return token
    raise AssertionError("some token has weight")


def answer(model, job):
    """ENGINE-14.2: the answer, its ending, and the digest of the logits it was chosen from"""
    sequence, prompt, found, heard = Sequence(model), job["prompt"], [], []
    finish = None
    try:
        for token in prompt[:-1]:
            sequence.feed(token, wanted=False)
        token = prompt[-1]
        while finish is None:
            logits = sequence.feed(token)
            heard.append(struct.pack(f"<{len(logits)}i", *logits))
            token = choose(logits, job, len(prompt) + len(found))
            found.append(token)
            if token in model.header.ends:
                finish = "eos"
            elif any(found[-len(stop) :] == stop for stop in job["stop"]):
                finish = "stop"
            elif len(found) == job["max_tokens"]:
                finish = "length"
    except Trap:
        finish = "trap"
    return found, finish, digest("mutirao 1 vector logits", heard).hex()


# --- The vectors ----------------------------------------------------------------------------------


def trapping(work):
    try:
        return work()
    except Trap:
        return "trap"


def check_tables(tables):
    made = {"exp2": (EXP2, "H"), "cos": (COS, "h"), "sig": (SIG, "I")}
    for table in tables:
        entries, kind = made[table["table"]]
        assert [entries[at] for at in table["at"]] == table["entries"]
        data = struct.pack(f"<65536{kind}", *entries)
        assert digest(f"mutirao 1 table {table['table']}", [data]).hex() == table["digest"]
    return len(tables)


def linear(case):
    acc = sum(w * x for w, x in zip(case["W"], case["x"]))
    return acc == case["acc"] and rnd(acc * case["M"], case["shift"]) == case["y"]


def normalised(case):
    found = root(case["x"], case["eps"])
    v = norm(case["x"], case["gain"], case["ge"], case["fv"], case["eps"])
    return found == (case["t0"], case["r"], case["k + u/2"]) and v == case["v"]


def turned(case):
    cos, sin = angle(case["position"], int(case["frequency"], 16))
    found = trapping(lambda: list(rotate(case["a"], case["b"], cos, sin)))
    return (cos, sin) == (case["cos"], case["sin"]) and found == case["turned"]


def attended(case):
    size = len(case["q"])
    split = lambda row: [row[at : at + size] for at in range(0, len(row), size)]
    scale = case["A_M"], case["A_S"], case["fo - fc"]
    return attend(case["q"], split(case["k"]), split(case["v"]), *scale) == case["o"]


def sampled(case):
    first = case["first position"]
    return [choose(case["logits"], case, first + i) for i in range(16)] == case["chosen"]


def scaled(case):
    """ENGINE-15.6"""
    r = isqrt(6653256548922161245**2 // case["dh"])
    drop = r.bit_length() - 16
    a_m, a_0 = rnd(r, drop), 51 - drop
    if a_m == 1 << 16:
        a_m, a_0 = 1 << 15, a_0 - 1
    return (a_m, a_0) == (case["A_M"], case["A_0"])


def logit(case):
    return signed(rnd(case["acc"] * case["M"], case["shift"]), 32)


OPERATORS = {
    "rnd": lambda c: rnd(c["x"], c["s"]) == c["rnd"],
    "l2": lambda c: shorten(c["v"]) == (c["x"], c["t"]),
    "linear": linear,
    "embedding": lambda c: [rnd(w * c["M"], c["shift"]) for w in c["W"]] == c["x"],
    "residual": lambda c: trapping(lambda: signed(c["x"] + c["y"], 32)) == c["sum"],
    "rmsnorm": normalised,
    "rope": turned,
    "attention": attended,
    "swiglu": lambda c: gate(c["g"], c["u"], c["fg"]) == c["h"],
    "logits": lambda c: trapping(lambda: logit(c)) == c["logit"],
    "sampling": sampled,
    "attention_scale": scaled,
}


def check_operators(operators):
    assert set(operators) == set(OPERATORS)
    for name, cases in operators.items():
        for case in cases:
            assert OPERATORS[name](case), f"{name}: {case}"
    return sum(map(len, operators.values()))


def check_models(models):
    for entry in models:
        model = Model(bytes.fromhex(entry["file"]))
        assert (model.id.hex(), model.root.hex()) == (entry["id"], entry["weights_root"])
        assert [leaf.hex() for leaf in model.leaves] == [leaf["leaf"] for leaf in entry["tensors"]]
        sequence = Sequence(model)
        assert [sequence.feed(token) for token in entry["tokens"]] == entry["logits"], entry["name"]
    return len(models)


def check_answers(answers, models):
    models = {entry["name"]: Model(bytes.fromhex(entry["file"])) for entry in models}
    for job in answers:
        expected = job["answer"], job["finish"], job["logits"]
        assert answer(models[job["model"]], job) == expected, job
    return len(answers)


def check_conversion(conversion):
    """Makes the whole model files anew from the published numbers: section 15."""
    for entry in conversion["files"]:
        file = bytes.fromhex(entry["file"])
        assert Model(file).id.hex() == entry["id"]
        assert convert(conversion, entry["profile"] == "w4") == file, entry["profile"]
    return len(conversion["files"])


# --- Conversion (section 15) ----------------------------------------------------------------------


def nearest(x):
    return int((x + 0.5) // 1)


def above(x):
    r = isqrt(x)
    return r if r * r == x else r + 1


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
    return best[1:]


def quantise_gain(gain):
    ge = next(b for b in range(24, -1, -1) if max(map(abs, gain)) * 2.0**b <= 32766.0)
    g = [nearest(x * 2.0**ge) for x in gain]
    d, largest = len(g), max(map(abs, g))
    k0 = next(k for k in range(31) if d << (2 * k) >= 1 << 30)

    def holds(fv):
        fine = d * largest**2 << (2 * fv) < 1 << (46 + 2 * ge)
        return k0 + ge >= fv and 43 + ge - min(fv, ge) <= 62 and fine

    return g, ge, next(fv for fv in range(22, -1, -1) if holds(fv)), [x * x for x in gain]


def reach(row, gain, ge, fv, bits):
    _, _, (m, c), weights = row
    s = c + fv - bits
    if not 9 <= s <= 62:
        return None
    squares = sum((w * g) ** 2 for w, g in zip(weights, gain))
    length = above(squares) * above(len(gain) << 32)
    main = (length << fv >> ge) + 1
    wide = main + (main >> 20) + 1 + 385 * 65536 * sum(map(abs, weights))
    found = (wide * m >> s) + 1 + 65536
    return found if found < 1 << 50 else None


def tmax(b, n):
    t = next((t for t in range(b) if n * (4 * (1 << (b - t)) + 3) ** 2 < 1 << 33), b)
    return max(t, b - 14)


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


def turns_of(theta, dh):
    """ENGINE-15.4, with 50 digits"""
    pi = Decimal(0)
    for x, sign in ((5, 16), (239, -4)):
        power, n = Decimal(1) / x, 1
        while power > Decimal(10) ** -52:
            pi, power, n, sign = pi + sign * power / n, power / (x * x), n + 2, -sign
    powers = [(-Decimal(theta).ln() * 2 * j / dh).exp() for j in range(dh // 2)]
    return [half_up(Decimal(2) ** 64 * power / (2 * pi)) for power in powers]


def convert(conversion, w4):
    config, data = json.loads(conversion["config"]), bytes.fromhex(conversion["weights"])
    size = int.from_bytes(data[:8], "little")
    index = json.loads(data[8 : 8 + size])

    def tensor(name):
        entry = index[f"{name}.weight"]
        start, end = (8 + size + at for at in entry["data_offsets"])
        halves = struct.unpack(f"<{(end - start) // 2}H", data[start:end])
        numbers = [struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in halves]
        columns = entry["shape"][-1]
        rows = [numbers[at : at + columns] for at in range(0, len(numbers), columns)]
        return numbers if len(entry["shape"]) == 1 else rows

    def matrix(name, narrow, importance, least_shift, fin, fout):
        rows, low, high = tensor(name), least_shift + fout - fin, 62 + fout - fin
        clamp = lambda n: min(max(n, 0), 255)
        a = importance or [1.0] * len(rows[0])
        return [quantise_row(row, a, narrow, clamp(low), clamp(high)) for row in rows]

    def finest(rows, g, ge, fv, most, fits):
        reaches = lambda bits: [reach(row, g, ge, fv, bits) for row in rows]
        return next(bits for bits in range(most, -1, -1) if fits(reaches(bits)))

    below = lambda bound: lambda reaches: all(r is not None and r < bound for r in reaches)

    def pairs(reaches):
        half = len(reaches) // 2
        if None in reaches:
            return False
        lengths = [above(a * a + b * b) for a, b in zip(reaches[:half], reaches[half:])]
        return all(n + (n >> 12) + (1 << 17) < 1 << 31 for n in lengths)

    d, dh = config["hidden_size"], config["hidden_size"] // config["num_attention_heads"]
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    inner, count = config["intermediate_size"], config["num_hidden_layers"]
    u8, u32 = lambda *n: bytes(n), lambda *n: struct.pack(f"<{len(n)}I", *n)
    final = quantise_gain(tensor("model.norm"))
    parts = [("embedding", sections_of(matrix("model.embed_tokens", False, None, 0, 0, 16), False))]
    scales = b""
    for layer in range(count):
        name = lambda part: f"model.layers.{layer}.{part}"
        g, ge, fv, a = quantise_gain(tensor(name("input_layernorm")))
        by_head = lambda rows, most, fits: [
            finest(rows[at : at + dh], g, ge, fv, most, fits) for at in range(0, len(rows), dh)
        ]
        q, k, v = (matrix(name(f"self_attn.{p}_proj"), w4, a, 9, fv, 0) for p in "qkv")
        fq, fk, fo = by_head(q, 27, pairs), by_head(k, 27, pairs), by_head(v, 30, below(1 << 28))
        fo = [min(bits, min(fo) + 16) for bits in fo]
        o = matrix(name("self_attn.o_proj"), w4, None, tmax(16, heads * dh), min(fo) + 4, 16)
        g2, ge2, fv2, a2 = quantise_gain(tensor(name("post_attention_layernorm")))
        gates, ups = (matrix(name(f"mlp.{p}_proj"), w4, a2, 9, fv2, 0) for p in ("gate", "up"))
        fg, fu = (finest(rows, g2, ge2, fv2, 20, below(1 << 38)) for rows in (gates, ups))
        assert fg >= 11
        down = matrix(name("mlp.down_proj"), w4, None, tmax(44, inner), fg + fu, 16)
        scales += u8(ge, fv, *fq, *fk, *fo, ge2, fv2, fg, fu)
        named = lambda part: f"layers.{layer}.{part}"
        parts.append((named("input_norm"), [struct.pack(f"<{d}h", *g)]))
        for part, rows in (("query", q), ("key", k), ("value", v), ("output", o)):
            parts.append((named(part), sections_of(rows, w4)))
        parts.append((named("post_norm"), [struct.pack(f"<{d}h", *g2)]))
        for part, rows in (("gate", gates), ("up", ups), ("down", down)):
            parts.append((named(part), sections_of(rows, w4)))
    parts.append(("final_norm", [struct.pack(f"<{d}h", *final[0])]))
    head = matrix("lm_head", False, final[3], 9, final[2], 12)
    parts.append(("head", sections_of(head, False)))
    r = isqrt(6653256548922161245**2 // dh)
    drop = r.bit_length() - 16
    top, bottom = float(config["rms_norm_eps"]).as_integer_ratio()
    name = config["name"].encode()
    header = struct.pack("<HHBB", 1, 1, 4 if w4 else 8, 1) + u32(len(name)) + name
    header += u32(d, count, heads, kv, dh, inner, config["vocab_size"])
    header += u32(config["max_position_embeddings"])
    header += u8(0, 16) + struct.pack("<Q", (top * d << 32) // bottom)
    header += b"".join(struct.pack("<Q", f) for f in turns_of(config["rope_theta"], dh))
    header += struct.pack("<HB", rnd(r, drop), 51 - drop) + scales + u8(final[1], final[2])
    header += u32(1, config["eos_token_id"])
    leaves = [digest("mutirao 1 tensor", [name.encode(), *parts_of]) for name, parts_of in parts]
    layers = [digest("mutirao 1 layer", leaves[at : at + 9]) for at in range(1, len(leaves) - 2, 9)]
    weights = digest("mutirao 1 weights", [leaves[0], *layers, *leaves[-2:]])
    texts = [conversion["tokenizer"].encode(), conversion["template"].encode()]
    kinds = ("mutirao 1 tokenizer", "mutirao 1 template")
    ends = [digest(kind, [words]) for kind, words in zip(kinds, texts)]
    out = b"MUTIRAO1" + digest("mutirao 1 model", [header, weights, *ends])
    for counted in (header, *texts):
        out += u32(len(counted)) + counted
    out += u32(len(leaves)) + b"".join(leaves)
    pad = lambda data: data + bytes(-len(data) % 64)
    out = pad(out)
    for _, sections in parts:
        for section in sections:
            out = pad(out + section)
    return out


def main():
    here = Path(__file__).parent
    read = lambda name: json.loads((here / name).read_text())
    models = read("models.json")
    for name, check in (
        ("tables.json", check_tables),
        ("operators.json", check_operators),
        ("models.json", check_models),
        ("answers.json", lambda answers: check_answers(answers, models)),
        ("conversion.json", check_conversion),
    ):
        print(f"{name}: {check(read(name))} agree", flush=True)


if __name__ == "__main__":
    sys.exit(main())
