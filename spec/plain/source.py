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


# `model_type`, its architecture, and the size of a head where none is said (none: hidden / heads).
FAMILIES = {
    "llama": ("LlamaForCausalLM", None),
    "mistral": ("MistralForCausalLM", None),
    "qwen2": ("Qwen2ForCausalLM", None),
    "qwen3": ("Qwen3ForCausalLM", 128),
    "gemma": ("GemmaForCausalLM", 256),
    "gemma2": ("Gemma2ForCausalLM", 256),
    "gemma3_text": ("Gemma3ForCausalLM", 256),
}


class Config:
    """ENGINE-15.8, ENGINE-15.9"""

    def __init__(self, data):
        want(len(data) <= 1 << 20, "config.json is too long")
        self.fields = read_json(data)
        want(isinstance(self.fields, dict), "config.json is no object")
        self.family = self.get("model_type")
        want(isinstance(self.family, str) and self.family in FAMILIES, f"model_type {self.family}")
        self.gemma = self.family.startswith("gemma")
        self.late = self.family in ("gemma2", "gemma3_text")
        self.refuse_what_cannot_run()
        self.hidden, self.layers = self.number("hidden_size"), self.number("num_hidden_layers")
        self.heads = self.number("num_attention_heads")
        self.kv = self.number("num_key_value_heads", self.heads)
        size = FAMILIES[self.family][1]
        self.dh = self.number("head_dim", self.hidden // max(self.heads, 1) if size is None else size)
        self.inner, self.vocabulary = self.number("intermediate_size"), self.number("vocab_size")
        self.context = min(self.number("max_position_embeddings"), 1 << 17)
        self.tied, self.eps = self.flag("tie_word_embeddings", self.gemma), self.real("rms_norm_eps")
        self.rope, window_rope = self.ropes()
        self.attention = self.number("query_pre_attn_scalar", 256) if self.late else self.dh
        want(1 <= self.attention <= 1 << 16, "query_pre_attn_scalar is out of range")
        self.gelu = self.activation()
        self.window(window_rope)
        self.score_cap = self.cap("attn_logit_softcapping")
        self.logit_cap = self.cap("final_logit_softcapping")
        self.biases = self.family == "qwen2"
        self.head_norms = self.family in ("qwen3", "gemma3_text")

    def get(self, name, missing=None):
        value = self.fields.get(name)
        return missing if value is None else value

    def number(self, name, missing=None):
        value = self.get(name, missing)
        want(type(value) is int and 0 <= value < 1 << 32, f"{name} is no number below 2^32")
        return value

    def flag(self, name, missing):
        value = self.get(name, missing)
        want(type(value) is bool, f"{name} is neither true nor false")
        return value

    def real(self, name, missing=None):
        return positive(name, self.get(name, missing))

    def refuse_what_cannot_run(self):
        names = self.get("architectures", [])
        known = FAMILIES[self.family][0]
        want(isinstance(names, list) and all(n == known for n in names), f"architectures {names}")
        for name in ("attention_bias", "mlp_bias", "use_bidirectional_attention"):
            want(self.get(name, False) is False, f"{name} is set")
        want(self.get("quantization_config") is None, "quantization_config is set")
        want(self.real("partial_rotary_factor", 1) == 1.0, "partial rotation")

    def activation(self):
        later = self.gemma and self.get("hidden_activation") is not None
        name = self.get("hidden_activation" if later else "hidden_act")
        want(name in ("silu", "gelu_pytorch_tanh"), f"activation {name}")
        return name != "silu"

    def cap(self, name):
        want(self.family != "gemma2" or name in self.fields, f"{name} is neither a number nor null")
        if self.get(name) is None:
            return None
        want(self.late, f"{name} is set")
        return self.real(name)

    def window(self, rope):
        """The positions of a window, the layers that have it, and how they turn."""
        self.w, self.windows, self.window_rope = 0, [False] * self.layers, rope
        layers = self.window_layers()
        if not any(layers):
            return
        w = self.number("sliding_window")
        want(w > 0, "sliding_window is 0")
        if w < self.context or self.family == "gemma3_text":
            self.w, self.windows = min(w, self.context), layers

    def window_layers(self):
        family, width = self.family, self.get("sliding_window")
        none = family in ("llama", "gemma")
        want(not none or width is None, "sliding_window is set")
        if family.startswith("qwen"):
            none = not self.flag("use_sliding_window", False)
        none = none or family == "mistral" and width is None
        kinds = self.get("layer_types")
        if kinds is not None:
            names = ("full_attention", "sliding_attention")
            fine = isinstance(kinds, list) and all(kind in names for kind in kinds)
            want(fine and len(kinds) == self.layers, "layer_types")
            return [kind == names[1] for kind in kinds]
        pattern = self.number("_sliding_window_pattern", self.number("sliding_window_pattern", 6))
        first = self.number("max_window_layers", 0) if family.startswith("qwen") else 0
        has = {
            "qwen2": lambda layer: layer >= first,
            "qwen3": lambda layer: layer >= first,
            "gemma2": lambda layer: layer % 2 == 0,
            "gemma3_text": lambda layer: (layer + 1) % max(pattern, 1) != 0,
        }.get(family, lambda layer: True)
        return [not none and has(layer) for layer in range(self.layers)]

    def ropes(self):
        """Theta and scaling of most layers, and of those with a window: ENGINE-15.4, 15.9"""
        usual = 1_000_000 if self.family == "gemma3_text" else 10_000
        newer = self.get("rope_parameters")
        if newer is not None:
            want(isinstance(newer, dict), "rope_parameters is no object")
            parts = newer.get("full_attention"), newer.get("sliding_attention")
            if None not in parts:
                return self.rope(parts[0], usual), self.rope(parts[1], 10_000)
            return (self.rope(newer, usual),) * 2
        full = self.real("rope_theta", usual), scaling(self.get("rope_scaling"))
        if self.family != "gemma3_text":
            return full, full
        return full, (self.real("rope_local_base_freq", 10_000), None)

    def rope(self, part, usual):
        want(isinstance(part, dict), "a part of rope_parameters is no object")
        theta = part.get("rope_theta", self.get("rope_theta", usual))
        return positive("rope_theta", theta), scaling(part)

    def ends(self):
        ids = self.get("eos_token_id", [])
        ids = ids if isinstance(ids, list) else [ids]
        want(all(type(n) is int and 0 <= n < self.vocabulary for n in ids), "eos_token_id")
        ids = sorted(set(ids))
        want(len(ids) <= 16, "more than 16 tokens end a text")
        return ids

    def name(self):
        text = lambda field: value if isinstance(value := self.get(field), str) else None
        name, path = text("name"), text("_name_or_path")
        if name is None and path is not None:
            name = path.split("/")[-1]
        name = name or self.family
        while len(name.encode()) > 64:
            name = name[:-1]
        return name


def scaling(value):
    """None, or the kind of a scaling and its numbers."""
    if value is None:
        return None
    want(isinstance(value, dict), "rope_scaling is no object")
    kind = value.get("rope_type", value.get("type"))
    want(positive("partial rotation", value.get("partial_rotary_factor", 1)) == 1.0, "partial rotation")
    names = {
        "default": (),
        "linear": ("factor",),
        "llama3": (
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
        ),
    }
    want(isinstance(kind, str) and kind in names, f"scaling of kind {kind}")
    return (kind, *(positive(name, value.get(name)) for name in names[kind])) if kind != "default" else None


def positive(name, value):
    want(type(value) in (int, float), f"{name} is no number")
    value = float(value)
    want(0.0 < value < float("inf"), f"{name} is not a positive number")
    return value
