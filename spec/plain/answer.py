"""Choosing tokens, and whole answers: sections 13 and 14 of docs/spec/engine.md."""

import struct

from .arithmetic import EXP2, Trap, rnd
from .blake3 import digest, keyed
from .sequence import Sequence


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
