"""BLAKE3 (source: the BLAKE3 paper, section 2) and the digests of ENGINE-11.1."""

import struct

from .fast import numpy

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A]
IV += [0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
START, END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = 1, 2, 4, 8, 16, 32, 64
WORD = 0xFFFFFFFF


def mix(v, a, b, c, d, x, y):
    for word, far, near in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + word) & WORD
        v[d] ^= v[a]
        v[d] = (v[d] >> far | v[d] << (32 - far)) & WORD
        v[c] = (v[c] + v[d]) & WORD
        v[b] ^= v[c]
        v[b] = (v[b] >> near | v[b] << (32 - near)) & WORD


def compress(value, block, counter, flags):
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = value + IV[:4] + [counter & WORD, counter >> 32, len(block), flags]
    for _ in range(7):
        for at in range(4):
            mix(v, at, 4 + at, 8 + at, 12 + at, words[2 * at], words[2 * at + 1])
        for at in range(4):
            a, b = words[8 + 2 * at], words[9 + 2 * at]
            mix(v, at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4, a, b)
        words = [words[at] for at in ORDER]
    return [v[at] ^ v[at + 8] for at in range(8)]


def tree(key, data, counter, flags, root):
    if numpy is not None and root and len(data) > MANY:
        return broad(key, data, flags)
    if len(data) <= 1024:
        blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
        value = key
        for index, block in enumerate(blocks):
            last = index + 1 == len(blocks)
            here = flags | (START if index == 0 else 0) | ((END | root) if last else 0)
            value = compress(value, block, counter, here)
        return value
    left = 1024 << ((len(data) - 1) // 1024).bit_length() - 1
    halves = tree(key, data[:left], counter, flags, 0), tree(
        key, data[left:], counter + left // 1024, flags, 0
    )
    block = struct.pack("<16I", *halves[0], *halves[1])
    return compress(key, block, 0, flags | PARENT | root)


MANY = 1 << 14


def broad(key, data, flags):
    """The root of a long input: as `tree`, with all chunks and then all parents of a level at once."""
    full = (len(data) - 1) // 1024
    words = numpy.frombuffer(data, "<u4", full * 256).reshape(full, 16, 16)
    values, counters = [numpy.full(full, word, "u4") for word in key], numpy.arange(full)
    for block in range(16):
        here = flags | (START if block == 0 else 0) | (END if block == 15 else 0)
        values = side_by_side(values, list(words[:, block].T), counters, here)
    last = tree(key, data[full * 1024 :], full, flags, 0)
    level = numpy.concatenate([numpy.array(values, "u4").T, numpy.array([last], "u4")])
    while len(level) > 2:
        pairs = level[: len(level) // 2 * 2].reshape(-1, 16)
        start = [numpy.full(len(pairs), word, "u4") for word in key]
        above = side_by_side(start, list(pairs.T), numpy.zeros(len(pairs)), flags | PARENT)
        level = numpy.concatenate([numpy.array(above, "u4").T, level[len(pairs) * 2 :]])
    block = level.astype("<u4").tobytes()
    return compress(key, block, 0, flags | PARENT | ROOT)


def side_by_side(value, words, counters, flags):
    """As `compress`, for one whole block each of many chunks."""
    count, counters = len(counters), counters.astype("u8")
    low, high = (counters & WORD).astype("u4"), (counters >> 32).astype("u4")
    fixed = [numpy.full(count, word, "u4") for word in (*IV[:4], 64, flags)]
    v = value + fixed[:4] + [low, high] + fixed[4:]
    turn = lambda x, far: x >> far | x << (32 - far)

    def quarter(a, b, c, d, x, y):
        for word, far, near in ((x, 16, 12), (y, 8, 7)):
            v[a] = v[a] + v[b] + word
            v[d] = turn(v[d] ^ v[a], far)
            v[c] = v[c] + v[d]
            v[b] = turn(v[b] ^ v[c], near)

    for _ in range(7):
        for at in range(4):
            quarter(at, 4 + at, 8 + at, 12 + at, words[2 * at], words[2 * at + 1])
        for at in range(4):
            a, b = words[8 + 2 * at], words[9 + 2 * at]
            quarter(at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4, a, b)
        words = [words[at] for at in ORDER]
    return [v[at] ^ v[at + 8] for at in range(8)]


def pack8(value):
    return struct.pack("<8I", *value)


def keyed(key, data):
    return pack8(tree(list(struct.unpack("<8I", key)), data, 0, KEYED, ROOT))


def digest(domain, parts):
    """ENGINE-11.1"""
    context = tree(IV, domain.encode(), 0, CONTEXT, ROOT)
    data = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    return pack8(tree(context, data, 0, MATERIAL, ROOT))
