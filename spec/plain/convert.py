"""From published weights to a model file: section 15 of docs/spec/engine.md."""

import struct
from decimal import Decimal, localcontext
from math import isqrt, sqrt

from .arithmetic import half_up, rnd
from .balance import bits_to_move, columns_of, room, rows_of, shift
from .blake3 import digest
from .bounds import GATES, NORMED, VALUES, Reach, finest, norm_holds, pairs, tmax
from .fast import numpy
from .quantise import nearest, quantise_gain, quantise_head_gain, quantise_rows, sections_of
from .source import Config, Refused, Tensors, want


def turns_of(rope, dh):
    """ENGINE-15.4, with 50 digits"""
    theta, scaled = rope
    with localcontext() as context:
        context.prec = 50
        pi = Decimal(0)
        for x, sign in ((5, 16), (239, -4)):
            power, n = Decimal(1) / x, 1
            while power > Decimal(10) ** -52:
                pi, power, n, sign = pi + sign * power / n, power / (x * x), n + 2, -sign
        powers = [(-Decimal(theta).ln() * 2 * j / dh).exp() for j in range(dh // 2)]
        turns = [stretched(power / (2 * pi), scaled) for power in powers]
        return [half_up(Decimal(2) ** 64 * turn) for turn in turns]


def stretched(x, scaled):
    if scaled is None:
        return x
    kind, factor, *more = scaled[0], *map(Decimal, scaled[1:])
    if kind == "linear":
        return x / factor
    low, high, original = more
    if original * x < low:
        return x / factor
    if original * x > high:
        return x
    return x / factor + (x - x / factor) * (original * x - low) / (high - low)


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


def known(config):
    """ENGINE-15.7: what is read, and what may be there unread."""
    names = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    parts = [f"{part}.weight" for part in PARTS]
    parts += config.biases * [f"self_attn.{kind}_proj.bias" for kind in "qkv"]
    parts += config.head_norms * [f"self_attn.{kind}_norm.weight" for kind in "qk"]
    parts += config.late * [f"{place}_feedforward_layernorm.weight" for place in ("pre", "post")]
    for layer in range(config.layers):
        names |= {f"model.layers.{layer}.{part}" for part in parts}
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
        self.config, self.tensors, self.w4, self.group = config, Tensors(*files), w4, 32 if w4 else 64
        self.tensors.only(known(config))
        self.fx = self.residual_bits() if config.late else 16

    def gains(self, name, width):
        """Published gains as what they multiply by."""
        values = self.tensors.read(f"{name}.weight", width)
        return [x + 1.0 for x in values] if self.config.gemma else values

    def gain(self, name):
        return quantise_gain(self.gains(name, self.config.hidden))

    def read(self, name, rows, columns):
        return self.tensors.read(f"{name}.weight", rows, columns)

    def balanced(self, norm, behind, group):
        """ENGINE-15.11: the gains of a norm and what moves from each, and the reach of the rows of the
        last matrix behind it."""
        c, columns = self.config, None
        gains = self.gains(norm, c.hidden)
        for name, count in behind:
            rows = self.read(name, count, c.hidden)
            own = columns_of(rows)
            columns = own if columns is None else list(map(max, columns, own))
        moved = bits_to_move(gains, room(columns, group))
        balanced = quantise_gain([g * 2.0**-k for g, k in zip(gains, moved)])
        return (*balanced, moved), rows_of(rows, gains)

    def final_gain(self):
        c = self.config
        if not c.tied:
            return self.balanced("model.norm", [("lm_head", c.vocabulary)], 64)[0]
        values = self.gains("model.norm", c.hidden)
        return (*quantise_gain([x / sqrt(c.hidden) for x in values] if c.gemma else values), ())

    def values_moved(self, name, reach):
        """What moves from rows of values, and into columns of the output."""
        c = self.config
        if c.biases:
            biases = self.tensors.read(f"{name('self_attn.v_proj')}.bias", c.kv * c.dh)
            reach = [max(r, abs(b)) for r, b in zip(reach, biases)]
        output = self.read(name("self_attn.o_proj"), c.hidden, c.heads * c.dh)
        sharers, left = c.heads // c.kv, room(columns_of(output), self.group)
        row_of = lambda column: column // c.dh // sharers * c.dh + column % c.dh
        least = [min(left[h * c.dh + i] for h in range(k * sharers, (k + 1) * sharers))
                 for k in range(c.kv) for i in range(c.dh)]
        rows = bits_to_move(reach, least)
        return rows, [rows[row_of(column)] for column in range(c.heads * c.dh)]

    def embedding(self):
        c = self.config
        rows = self.tensors.read("model.embed_tokens.weight", c.vocabulary, c.hidden)
        if not c.gemma:
            return rows
        root = sqrt(c.hidden)
        return [[x * root for x in row] for row in rows] if numpy is None else rows * root

    def residual_bits(self):
        """ENGINE-15.10"""
        c, reach = self.config, 0.0
        for row in self.embedding():
            reach = max(reach, max(abs(float(x)) for x in row))
        for layer in range(c.layers):
            for part in ("post_attention_layernorm", "post_feedforward_layernorm"):
                gains = self.gains(f"model.layers.{layer}.{part}", c.hidden)
                reach += sqrt(c.hidden) * max(map(abs, gains))
        return next((bits for bits in range(16, 8, -1) if reach * 2.0**bits < 2.0**30), 8)

    def matrix(self, name, rows, columns, narrow, importance, range_, out=(), into=()):
        values = shift(self.read(name, rows, columns), out, into)
        return quantise_rows(values, importance or [1.0] * columns, narrow, *range_)

    def behind(self, name, rows, gain, least=9, out=()):
        """A matrix behind a norm, and the reach of its rows."""
        g, ge, fv, importance, into = gain
        shifts = exponents(least, fv, 0)
        matrix = self.matrix(name, rows, self.config.hidden, self.w4, importance, shifts, out, into)
        return matrix, [Reach(weights, *scale, g, ge, fv) for _, _, scale, weights in matrix]

    def heads(self, name, count, gain, fits, most, out=()):
        """A matrix of heads, their scales, and their biases or none."""
        c, dh, biases = self.config, self.config.dh, None
        if c.biases:
            biases = self.tensors.read(f"{name}.bias", count * dh)
            biases = [b * 2.0**-k for b, k in zip(biases, out or [0] * len(biases))]
        matrix, reaches = self.behind(name, count * dh, gain, 17 if c.biases else 9, out)
        found, integers = [], []
        for at in range(0, len(reaches), dh):
            own = biases[at : at + dh] if biases is not None else None
            head = reaches[at : at + dh]
            fit = fits if own is None else lambda rows, bits: biased(rows, own, bits) and fits(rows, bits)
            found.append(proven(finest(head, fit, most), name))
        if name.endswith("v_proj"):
            found = [min(bits, min(found) + 16) for bits in found]
        for row, bias in enumerate(biases or ()):
            integers.append(nearest(bias * 2.0 ** (found[row // dh] + 8)))
        return matrix, found, integers

    def gates(self, name, gain, least, out=()):
        matrix, reaches = self.behind(name, self.config.inner, gain, out=out)
        bits = proven(finest(reaches, GATES, 20), name)
        want(bits >= least, f"{name}: its outputs have no static scale")
        return matrix, bits

    def after(self, name):
        """An after-norm: its gains and their bits."""
        g, ge, *_ = self.gain(name)
        want(norm_holds(g, ge, self.fx, 60), f"{name}: what it adds has no static bound")
        return g, ge

    def layer(self, layer):
        """The scales of a layer and its tensors."""
        c, w4 = self.config, self.w4
        name = lambda part: f"model.layers.{layer}.{part}"
        parts = [(name(f"self_attn.{kind}_proj"), n * c.dh) for kind, n in zip("qkv", (c.heads, c.kv, c.kv))]
        gain, reach = self.balanced(name("input_layernorm"), parts, self.group)
        v_out, o_into = self.values_moved(name, reach)
        turned = (NORMED, self.fx) if c.head_norms else (pairs, 27)
        q, fq, q_bias = self.heads(name("self_attn.q_proj"), c.heads, gain, *turned)
        k, fk, k_bias = self.heads(name("self_attn.k_proj"), c.kv, gain, *turned)
        v, fo, v_bias = self.heads(name("self_attn.v_proj"), c.kv, gain, VALUES, 30, v_out)
        width = c.heads * c.dh
        shifts = exponents(tmax(16, width), min(fo) + 4, self.fx)
        o = self.matrix(name("self_attn.o_proj"), c.hidden, width, w4, None, shifts, into=o_into)
        before = "pre_feedforward_layernorm" if c.late else "post_attention_layernorm"
        parts = [(name(f"mlp.{part}_proj"), c.inner) for part in ("gate", "up")]
        post, reach = self.balanced(name(before), parts, self.group)
        down = self.read(name("mlp.down_proj"), c.hidden, c.inner)
        moved = bits_to_move(reach, room(columns_of(down), self.group))
        gates, fg = self.gates(name("mlp.gate_proj"), post, 11)
        ups, fu = self.gates(name("mlp.up_proj"), post, 0, moved)
        shifts = exponents(tmax(44, c.inner), fg + fu, self.fx)
        down = self.matrix(name("mlp.down_proj"), c.hidden, c.inner, w4, None, shifts, into=moved)
        scales = u8(*gain[1:3], *fq, *fk, *fo, *post[1:3], fg, fu)
        tensors = [("input_norm", gain_sections(gain[0]))]
        tensors += [(part, sections_of(rows, w4)) for part, rows in (("query", q), ("key", k), ("value", v))]
        if c.biases:
            for part, bias in (("query_bias", q_bias), ("key_bias", k_bias), ("value_bias", v_bias)):
                tensors.append((part, [struct.pack(f"<{len(bias)}i", *bias)]))
        if c.head_norms:
            for part in ("query", "key"):
                norm = name(f"self_attn.{part[0]}_norm")
                g, ge, fv = quantise_head_gain(self.gains(norm, c.dh))
                scales += u8(ge, fv)
                tensors.append((f"{part}_norm", gain_sections(g)))
        tensors.append(("output", sections_of(o, w4)))
        after = [self.after(name(part)) for part in c.late * AFTER]
        tensors += [("after_attention_norm", gain_sections(g)) for g, _ in after[:1]]
        tensors.append(("post_norm", gain_sections(post[0])))
        tensors += [(part, sections_of(rows, w4)) for part, rows in (("gate", gates), ("up", ups), ("down", down))]
        tensors += [("after_feed_forward_norm", gain_sections(g)) for g, _ in after[1:]]
        scales += u8(*(ge for _, ge in after))
        return scales, [(f"layers.{layer}.{part}", sections) for part, sections in tensors]


AFTER = ("post_attention_layernorm", "post_feedforward_layernorm")


def biased(rows, biases, bits):
    """Gives the rows their biases for these fraction bits; whether each is below 2^30."""
    scaled = [bias * 2.0 ** (bits + 8) for bias in biases]
    for row, bias in zip(rows, scaled):
        row.bias = nearest(bias) if abs(bias) < 2.0**30 else 0
    return all(abs(bias) < 2.0**30 for bias in scaled)


def gain_sections(gain):
    return [struct.pack(f"<{len(gain)}h", *gain)]


def convert(config, weights, tokenizer, template, w4=False):
    """The model file of published files, of which the weights may be several; raises Refused."""
    c = Config(config)
    work = Conversion(c, weights, w4)
    final = work.final_gain()
    head_range, range_ = exponents(9, final[2], 12), exponents(0, 0, work.fx)
    if c.tied:
        range_ = max(range_[0], head_range[0]), min(range_[1], head_range[1])
    embedding = quantise_rows(work.embedding(), [1.0] * c.hidden, False, *range_)
    scales, tensors = b"", [("embedding", sections_of(embedding, False))]
    for layer in range(c.layers):
        more, parts = work.layer(layer)
        scales, tensors = scales + more, tensors + parts
    tensors.append(("final_norm", gain_sections(final[0])))
    if not c.tied:
        head = work.matrix("lm_head", c.vocabulary, c.hidden, False, final[3], head_range, into=final[4])
        tensors.append(("head", sections_of(head, False)))
    return write(header_of(c, w4, scales, final, work.fx), c.layers, tokenizer, template, tensors)


def epsilon(c, width, fx):
    """ENGINE-15.5"""
    top, bottom = c.eps.as_integer_ratio()
    eps = (top * width << (2 * fx)) // bottom
    want(eps < 1 << 54, "rms_norm_eps is too large")
    return eps


def frequencies(rope, dh):
    turns = turns_of(rope, dh)
    want(all(0 <= f < 1 << 64 for f in turns), "more than a turn a position")
    return struct.pack(f"<{len(turns)}Q", *turns)


def relative_of(c, fx):
    """ENGINE-10.6: what a header adds, or none for Llama"""
    caps = []
    for cap, units in ((c.score_cap, 2954.639443740597), (c.logit_cap, 4096.0)):
        caps.append(0 if cap is None else nearest(cap * units))
        want(caps[-1] == 0 and cap is None or 1 << 8 <= caps[-1] < 1 << 24, "a soft cap out of range")
    if not (c.biases or c.head_norms or c.late or c.gelu or any(caps) or c.w):
        return None
    out = u8(int(c.biases), int(c.head_norms))
    if c.head_norms:
        out += struct.pack("<Q", epsilon(c, c.dh, fx))
    out += u8(int(c.late), 2 if c.gelu else 1) + u32(*caps, c.w)
    if c.w:
        out += frequencies(c.window_rope, c.dh) + u8(*map(int, c.windows))
    return out


def header_of(c, w4, scales, final, fx):
    """ENGINE-10.2"""
    name, ends, relative = c.name().encode(), c.ends(), relative_of(c, fx)
    family = 1 if relative is None else 2
    header = struct.pack("<HHBB", 1, 1, 4 if w4 else 8, family) + u32(len(name)) + name
    header += u32(c.hidden, c.layers, c.heads, c.kv, c.dh, c.inner, c.vocabulary, c.context)
    header += u8(int(c.tied)) + (relative or b"") + u8(fx)
    header += struct.pack("<Q", epsilon(c, c.hidden, fx)) + frequencies(c.rope, c.dh)
    header += struct.pack("<HB", *attention_scale(c.attention)) + scales + u8(*final[1:3])
    return header + u32(len(ends), *ends)


def write(header, count, tokenizer, template, tensors):
    """ENGINE-10.1, section 11"""
    leaves = [digest("mutirao 1 tensor", [name.encode(), *parts]) for name, parts in tensors]
    end = len(leaves) - sum(name in ("final_norm", "head") for name, _ in tensors)
    each = (end - 1) // count
    layers = [digest("mutirao 1 layer", leaves[at : at + each]) for at in range(1, end, each)]
    weights = digest("mutirao 1 weights", [leaves[0], *layers, *leaves[end:]])
    texts = digest("mutirao 1 tokenizer", [tokenizer]), digest("mutirao 1 template", [template])
    out = b"MUTIRAO1" + digest("mutirao 1 model", [header, weights, *texts])
    for counted in (header, tokenizer, template):
        out += u32(len(counted)) + counted
    out += u32(len(leaves)) + b"".join(leaves)
    pad = lambda data: data + bytes(-len(data) % 64)
    file = [pad(out)] + [pad(section) for _, sections in tensors for section in sections]
    return b"".join(file)
