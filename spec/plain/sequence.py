"""A sequence, one token after the other: sections 5 and 7 to 9 of docs/spec/engine.md."""

from .arithmetic import Trap, rnd, signed
from .operators import angle, attend, gate, norm, rotate


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
        x = [rnd(w * embedding.multiplier[token], shift) for w in embedding.row(token)]
        for layer in range(h.layers):
            for part in (self.attention, self.feed_forward):
                x = [signed(a + b, 32) for a, b in zip(x, part(x, layer))]
        self.position += 1
        if not wanted:
            return None
        n = norm(x, self.model.tensors["final_norm"], *h.final, h.eps)
        head = embedding if h.tied else self.model.tensors["head"]
        return head.apply(n, h.final[1], lambda _: 12)
