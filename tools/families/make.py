#!/usr/bin/env python3
"""Trains one tiny checkpoint of each family with `transformers` on lessons of the village.

Each is a folder as models are published: config.json, model.safetensors (bf16), tokenizer.json,
chat_template.jinja; and expected.safetensors, what `transformers` gives in float32 for held-out
lessons: tokens [texts, length], logits [texts, length, vocabulary]. Seeds are fixed, one thread.

    make.py <lessons> <held-out lessons> <template> <out> [--steps 5000] [--hidden 96] [--layers 3]
            [--only NAME ...]

Both files of lessons hold one JSON string a line. After training some channels are scaled up where
the next weights undo it, as trained models of any size have such outliers: in the norms' gains,
in values, in the feed-forward layer, in the norms of heads.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY, LENGTH, ROWS = 288, 128, 12
SPECIAL = ["<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
SHAPE = dict(
    vocab_size=VOCABULARY,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    max_position_embeddings=256,
    bos_token_id=0,
    eos_token_id=1,
    pad_token_id=None,
    attention_dropout=0.0,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
LINEAR = dict(rope_type="linear", rope_theta=1e6, factor=8.0)
LOCAL = dict(rope_type="default", rope_theta=1e4)
GEMMA = dict(head_dim=32, query_pre_attn_scalar=24, sliding_window=24)

# Name, configuration class, model class, what differs.
FAMILIES = {
    "llama2": ("Llama", dict(num_key_value_heads=4, head_dim=12, tie_word_embeddings=False)),
    "llama3": ("Llama", dict(rope_parameters=LLAMA3, tie_word_embeddings=False)),
    "smollm2": ("Llama", dict(tie_word_embeddings=True)),
    "mistral": ("Mistral", dict(sliding_window=24, tie_word_embeddings=False)),
    "qwen2": ("Qwen2", dict(tie_word_embeddings=True)),
    "qwen3": ("Qwen3", dict(head_dim=24, tie_word_embeddings=True)),
    "gemma": ("Gemma", dict(num_key_value_heads=1, head_dim=32)),
    "gemma2": ("Gemma2", dict(GEMMA, num_key_value_heads=1)),
    "gemma3": (
        "Gemma3",
        dict(
            GEMMA,
            num_key_value_heads=1,
            rope_parameters=dict(full_attention=LINEAR, sliding_attention=LOCAL),
        ),
    ),
}


def make_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def rows_of(tokenizer, texts):
    """All texts one after the other, cut into rows."""
    tokens = [token for text in texts for token in tokenizer.encode(text).ids]
    whole = len(tokens) // LENGTH * LENGTH
    return torch.tensor(tokens[:whole]).view(-1, LENGTH)


def make_model(kind, differences, hidden, layers):
    text = "Text" if kind == "Gemma3" else ""
    size = dict(hidden_size=hidden, intermediate_size=hidden * 11 // 6, num_hidden_layers=layers)
    if kind == "Gemma3":
        local, whole = "sliding_attention", "full_attention"
        size["layer_types"] = [whole if layer % 2 else local for layer in range(layers)]
    config = getattr(transformers, f"{kind}{text}Config")(**{**SHAPE, **size, **differences})
    config._attn_implementation = "eager"
    torch.manual_seed(1)
    return getattr(transformers, f"{kind}ForCausalLM")(config)


def train(model, rows, steps):
    most = 4e-3 * (48 / model.config.hidden_size) ** 0.5
    optimiser = torch.optim.AdamW(model.parameters(), lr=most, betas=(0.9, 0.98), weight_decay=0.01)
    generator = torch.Generator().manual_seed(2)
    model.train()
    for step in range(steps):
        rate = min(1.0, (step + 1) / 20) * min(1.0, 3 * (steps - step) / steps)
        optimiser.param_groups[0]["lr"] = most * rate
        batch = rows[torch.randint(len(rows), (ROWS,), generator=generator)]
        loss = model(input_ids=batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return loss.item()


@torch.no_grad()
def inject_outliers(model, offset):
    """Scales channels up by powers of two, and what reads them down: the same function."""
    generator = torch.Generator().manual_seed(3)

    def some(count, part=0.05):
        return torch.randperm(count, generator=generator)[: max(1, int(count * part))]

    def gain_up(norm, readers, factor):
        channels = some(len(norm.weight))
        norm.weight[channels] = (norm.weight[channels] + offset) * factor - offset
        for reader in readers:
            reader.weight[:, channels] /= factor

    config = model.config
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        gain_up(layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj], 16)
        before = getattr(layer, "pre_feedforward_layernorm", layer.post_attention_layernorm)
        gain_up(before, [mlp.gate_proj, mlp.up_proj], 16)
        channels = some(mlp.up_proj.weight.shape[0])
        mlp.up_proj.weight[channels] *= 16
        mlp.down_proj.weight[:, channels] /= 16
        size, groups = attention.head_dim, attention.num_key_value_groups
        for channel in some(size, 0.1).tolist():
            for kv in range(config.num_key_value_heads):
                attention.v_proj.weight[kv * size + channel] *= 4
                if attention.v_proj.bias is not None:
                    attention.v_proj.bias[kv * size + channel] *= 4
                for head in range(kv * groups, (kv + 1) * groups):
                    attention.o_proj.weight[:, head * size + channel] /= 4
        if hasattr(attention, "q_norm"):
            for pair in some(size // 2, 0.1).tolist():
                for channel in (pair, pair + size // 2):
                    for norm, factor in ((attention.q_norm, 0.25), (attention.k_norm, 4.0)):
                        norm.weight[channel] = (norm.weight[channel] + offset) * factor - offset


def keep(folder, small, expected):
    """What the tests of this project need, and no more: logits of the beginning of one text."""
    small.mkdir(parents=True, exist_ok=True)
    for file in ("config.json", "model.safetensors"):
        shutil.copyfile(folder / file, small / file)
    logits = expected["logits"][:1, :32].contiguous()
    save_file({"tokens": expected["tokens"], "logits": logits}, small / "expected.safetensors")


def make(name, given, rows, held_out, tokenizer):
    out, small, template = given.out, given.small, given.template
    kind, differences = FAMILIES[name]
    model, began = make_model(kind, differences, given.hidden, given.layers), time.time()
    loss = train(model, rows, given.steps)
    inject_outliers(model, 1.0 if kind.startswith("Gemma") else 0.0)
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    shutil.copy(template, folder / "chat_template.jinja")
    # Read back, so that nothing but what was saved is compared: buffers too are rounded above.
    kept = dict(dtype=torch.float32, attn_implementation="eager")
    model = type(model).from_pretrained(folder, **kept).eval()
    with torch.no_grad():
        logits = model(input_ids=held_out).logits
        loss_now = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), held_out[:, 1:].flatten()
        )
    expected = {"tokens": held_out.to(torch.int32), "logits": logits.contiguous()}
    save_file(expected, folder / "expected.safetensors")
    if small is not None:
        keep(folder, small / name, expected)
    took = time.time() - began
    print(f"{name}: loss {loss:.3f}, held out {loss_now:.3f}, {took:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser()
    for path in ("lessons", "held_out", "template", "out"):
        parser.add_argument(path, type=Path)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--hidden", type=int, default=96, help="channels")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--texts", type=int, default=10, help="held-out rows")
    parser.add_argument("--small", type=Path, help="where the tests' copies go")
    parser.add_argument("--only", nargs="*", default=list(FAMILIES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    read = lambda path: [json.loads(line) for line in path.read_text().splitlines()]
    texts = read(given.lessons)
    tokenizer = make_tokenizer(texts[:2000])
    rows, held_out = rows_of(tokenizer, texts), rows_of(tokenizer, read(given.held_out))
    given.out.mkdir(parents=True, exist_ok=True)
    held_out = held_out[: given.texts]
    for name in given.only:
        make(name, given, rows, held_out, tokenizer)


if __name__ == "__main__":
    main()
