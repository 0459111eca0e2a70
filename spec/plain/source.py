"""Published weights and their configuration, as conversion reads them: ENGINE-15.1, 15.7, 15.8."""

import json
import struct

from .fast import numpy

SIZES = {"F32": 4, "F16": 2, "BF16": 2}


class Refused(Exception):
    """The bytes are not what the specification allows; the text says why."""


def want(holds, why):
    if not holds:
        raise Refused(why)


class Fields(dict):
    """An object; of a name that stands twice the last counts, where that is not refused."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.twice = len(self) < len(pairs)


def no_number(name):
    raise Refused(f"{name} is no number of JSON")


def read_json(data):
    try:
        text = bytes(data).decode("utf-8")
        return json.loads(text, object_pairs_hook=Fields, parse_constant=no_number)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Refused(f"not JSON: {error}") from None


def entries(index):
    """Name, kind, sides, start and end of each tensor of an index, by their places."""
    want(isinstance(index, dict) and not index.twice, "the index is no object, or a name stands twice")
    found, whole = [], lambda n: type(n) is int and 0 <= n < 1 << 63
    for name, entry in index.items():
        if name == "__metadata__":
            continue
        want(isinstance(entry, dict), f"tensor {name} is no object")
        kind, sides, places = (entry.get(n) for n in ("dtype", "shape", "data_offsets"))
        lists = isinstance(sides, list) and isinstance(places, list) and len(places) == 2
        want(lists and all(map(whole, sides + places)), f"tensor {name} has no shape or place")
        want(kind in SIZES, f"tensor {name} is {kind}")
        found.append((*places, name, kind, sides))
    return sorted(found)


class Tensors:
    """One or several safetensors files: a length, an index in JSON, and numbers without holes between
    them."""

    def __init__(self, *files):
        self.index = {}
        for data in files:
            self.add(data)

    def add(self, data):
        want(len(data) >= 8, "the weights are no safetensors file")
        size = int.from_bytes(data[:8], "little")
        want(size <= min(len(data) - 8, 1 << 24), "the index of the weights is cut off or too long")
        numbers, end = memoryview(data)[8 + size :], 0
        for start, stop, name, kind, sides in entries(read_json(data[8 : 8 + size])):
            count = SIZES[kind]
            for side in sides:
                count *= side
            want(start == end and stop >= start, f"tensor {name} does not follow the one before it")
            want(stop - start == count, f"tensor {name} has another length than its shape says")
            want(stop <= len(numbers), f"tensor {name} is cut off")
            want(name not in self.index, f"tensor {name} stands twice")
            self.index[name] = kind, sides, numbers[start:stop]
            end = stop
        want(end == len(numbers), "bytes that belong to no tensor")

    def only(self, known):
        for name in sorted(self.index):
            want(known(name), f"tensor {name} has no place here")

    def read(self, name, *shape):
        """The numbers of a tensor as doubles: a list of them, or a list of rows."""
        want(name in self.index, f"tensor {name} is missing")
        kind, sides, data = self.index[name]
        want(sides == list(shape), f"tensor {name} has shape {sides}")
        values = widen(data, kind)
        finite = (x - x == 0.0 for x in values) if numpy is None else numpy.isfinite(values)
        want(numpy.all(finite) if numpy else all(finite), f"tensor {name} is not finite")
        if len(shape) == 1:
            return values if numpy is None else values.tolist()
        if numpy is not None:
            return values.reshape(shape)
        return [values[at : at + shape[1]] for at in range(0, len(values), shape[1])]


def widen(data, kind):
    if numpy is not None:
        if kind == "BF16":
            wide = numpy.frombuffer(data, "<u2").astype("<u4") << 16
            return wide.view("<f4").astype("<f8")
        return numpy.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[kind]).astype("<f8")
    if kind == "BF16":
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        data, kind = struct.pack(f"<{len(halves)}I", *(half << 16 for half in halves)), "F32"
    letter = {"F32": "f", "F16": "e"}[kind]
    return list(struct.unpack(f"<{len(data) // SIZES[kind]}{letter}", data))


class Config:
    """ENGINE-15.8"""

    def __init__(self, data):
        self.fields = read_json(data)
        want(isinstance(self.fields, dict), "config.json is no object")
        self.refuse_what_cannot_run()
        self.hidden, self.layers = self.number("hidden_size"), self.number("num_hidden_layers")
        self.heads = self.number("num_attention_heads")
        self.kv = self.number("num_key_value_heads", self.heads)
        self.dh = self.number("head_dim", self.hidden // max(self.heads, 1))
        self.inner, self.vocabulary = self.number("intermediate_size"), self.number("vocab_size")
        self.context = min(self.number("max_position_embeddings"), 1 << 17)
        tied = self.get("tie_word_embeddings", False)
        want(type(tied) is bool, "tie_word_embeddings is neither true nor false")
        self.tied, self.eps = tied, self.real("rms_norm_eps")
        self.theta = self.rope_theta()

    def get(self, name, missing=None):
        value = self.fields.get(name)
        return missing if value is None else value

    def number(self, name, missing=None):
        value = self.get(name, missing)
        want(type(value) is int and 0 <= value < 1 << 32, f"{name} is no number below 2^32")
        return value

    def real(self, name, missing=None):
        return positive(name, self.get(name, missing))

    def refuse_what_cannot_run(self):
        want(self.get("model_type") == "llama", "model_type is not llama")
        want(self.get("hidden_act") == "silu", "hidden_act is not silu")
        for name in self.get("architectures", []):
            want(name == "LlamaForCausalLM", f"architecture {name}")
        for name in ("attention_bias", "mlp_bias"):
            want(self.get(name, False) is False, f"{name} is set")
        for name in ("quantization_config", "sliding_window"):
            want(self.get(name) is None, f"{name} is set")
        for name in ("rope_scaling", "rope_parameters"):
            want(plain_rope(self.get(name)), f"{name} scales")
        want(self.real("partial_rotary_factor", 1) == 1.0, "partial rotation")

    def rope_theta(self):
        inner = self.get("rope_parameters", {}).get("rope_theta")
        return self.real("rope_theta", 10000) if inner is None else positive("rope_theta", inner)

    def ends(self):
        ids = self.get("eos_token_id", [])
        ids = sorted(set(ids if isinstance(ids, list) else [ids]))
        want(all(type(n) is int and 0 <= n < self.vocabulary for n in ids), "eos_token_id")
        want(len(ids) <= 16, "more than 16 tokens end a text")
        return ids

    def name(self):
        text = lambda field: value if isinstance(value := self.get(field), str) else None
        path = text("_name_or_path")
        name = text("name")
        if name is None:
            name = path.split("/")[-1] if path is not None else None
        name = name or "llama"
        while len(name.encode()) > 64:
            name = name[:-1]
        return name


def positive(name, value):
    want(type(value) in (int, float), f"{name} is no number")
    value = float(value)
    want(0.0 < value < float("inf"), f"{name} is not a positive number")
    return value


def plain_rope(value):
    if value is None:
        return True
    kind = value.get("rope_type", value.get("type")) if isinstance(value, dict) else None
    return kind == "default"
