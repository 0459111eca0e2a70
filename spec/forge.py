#!/usr/bin/env python3
"""Forges receipts in every field and expects each to be refused:

    python3 spec/forge.py receipt.json [more.json …] --model models/village [--program mutirao]

Each receipt must hold. Then an *outsider*, who cannot sign, changes one field or one byte of it, and a *liar*,
who is a provider with keys of its own, makes everything fit again and signs. What a replay can contradict must
be refused for that reason; what is only attested must pass under the liar's name. With `--program` the program
judges the forgeries of the first receipt too, and must say the same.
"""

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
from functools import lru_cache
from hashlib import sha512
from pathlib import Path

from plain.blake3 import digest
from plain.bundle import Bundle
from plain.ed25519 import BASE, L, encode, times
from plain.judge import Findings
from plain.source import Refused
from plain.wire import Job, list_of
from verify import opened

# A liar's keys. Signing here takes as long as its secret says: fit for nothing but this test.
NETWORK, RECEIPTS = bytes([1]) * 32, bytes([2]) * 32


@lru_cache
def public(secret):
    scalar, _ = halves(secret)
    return encode(times(scalar, BASE))


def halves(secret):
    wide = sha512(secret).digest()
    scalar = int.from_bytes(wide[:32], "little") & ((1 << 254) - 8) | 1 << 254
    return scalar, wide[32:]


def sign(secret, purpose, statement):
    """RFC 8032, section 5.1.6"""
    message = digest(f"mutirao 1 signature {purpose}", [statement])
    (scalar, prefix), number = halves(secret), lambda *parts: int.from_bytes(
        sha512(b"".join(parts)).digest(), "little"
    )
    r = number(prefix, message) % L
    point, key = encode(times(r, BASE)), public(secret)
    s = (r + number(point, key, message) * scalar) % L
    return statement + point + s.to_bytes(32, "little")


class Paper:
    """A receipt's file taken apart so that each field can be changed; `bytes` puts it together."""

    def __init__(self, content):
        self.file = json.loads(content)
        bundle = Bundle(content)
        self.job, self.answer = bytearray(bundle.job.bytes), list(bundle.answer)
        self.receipt, self.offer = bytearray(bundle.receipt.bytes), bytearray(bundle.offer.bytes)
        self.prompt = len(bundle.job.prompt)

    def parsed(self):
        return Job(bytes(self.job))

    def bytes(self):
        opening = self.file["opening"] | {"job": self.job.hex(), "answer": self.answer}
        parts = {"receipt": self.receipt.hex(), "offer": self.offer.hex(), "opening": opening}
        return json.dumps(self.file | parts).encode()

    def part(self, name):
        """Where a field of a job stands: session.md, section Encoding"""
        sampling = 1 + 2 + 32 + 4 + 4 * self.prompt
        return {
            "model": 3,
            "prompt": 39,
            "temperature": sampling,
            "top_k": sampling + 4,
            "min_p": sampling + 8,
            "top_p": sampling + 12,
            "seed": sampling + 16,
            "max_tokens": sampling + 48,
            "nonce": len(self.job) - 32,
        }[name]


# Where the fields of a receipt and of an offer stand: receipt.md, section Encoding.
RECEIPT = {
    "version": 0,
    "scheme": 1,
    "job commitment": 2,
    "order": 34,
    "answer commitment": 66,
    "model": 98,
    "op set": 130,
    "prompt tokens": 132,
    "answer tokens": 136,
    "served start": 140,
    "served end": 144,
    "finish": 148,
}
OFFER = {"version": 0, "provider": 1, "receipt key": 33, "model": 65, "op set": 97}


def outsider(paper):
    """Names and changes that nobody signed."""
    for name, at in RECEIPT.items():
        yield f"receipt: {name}", lambda p, at=at: flip(p.receipt, at)
    for name, behind in (("price", -120), ("started", -112), ("duration", -104), ("provider", -96)):
        if behind == -120:
            behind = -64 - 32 - 4 - 8 - 8
        yield f"receipt: {name}", lambda p, at=behind: flip(p.receipt, at)
    yield "receipt: signature R", lambda p: flip(p.receipt, -64)
    yield "receipt: signature s", lambda p: flip(p.receipt, -32)
    yield "receipt: signature s + L", lambda p: second_form(p.receipt)
    yield "receipt: no signature", lambda p: p.receipt.__delitem__(slice(-64, None))
    for name, at in OFFER.items():
        yield f"offer: {name}", lambda p, at=at: flip(p.offer, at)
    yield "offer: signature", lambda p: flip(p.offer, -1)
    yield "offer: capacity", lambda p: flip(p.offer, -64 - 8 - 8 - 4)
    for name in ("model", "temperature", "top_k", "min_p", "top_p", "seed", "max_tokens", "nonce"):
        yield f"job: {name}", lambda p, name=name: flip(p.job, p.part(name))
    yield "job: a token of the prompt", lambda p: flip(p.job, p.part("prompt") + 4 * (p.prompt // 2))
    yield "job: a byte more", lambda p: p.job.append(0)
    yield "answer: a token", lambda p: change(p.answer, len(p.answer) // 2)
    yield "answer: one less", lambda p: p.answer.pop()
    yield "answer: one more", lambda p: p.answer.append(0)
    yield "text: the answer", lambda p: said(p, "answer", "!")
    yield "text: the messages", lambda p: p.file["opening"]["text"]["messages"].pop()


def flip(data, at):
    data[at] ^= 1


def change(tokens, at):
    tokens[at] ^= 1


def second_form(signed):
    """The same signature with s + L, where that fits 32 bytes; loose verifiers take both."""
    s = int.from_bytes(signed[-32:], "little") + L
    signed[-32:] = s.to_bytes(32, "little")


def said(paper, field, more):
    paper.file["opening"]["text"][field] += more


def liar(paper):
    """Names, changes and the beginning of what must be said of them, after all is made to fit and signed."""
    count, word = len(paper.answer), "tokens: diverge at "
    if count:
        middle = count // 2
        yield "a token", lambda p: change(p.answer, middle), ("tokens: diverge at %d:" % middle, "finish")
        # A cancelled answer may be cut anywhere: to cancel is a wish, and the text says otherwise.
        yield "cut short", lambda p: p.answer.pop(), ("finish", "text")
        yield "gone on", lambda p: p.answer.append(5), (word, "finish")
    yield "another prompt", lambda p: change_prompt(p), (word, "finish", "text")
    yield "another model", lambda p: flip(p.job, 3), ("error",)
    yield "another op set", lambda p: flip(p.job, 1), ("this receipt is for",)
    yield "no prompt", lambda p: cut_prompt(p), ("replay: the prompt is empty",)
    yield "a grammar", lambda p: add_grammar(p), ("replay: the job has a grammar",)
    yield "a trap", lambda p: finish(p, 3), ("finish",)
    yield "provider stopped", lambda p: finish(p, 5), ("finish",)
    yield "cancelled elsewhere", lambda p: finish(p, 4, count + 1), ("finish",)
    for name, tag in (("eos", 0), ("stop", 1), ("length", 2)):
        if paper.receipt[148] != tag:
            yield f"an end by {name}", lambda p, tag=tag: finish(p, tag), ("finish",)
    for name in ("model", "op set", "prompt tokens", "answer tokens", "served end"):
        word = "commitment" if name in ("model", "op set") else "count"
        yield f"a wrong {name}", lambda p, name=name: p.wrong.append(name), (word,)


def change_prompt(paper):
    at = paper.part("prompt") + 4 * (paper.prompt // 2)
    paper.job[at : at + 4] = struct.pack("<I", 7)


def cut_prompt(paper):
    del paper.job[39 : 39 + 4 * paper.prompt]
    paper.job[35:39], paper.prompt = bytes(4), 0


def add_grammar(paper):
    paper.job[-33:-32] = bytes([1]) + bytes(8)


def finish(paper, tag, index=0):
    paper.finish = bytes([tag]) + (struct.pack("<I", index) if tag == 4 else b"")


def signed_again(paper):
    """What the liar does so that everything fits but the lie."""
    offer = bytearray(paper.offer[:-64])
    job = paper.parsed()
    offer[1:65], offer[65:97] = public(NETWORK) + public(RECEIPTS), job.model
    offer[97:99] = struct.pack("<H", job.op_set)
    paper.offer = bytearray(sign(NETWORK, "offer", bytes(offer)))
    old, end = bytes(paper.receipt), 153 if paper.receipt[148] == 4 else 149
    ending = paper.finish if paper.finish is not None else old[148:end]
    if ending[0] == 4 and paper.finish is None:
        ending = bytes([4]) + struct.pack("<I", len(paper.answer))
    counts = struct.pack("<4I", len(job.prompt), len(paper.answer), 0, len(paper.answer))
    receipt = old[:2] + job.commitment() + old[34:66] + job.answer_commitment(paper.answer)
    receipt += job.model + struct.pack("<H", job.op_set) + counts + ending + old[end:-96]
    receipt = bytearray(receipt + public(NETWORK))
    for name in paper.wrong:
        flip(receipt, RECEIPT[name])
    paper.receipt = bytearray(sign(RECEIPTS, "receipt", bytes(receipt)))


def attested(paper):
    """What only the signer says may be anything, under his name."""
    yield "an honest receipt, signed by another", lambda p: None
    yield "another order", lambda p: flip(p.receipt, RECEIPT["order"])
    yield "another price", lambda p: flip(p.receipt, -64 - 32 - 4 - 8 - 8)


def stopped(paper):
    """An honest answer that ends with a stop sequence: the program makes none so far."""
    if len(paper.answer) < 4 or paper.receipt[148] == 4:
        return None
    cut = paper.answer[: len(paper.answer) // 2]
    first = next(n for n in range(2, len(cut) + 1) if cut[n - 2 : n] == cut[-2:])
    tail = paper.part("nonce") - 1
    paper.job[tail - 4 : tail] = struct.pack("<I", 1) + list_of(cut[-2:])
    paper.answer = cut[:first]
    finish(paper, 1)
    signed_again(paper)
    paper.file["opening"].pop("text", None)
    return paper


def evidence(content, first, lie):
    """A checkpoint over the first tokens of an answer, and whether one of them is wrong."""
    paper = Paper(content)
    job, tokens = paper.parsed(), paper.answer[:first]
    if lie:
        change(tokens, first // 2)
    offer = bytearray(paper.offer[:-64])
    offer[1:65] = public(NETWORK) + public(RECEIPTS)
    point = job.commitment() + bytes(32) + struct.pack("<I", first) + job.prefix_digest(tokens)
    paper.file["opening"].pop("text", None)
    opening = paper.file["opening"] | {"answer": tokens}
    parts = {
        "format": "mutirao-evidence/1",
        "checkpoint": sign(RECEIPTS, "checkpoint", point).hex(),
        "offer": sign(NETWORK, "offer", bytes(offer)).hex(),
        "opening": opening,
    }
    return parts


def try_evidence(content, court, ask):
    count = min(16, len(Paper(content).answer))
    if count == 0:
        return
    guilty, true = evidence(content, count, True), evidence(content, count, False)
    dumped = lambda file, **more: json.dumps(file | more).encode()
    court.expect("evidence of a lie", dumped(guilty), True, ask=ask)
    court.expect("evidence of no lie", dumped(true), False, ("not guilty",), ask=ask)
    other = dumped(guilty, checkpoint=true["checkpoint"])
    court.expect("evidence of other tokens", other, False, ("the evidence does not hold",), ask=ask)
    moved = dumped(guilty, offer=Bundle(content).offer.bytes.hex())
    court.expect("evidence against another", moved, False, ("the evidence does not hold",), ask=ask)
    short = dumped(guilty, opening=guilty["opening"] | {"answer": guilty["opening"]["answer"][:-1]})
    court.expect("evidence cut short", short, False, ("the evidence does not hold",), ask=ask)
    both = dumped(guilty, receipt=Bundle(content).receipt.bytes.hex())
    court.expect("two statements at once", both, False, ("error",), ask=ask)


class Court:
    def __init__(self, findings, program):
        self.findings, self.program, self.count, self.asked = findings, program, 0, 0
        self.wrong, self.place = [], tempfile.TemporaryDirectory()

    def says(self, content):
        """Whether a file holds, and the words of a refusal."""
        try:
            bundle = Bundle(content)
            if bundle.job.model != self.findings.model.id:
                return False, "error: another model"
            lines, holds = self.findings.of(bundle)
            return holds, dict(lines).get("refused", "")
        except Refused as error:
            return False, f"error: {error}"

    def expect(self, name, content, holds, beginnings=("",), ask=False):
        self.count += 1
        found, words = self.says(content)
        right = found == holds and (holds or words.startswith(tuple(beginnings)))
        if not right:
            self.wrong.append(f"{name}: holds {found}, said {words!r}")
        if ask and self.program:
            self.ask(name, content, found)

    def ask(self, name, content, found):
        """The program must come to the same."""
        self.asked += 1
        path = Path(self.place.name) / "forged.json"
        path.write_bytes(content)
        words = [self.program, "verify", str(path), "--data-dir", self.place.name + "/data"]
        code = subprocess.run(words, capture_output=True).returncode
        if (code == 0) != found:
            self.wrong.append(f"{name}: the program ends with {code}, here it holds: {found}")


def forged(content, change, signer=None):
    paper = Paper(content)
    paper.finish, paper.wrong = None, []
    change(paper)
    if signer:
        signer(paper)
    return paper.bytes()


def try_all(content, court, ask, dice):
    court.expect("honest", content, True, ask=ask)
    for name, change in outsider(Paper(content)):
        made = forged(content, change)
        court.expect(f"outsider, {name}", made, False, ask=ask)
    for name, change, beginnings in liar(Paper(content)):
        made = forged(content, change, signed_again)
        court.expect(f"liar, {name}", made, False, beginnings, ask=ask)
    for name, change in attested(Paper(content)):
        made = forged(content, change, signed_again)
        court.expect(f"attested, {name}", made, True, ask=ask)
    honest = Bundle(content)
    same = lambda bundle: (bundle.receipt.bytes, bundle.offer.bytes, bundle.job.bytes, bundle.answer)
    for _ in range(8):
        flipped = bytearray(content)
        flipped[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        try:
            unread = same(Bundle(bytes(flipped))) == same(honest)
        except Refused:
            unread = False
        # A flip in what is written for people changes nothing that is read.
        if not unread:
            court.expect("a flipped bit", bytes(flipped), False)


def main():
    parser = argparse.ArgumentParser(description="Forge receipts; each forgery must be refused.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, default=Path("models/village"))
    parser.add_argument("--program", help="judges the forgeries of the first receipt too")
    parser.add_argument("--some", type=int, default=1, help="forge only each n-th receipt")
    arguments = parser.parse_args()
    court = Court(Findings(*opened(arguments.model, "w8")), arguments.program)
    dice = random.Random(1)
    for at, path in enumerate(arguments.files):
        content = path.read_bytes()
        if at % arguments.some:
            court.expect(f"{path}: honest", content, True)
            continue
        try_all(content, court, at == 0, dice)
        try_evidence(content, court, at == 0)
        paper = Paper(content)
        paper.finish, paper.wrong = None, []
        if stopped(paper):
            court.expect("a stop sequence", paper.bytes(), True, ask=at == 0)
    for line in court.wrong:
        print(f"WRONG: {line}")
    files = len(arguments.files)
    print(f"{files} receipts, {court.count} judged, {court.asked} of them by the program as well")
    return 1 if court.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
