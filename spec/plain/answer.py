"""Choosing tokens, and whole answers: sections 13 and 14 of docs/spec/engine.md."""

import struct

from .arithmetic import EXP2, Trap, rnd
from .blake3 import digest, keyed
from .fast import numpy
from .sequence import Sequence


def weigh(logits, temperature):
    """ENGINE-13.2"""
    inverse = (6196328019 * 256000 + (temperature << 31)) // (temperature << 32)
    if numpy is None:
        largest = max(logits)
        return [EXP2[min(rnd((largest - l) * inverse, 9), 65535)] for l in logits]
    logits = numpy.asarray(logits, "i8")
    # A distance is below 2^32 and inverse below 2^19.
    steps = numpy.minimum(((logits.max() - logits) * inverse + 256) >> 9, 65535)
    return numpy.array(EXP2)[steps].tolist()


def least_weight(p, job):
    """ENGINE-13.3: the least weight that stays"""
    order, c = sorted(p, reverse=True), max(1, -(-job["min_p"] * 32767 // 65536))
    if 0 < job["top_k"] <= len(p):
        c = max(c, order[job["top_k"] - 1])
    total, heavy = sum(w for w in p if w >= c), 0
    for w, next_one in zip(order, order[1:] + [-1]):
        heavy += w
        if next_one < w and heavy << 16 >= total * job["top_p"]:
            return max(c, w)
    raise AssertionError("all weights together are enough")


def choose(logits, job, position):
    t = job["temperature_milli"]
    if t == 0:
        return int(numpy.argmax(logits)) if numpy else logits.index(max(logits))
    p = weigh(logits, t)
    c = least_weight(p, job)
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
