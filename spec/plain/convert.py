"""From published weights to a model file: section 15 of docs/spec/engine.md."""

import struct
from decimal import Decimal
from math import isqrt

from .arithmetic import half_up, rnd
from .blake3 import digest
from .bounds import GATES, VALUES, Reach, finest, pairs, tmax
from .quantise import quantise_gain, quantise_rows, sections_of
from .source import Config, Refused, Tensors, want


def turns_of(theta, dh):
    """ENGINE-15.4, with 50 digits"""
    pi = Decimal(0)
    for x, sign in ((5, 16), (239, -4)):
        power, n = Decimal(1) / x, 1
        while power > Decimal(10) ** -52:
            pi, power, n, sign = pi + sign * power / n, power / (x * x), n + 2, -sign
    powers = [(-Decimal(theta).ln() * 2 * j / dh).exp() for j in range(dh // 2)]
    return [half_up(Decimal(2) ** 64 * power / (2 * pi)) for power in powers]


def attention_scale(dh):
    """ENGINE-15.6"""
    r = isqrt(6653256548922161245**2 // dh)
    drop = r.bit_length() - 16
    a_m, a_0 = rnd(r, drop), 51 - drop
    return (1 << 15, a_0 - 1) if a_m == 1 << 16 else (a_m, a_0)


u8, u32 = lambda *n: bytes(n), lambda *n: struct.pack(f"<{len(n)}I", *n)

PARTS = (
    "input_layernorm self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj "
    "post_attention_layernorm mlp.gate_proj mlp.up_proj mlp.down_proj"
).split()


def known(layers):
    """ENGINE-15.7: what is read, and what may be there unread."""
    names = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    for layer in range(layers):
        names |= {f"model.layers.{layer}.{part}.weight" for part in PARTS}
        names.add(f"model.layers.{layer}.self_attn.rotary_emb.inv_freq")
    return names.__contains__


def exponents(least, fin, fout):
    """ENGINE-3.7: exponents for which the shift is within `least` to 62."""
    clamp = lambda n: min(max(n, 0), 255)
    return clamp(least + fout - fin), clamp(62 + fout - fin)


def proven(bits, name):
    if bits is None:
        raise Refused(f"{name}: its outputs have no static scale")
    return bits


class Conversion:
    def __init__(self, config, weights, w4):
        files = [weights] if isinstance(weights, bytes) else weights
        self.config, self.tensors, self.w4 = config, Tensors(*files), w4
        self.tensors.only(known(config.layers))

    def gain(self, name):
        return quantise_gain(self.tensors.read(f"{name}.weight", self.config.hidden))

    def matrix(self, name, rows, columns, narrow, importance, range_):
        values = self.tensors.read(f"{name}.weight", rows, columns)
        return quantise_rows(values, importance or [1.0] * columns, narrow, *range_)

    def behind(self, name, rows, gain):
        """A matrix behind a norm, and the reach of its rows."""
        g, ge, fv, importance = gain
        shifts = exponents(9, fv, 0)
        matrix = self.matrix(name, rows, self.config.hidden, self.w4, importance, shifts)
        return matrix, [Reach(weights, *scale, g, ge, fv) for _, _, scale, weights in matrix]

    def heads(self, name, count, gain, fits, most):
        dh = self.config.dh
        matrix, reaches = self.behind(name, count * dh, gain)
        heads = [reaches[at : at + dh] for at in range(0, len(reaches), dh)]
        return matrix, [proven(finest(head, fits, most), name) for head in heads]

    def gates(self, name, gain, least):
        matrix, reaches = self.behind(name, self.config.inner, gain)
        bits = proven(finest(reaches, GATES, 20), name)
        want(bits >= least, f"{name}: its outputs have no static scale")
        return matrix, bits

    def layer(self, layer):
        """The scales of a layer and its nine tensors."""
        c, w4 = self.config, self.w4
        name = lambda part: f"model.layers.{layer}.{part}"
        gain = self.gain(name("input_layernorm"))
        q, fq = self.heads(name("self_attn.q_proj"), c.heads, gain, pairs, 27)
        k, fk = self.heads(name("self_attn.k_proj"), c.kv, gain, pairs, 27)
        v, fo = self.heads(name("self_attn.v_proj"), c.kv, gain, VALUES, 30)
        fo = [min(bits, min(fo) + 16) for bits in fo]
        width = c.heads * c.dh
        shifts = exponents(tmax(16, width), min(fo) + 4, 16)
        o = self.matrix(name("self_attn.o_proj"), c.hidden, width, w4, None, shifts)
        post = self.gain(name("post_attention_layernorm"))
        gates, fg = self.gates(name("mlp.gate_proj"), post, 11)
        ups, fu = self.gates(name("mlp.up_proj"), post, 0)
        shifts = exponents(tmax(44, c.inner), fg + fu, 16)
        down = self.matrix(name("mlp.down_proj"), c.hidden, c.inner, w4, None, shifts)
        scales = u8(*gain[1:3], *fq, *fk, *fo, *post[1:3], fg, fu)
        named = lambda part: f"layers.{layer}.{part}"
        tensors = [(named("input_norm"), gains(gain))]
        for part, rows in (("query", q), ("key", k), ("value", v), ("output", o)):
            tensors.append((named(part), sections_of(rows, w4)))
        tensors.append((named("post_norm"), gains(post)))
        for part, rows in (("gate", gates), ("up", ups), ("down", down)):
            tensors.append((named(part), sections_of(rows, w4)))
        return scales, tensors


def gains(gain):
    return [struct.pack(f"<{len(gain[0])}h", *gain[0])]


def convert(config, weights, tokenizer, template, w4=False):
    """The model file of published files, of which the weights may be several; raises Refused."""
    c = Config(config)
    work = Conversion(c, weights, w4)
    final = work.gain("model.norm")
    head_range, range_ = exponents(9, final[2], 12), exponents(0, 0, 16)
    if c.tied:
        range_ = max(range_[0], head_range[0]), min(range_[1], head_range[1])
    shape = c.vocabulary, c.hidden, False
    embedding = work.matrix("model.embed_tokens", *shape, None, range_)
    scales, tensors = b"", [("embedding", sections_of(embedding, False))]
    for layer in range(c.layers):
        more, parts = work.layer(layer)
        scales, tensors = scales + more, tensors + parts
    tensors.append(("final_norm", gains(final)))
    if not c.tied:
        head = work.matrix("lm_head", *shape, final[3], head_range)
        tensors.append(("head", sections_of(head, False)))
    return write(header_of(c, w4, scales, final), c.layers, tokenizer, template, tensors)


def header_of(c, w4, scales, final):
    """ENGINE-10.2, ENGINE-15.5"""
    top, bottom = c.eps.as_integer_ratio()
    eps, name, ends = (top * c.hidden << 32) // bottom, c.name().encode(), c.ends()
    want(eps < 1 << 54, "rms_norm_eps is too large")
    header = struct.pack("<HHBB", 1, 1, 4 if w4 else 8, 1) + u32(len(name)) + name
    header += u32(c.hidden, c.layers, c.heads, c.kv, c.dh, c.inner, c.vocabulary, c.context)
    header += u8(int(c.tied), 16) + struct.pack("<Q", eps)
    frequencies = turns_of(c.theta, c.dh)
    want(all(0 <= f < 1 << 64 for f in frequencies), "more than a turn a position")
    header += b"".join(struct.pack("<Q", f) for f in frequencies)
    header += struct.pack("<HB", *attention_scale(c.dh)) + scales + u8(*final[1:3])
    return header + u32(len(ends), *ends)


def write(header, count, tokenizer, template, tensors):
    """ENGINE-10.1, section 11"""
    leaves = [digest("mutirao 1 tensor", [name.encode(), *parts]) for name, parts in tensors]
    end = 1 + 9 * count
    layers = [digest("mutirao 1 layer", leaves[at : at + 9]) for at in range(1, end, 9)]
    weights = digest("mutirao 1 weights", [leaves[0], *layers, *leaves[end:]])
    texts = digest("mutirao 1 tokenizer", [tokenizer]), digest("mutirao 1 template", [template])
    out = b"MUTIRAO1" + digest("mutirao 1 model", [header, weights, *texts])
    for counted in (header, tokenizer, template):
        out += u32(len(counted)) + counted
    out += u32(len(leaves)) + b"".join(leaves)
    pad = lambda data: data + bytes(-len(data) % 64)
    file = [pad(out)] + [pad(section) for _, sections in tensors for section in sections]
    return b"".join(file)
