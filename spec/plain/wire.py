"""Jobs, receipts, offers and checkpoints in their one encoding: session.md and receipt.md, section Encoding."""

import struct

from .blake3 import digest, keyed
from .ed25519 import verifies
from .model import Reader, decodes, within
from .source import want

FINISHES = ("eos", "stop", "length", "trap", "cancelled", "provider_stopped")


class Wire(Reader):
    """A reader that names what it reads."""

    def tokens(self, what, most):
        count = within(f"number of tokens of the {what}", self.number(4), 0, most)
        return list(struct.unpack(f"<{count}I", self.take(4 * count)))

    def version(self, what, known):
        found = self.number(1)
        want(found == known, f"unknown {what} {found}")

    def key(self):
        return bytes(self.take(32))

    def end(self):
        want(self.at == len(self.data), "bytes after the end")


def list_of(tokens):
    return struct.pack(f"<I{len(tokens)}I", len(tokens), *tokens)


class Job:
    def __init__(self, data):
        read = Wire(data)
        read.version("job version", 1)
        self.bytes = data
        self.op_set, self.model = read.number(2), read.key()
        self.prompt = read.tokens("prompt", 1 << 17)
        self.temperature = within("temperature", read.number(4), 0, 100_000)
        self.top_k = read.number(4)
        self.min_p = within("min_p", read.number(4), 0, 1 << 16)
        self.top_p = within("top_p", read.number(4), 0, 1 << 16)
        self.seed = read.key()
        self.max_tokens = within("max tokens", read.number(4), 0, 1 << 17)
        count = within("number of stop sequences", read.number(4), 0, 8)
        self.stop = [read.tokens("stop sequence", 32) for _ in range(count)]
        want(all(self.stop), "an empty stop sequence")
        self.grammar = within("grammar flag", read.number(1), 0, 1) == 1
        if self.grammar:
            read.number(4)
            grammar = read.take(within("length of the grammar", read.number(4), 0, 1 << 18))
            want(decodes(grammar), "the grammar is no text")
        self.nonce = read.key()
        read.end()

    def salt(self, role):
        """SESSION-1.2"""
        return digest(f"mutirao 1 salt {role}", [self.nonce])

    def commitment(self):
        return keyed(self.salt("job"), self.bytes)

    def answer_commitment(self, tokens):
        return keyed(self.salt("answer"), list_of(tokens))

    def prefix_digest(self, tokens):
        return keyed(self.salt("prefix"), list_of(tokens))


class Signed:
    """A statement, its 64 bytes of signature, and the purpose that both serve: RECEIPT-1.2."""

    def __init__(self, data, purpose):
        want(len(data) >= 64, "too short for a signature")
        self.bytes, self.statement, self.signature = data, data[:-64], data[-64:]
        self.purpose, self.read = purpose, Wire(self.statement)

    def signed_by(self, key):
        message = digest(f"mutirao 1 signature {self.purpose}", [self.statement])
        return verifies(key, message, self.signature)


class Receipt(Signed):
    def __init__(self, data):
        super().__init__(data, "receipt")
        read = self.read
        read.version("receipt version", 1)
        read.version("commit scheme", 1)
        self.job, self.order, self.answer, self.model = (read.key() for _ in range(4))
        self.op_set = read.number(2)
        self.prompt_tokens, self.answer_tokens = read.number(4), read.number(4)
        self.start, self.end = read.number(4), read.number(4)
        tag = read.number(1)
        want(tag < len(FINISHES), f"unknown finish {tag}")
        self.finish = FINISHES[tag]
        self.index = read.number(4) if self.finish == "cancelled" else None
        self.price, self.started, self.duration = read.number(8), read.number(8), read.number(4)
        self.provider = read.key()
        read.end()

    def id(self):
        return digest("mutirao 1 receipt id", [self.bytes])


class Checkpoint(Signed):
    def __init__(self, data):
        super().__init__(data, "checkpoint")
        read = self.read
        self.job, self.order, self.index, self.prefix = read.key(), read.key(), read.number(4), read.key()
        read.end()


class Offer(Signed):
    def __init__(self, data):
        super().__init__(data, "offer")
        read = self.read
        version = read.number(1)
        want(version in (1, 2), f"unknown offer version {version}")
        self.provider, self.receipt_key, self.model = (read.key() for _ in range(3))
        self.op_set = read.number(2)
        self.name = read.counted("model name", 64)
        want(decodes(self.name), "the name is not UTF-8")
        self.context, self.prices = read.number(4), [read.number(8) for _ in range(4)]
        self.capacity = read.number(4)
        # Version 2 says how long a job may take, and how many a client may have at once.
        self.limits = [read.number(4) for _ in range(2)] if version == 2 else None
        self.sequence, self.expires = read.number(8), read.number(8)
        read.end()
