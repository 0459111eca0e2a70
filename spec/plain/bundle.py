"""`receipt.json` and `evidence.json`, and what must hold before a replay is worth its time: receipt.md,
sections 2 to 4 and Encoding."""

from .replay import ending
from .source import Refused, read_json, want
from .wire import Checkpoint, Job, Offer, Receipt

BYTES, MESSAGES, MESSAGE = 16 << 20, 4096, 1 << 20
PROVEN = "job, answer, model, op set, prompt tokens, answer tokens, finish"
ATTESTED = "order, served, price, started, duration, provider"


class Verdict(Exception):
    """The file is a bundle, and it does not hold; the text says why."""


def judge(holds, why):
    if not holds:
        raise Verdict(why)


def text_of(value, what, most):
    want(isinstance(value, str), f"{what} is no text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Refused(f"{what} is no text") from None
    want(size <= most, f"{what} has {size} bytes, at most {most} are read")
    return value


def object_of(value, what, needed, known=None):
    """An object that has the fields it needs; and no others, where `known` says which may be."""
    want(isinstance(value, dict), f"{what} is no object")
    want(not value.twice, f"{what} has a field twice")
    for name in needed:
        want(value.get(name) is not None, f"{what} has no field {name}")
    for name in value if known is not None else ():
        want(name in known, f"{what} has an unknown field {name}")
    return value


def bytes_of(value, what):
    text = text_of(value, what, BYTES)
    want(len(text) % 2 == 0 and not set(text) - set("0123456789abcdef"), f"{what} is no hexadecimal")
    return bytes.fromhex(text)


class Text:
    """The text around the tokens: what people wrote and read. Fields that are unknown are not read."""

    def __init__(self, value):
        object_of(value, "text", ("messages", "answer", "text_stack"))
        want(isinstance(value["messages"], list), "messages are no list")
        want(len(value["messages"]) <= MESSAGES, "too many messages")
        self.messages = []
        for message in value["messages"]:
            object_of(message, "a message", ("role", "content"))
            role = text_of(message["role"], "a role", BYTES)
            self.messages.append((role, text_of(message["content"], "a message", MESSAGE)))
        self.answer = text_of(value["answer"], "the answer's text", MESSAGE)
        self.stack = text_of(value["text_stack"], "text_stack", BYTES)
        self.tools, self.date = value.get("tools"), value.get("date")
        if self.date is not None:
            text_of(self.date, "date", BYTES)


class Bundle:
    """A receipt, or evidence, with its certificate and its opening."""

    def __init__(self, content):
        want(len(content) <= BYTES, f"the file has {len(content)} bytes, a bundle has at most {BYTES}")
        known = ("format", "about", "receipt", "checkpoint", "offer", "opening")
        file = object_of(read_json(content), "the file", ("format", "offer", "opening"), known)
        self.format = text_of(file["format"], "format", BYTES)
        kinds = ("mutirao-receipt/1", "mutirao-evidence/1")
        want(self.format in kinds, f"the file says format {self.format!r}")
        self.evidence = self.format == kinds[1]
        receipt, checkpoint = file.get("receipt"), file.get("checkpoint")
        if self.evidence:
            want((receipt is None) != (checkpoint is None), "not exactly one statement")
        else:
            want(receipt is not None, "the file has no field receipt")
            want(checkpoint is None, "a checkpoint in a receipt's file")
        of_receipt = receipt is not None
        signed = bytes_of(receipt if of_receipt else checkpoint, "the statement")
        self.receipt = Receipt(signed) if of_receipt else None
        self.checkpoint = None if of_receipt else Checkpoint(signed)
        self.offer = Offer(bytes_of(file["offer"], "offer"))
        opening = object_of(file["opening"], "opening", ("job", "answer"), ("job", "answer", "text"))
        self.job = Job(bytes_of(opening["job"], "job"))
        self.answer = opening["answer"]
        want(isinstance(self.answer, list) and len(self.answer) <= 1 << 17, "answer is no list")
        for token in self.answer:
            want(type(token) is int and 0 <= token < 1 << 32, f"{token!r} is no token")
        text = opening.get("text")
        self.text = None if text is None else Text(text)

    def check(self, model):
        """RECEIPT-2.4 and, of evidence, RECEIPT-4.2: all that needs no replay"""
        self.check_offer()
        if self.evidence:
            self.check_model(model)
        if self.receipt:
            same = self.offer.provider == self.receipt.provider
            judge(same, "the offer does not certify this receipt: its provider differs")
            self.check_receipt()
        else:
            self.check_checkpoint()
        if not self.evidence:
            self.check_model(model)
            self.check_finish(model.header.ends)

    def check_offer(self):
        judge(
            self.offer.signed_by(self.offer.provider),
            "the offer that certifies the receipt key is not signed by its provider",
        )
        other = "the offer does not certify this receipt: its {} differs"
        judge(self.offer.model == self.job.model, other.format("model"))
        judge(self.offer.op_set == self.job.op_set, other.format("op set"))

    def check_model(self, model):
        same = self.job.model == model.id and self.job.op_set == model.header.op_set
        wanted = f"model {short(self.job.model)}, op set {self.job.op_set}"
        judge(same, f"this receipt is for {wanted}")

    def signature(self, signed):
        by = signed.signed_by(self.offer.receipt_key)
        judge(by, "signature: not signed by the certified receipt key")

    def check_receipt(self):
        receipt, job = self.receipt, self.job
        self.signature(receipt)
        other = "commitment: the {} in the opening is not the one that was signed"
        judge(receipt.job == job.commitment(), other.format("job"))
        judge(receipt.answer == job.answer_commitment(self.answer), other.format("answer"))
        judge(receipt.model == job.model, other.format("model"))
        judge(receipt.op_set == job.op_set, other.format("op set"))
        other = "count: the {} in the receipt is not the opening's"
        judge(receipt.prompt_tokens == len(job.prompt), other.format("prompt tokens"))
        judge(receipt.answer_tokens == len(self.answer), other.format("answer tokens"))
        served = receipt.start <= receipt.end == receipt.answer_tokens
        judge(served, other.format("served range"))

    def check_checkpoint(self):
        point, job = self.checkpoint, self.job
        self.signature(point)
        other = "commitment: the {} in the opening is not the one that was signed"
        judge(point.job == job.commitment(), other.format("job"))
        judge(point.prefix == job.prefix_digest(self.answer), other.format("prefix"))
        judge(
            point.index == len(self.answer),
            "count: the covered tokens in the receipt is not the opening's",
        )

    def check_finish(self, ends):
        """RECEIPT-3.1, RECEIPT-3.2"""
        finish, count = self.receipt.finish, len(self.answer)
        natural = ending(self.job, ends, self.answer, count)
        if finish == "provider_stopped":
            why = "the provider gave up: incomplete"
        elif finish == "cancelled":
            why = None if self.receipt.index == count else "cancelled at another token"
        elif finish == "trap":
            why = None if natural is None else "it ended before any trap"
        else:
            why = None if natural == finish else "its last tokens say otherwise"
        judge(why is None, f"finish: the answer does not end as the receipt says ({why})")


def short(data):
    return data.hex()[:8]
