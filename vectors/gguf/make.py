"""Writes the vectors of this folder with the `gguf` package, which shares no code with the engine.

    pip install gguf==0.19.0 numpy
    python3 vectors/gguf/make.py

`blocks.json`: for every kind of block random bytes, and the single-precision numbers that the package makes of
them. `little.gguf`: the published model of `vectors/engine/conversion.json` as llama.cpp would write it in F32, rows of
queries and keys turned, with a tokenizer and a template.
"""

import json
import struct
from pathlib import Path

import gguf
import numpy as np

HERE = Path(__file__).parent
KINDS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "BF16"]
# Where each kind's half-precision numbers stand: random ones would often be infinite.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "BF16": []}
SCALES = np.array([1e-7, 6e-5, 0.0123, -0.75, 3.14159, -1000.5, 65504.0, 0.0], np.float16)


def blocks(random):
    made = {}
    for name in KINDS:
        kind = gguf.GGMLQuantizationType[name]
        numbers, size = gguf.GGML_QUANT_SIZES[kind]
        count = 64 if name == "BF16" else 8 if numbers == 32 else 3
        data = random.integers(0, 256, (count, size), np.uint8)
        if name == "BF16":
            data[:, 1] &= 0xBF  # no infinities
        for place in HALVES[name]:
            halves = SCALES[random.integers(0, len(SCALES), count)]
            data[:, place : place + 2] = halves.view(np.uint8).reshape(count, 2)
        singles = gguf.quants.dequantize(data.reshape(-1), kind).astype(np.float32)
        assert np.isfinite(singles).all()
        made[name] = {"bytes": data.tobytes().hex(), "singles": singles.tobytes().hex()}
    return made


def published():
    source = json.loads((HERE / "../engine/conversion.json").read_text())
    weights = bytes.fromhex(source["weights"])
    (length,) = struct.unpack("<Q", weights[:8])
    header, data = json.loads(weights[8 : 8 + length]), weights[8 + length :]
    tensors = {}
    for name, info in header.items():
        first, last = info["data_offsets"]
        assert info["dtype"] == "BF16"
        halves = np.frombuffer(data[first:last], np.uint16).astype(np.uint32) << 16
        tensors[name] = halves.view(np.float32).reshape(info["shape"])
    return source["config"], tensors


def turned(rows, heads):
    """As llama.cpp lays out the rows of rotary heads: the two halves of a pair side by side."""
    shape = rows.shape
    return rows.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def little(path):
    config, tensors = published()
    config = json.loads(config) if isinstance(config, str) else config
    heads, pairs = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(config.get("name", "little"))
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(pairs)
    writer.add_key_length(config.get("head_dim", config["hidden_size"] // heads))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    end = config["eos_token_id"]
    writer.add_eos_token_id(end[0] if isinstance(end, list) else end)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(["a", "b", "ab", "c", "abc", "d", "e", "f", "<s>", "</s>"][: config["vocab_size"]])
    writer.add_token_types([1] * 8 + [3] * 2)
    writer.add_token_merges(["a b", "ab c"])
    writer.add_chat_template("{{ messages }}")
    for name, numbers in tensors.items():
        part = name.removesuffix(".weight")
        if part.startswith("model.layers."):
            layer, part = part.removeprefix("model.layers.").split(".", 1)
            theirs = f"blk.{layer}.{NAMES[part]}.weight"
        else:
            theirs = f"{NAMES[part]}.weight"
        if part == "self_attn.q_proj":
            numbers = turned(numbers, heads)
        if part == "self_attn.k_proj":
            numbers = turned(numbers, pairs)
        writer.add_tensor(theirs, np.ascontiguousarray(numbers))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    made = blocks(np.random.default_rng(20261125))
    text = ",\n".join(f"{json.dumps(kind)}: {json.dumps(value)}" for kind, value in made.items())
    (HERE / "blocks.json").write_text("{\n" + text + "\n}\n")
    little(HERE / "little.gguf")
