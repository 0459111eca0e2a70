"""From published weights to a model file: section 15 of docs/spec/engine.md."""

import json
import struct
from decimal import Decimal
from math import isqrt

from .arithmetic import half_up, rnd
from .blake3 import digest


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
