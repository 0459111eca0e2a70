"""A sequence, one token after the other: sections 5 and 7 to 9 of docs/spec/engine.md."""

from .arithmetic import SIG, Trap, gel, rnd, signed
from .model import AFTER
from .operators import angle, attend, cap, gate, norm, rotate


class Sequence:
    def __init__(self, model):
        self.model, self.position = model, 0
        layers, heads = range(model.header.layers), range(model.header.kv)
        self.memory = [[([], []) for _ in heads] for _ in layers]

    def heads(self, x, name, bits, tensor, scales, eps):
        """Query or key heads as they turn: ENGINE-6.6 where heads are normed"""
        h = self.model.header
        if h.eh is None:
            return x
        out = []
        for at in range(0, len(x), h.dh):
            fine = eps >> (2 * (h.fx - bits[at // h.dh]))
            out += norm(x[at : at + h.dh], tensor(name), *scales[name], fine)
        return out

    def turn(self, row, frequencies):
        h, out = self.model.header, list(row)
        for at in range(0, len(row), h.dh):
            for j, frequency in enumerate(frequencies):
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
        turned = []
        for name, bits in (("query", "fq"), ("key", "fk")):
            x = self.heads(heads(name, bits), f"{name}_norm", scales[bits], tensor, scales, h.eh)
            turned.append(self.turn(x, h.window_f if h.windows[layer] else h.f))
        (queries, keys), values = turned, heads("value", "fo")
        if any(abs(v) >= 1 << 12 for v in values):
            raise Trap
        for kv, (old_keys, old_values) in enumerate(self.memory[layer]):
            old_keys.append(keys[kv * h.dh : (kv + 1) * h.dh])
            old_values.append(values[kv * h.dh : (kv + 1) * h.dh])
        coarsest, out = min(scales["fo"]), []
        first = max(0, self.position + 1 - h.w) if h.windows[layer] else 0
        fqs, fks = h.normed(scales)
        for head in range(h.heads):
            kv = head // (h.heads // h.kv)
            a_s = h.a_0 + fqs[head] + fks[kv]
            query = queries[head * h.dh : (head + 1) * h.dh]
            align = scales["fo"][kv] - coarsest
            seen = (side[first:] for side in self.memory[layer][kv])
            out += attend(query, *seen, h.a_m, a_s, align, h.score_cap)
        return self.after(tensor("output").apply(out, coarsest + 4, lambda _: h.fx), tensor, scales, 0)

    def after(self, y, tensor, scales, half):
        """ENGINE-6.5"""
        h = self.model.header
        if not h.after:
            return y
        return norm(y, tensor(AFTER[half]), scales["after"][half], h.fx, h.eps)

    def feed_forward(self, x, layer):
        h, scales = self.model.header, self.model.header.scales[layer]
        tensor = lambda name: self.model.tensors[f"layers.{layer}.{name}"]
        n = norm(x, tensor("post_norm"), *scales["post"], h.eps)
        fv, fg, fu = scales["post"][1], scales["fg"], scales["fu"]
        g, u = tensor("gate").apply(n, fv, lambda _: fg), tensor("up").apply(n, fv, lambda _: fu)
        if any(abs(value) >= 1 << 22 for value in g + u):
            raise Trap
        table = gel() if h.gelu else SIG
        hidden = [gate(a, b, fg, table) for a, b in zip(g, u)]
        return self.after(tensor("down").apply(hidden, fg + fu, lambda _: h.fx), tensor, scales, 1)

    def feed(self, token, wanted=True):
        """The logits after one more token."""
        h, embedding = self.model.header, self.model.tensors["embedding"]
        shift = embedding.exponent[token] - h.fx
        x = [rnd(w * embedding.multiplier[token], shift) for w in embedding.row(token)]
        for layer in range(h.layers):
            for part in (self.attention, self.feed_forward):
                x = [signed(a + b, 32) for a, b in zip(x, part(x, layer))]
        self.position += 1
        if not wanted:
            return None
        n = norm(x, self.model.tensors["final_norm"], *h.final, h.eps)
        head = embedding if h.tied else self.model.tensors["head"]
        return [cap(l, h.logit_cap) for l in head.apply(n, h.final[1], lambda _: 12)]
