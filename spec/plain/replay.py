"""Whether an answer is the model's own: ENGINE-14.1, 14.2 and 14.5."""

from .answer import choose
from .arithmetic import Trap
from .batch import Batch, Ended
from .fast import numpy
from .sequence import Sequence
from .source import want

# Positions whose logits are held at a time.
SLICE = 64


def fits(model, job):
    """ENGINE-14.1"""
    h = model.header
    want(job.model == model.id, "the job is for another model")
    want(job.op_set == h.op_set, f"the job wants op set {job.op_set}")
    want(job.prompt, "the prompt is empty")
    want(job.max_tokens, "the job asks for no tokens")
    want(max(job.prompt) < h.vocabulary, "a token of the prompt is out of the vocabulary")
    wanted = len(job.prompt) + job.max_tokens
    want(wanted <= h.context, f"{wanted} positions are wanted, the context has {h.context}")
    want(not job.grammar, "the job has a grammar, and this program follows none")


def ending(job, ends, answer, count):
    """RECEIPT-3.1: how the first `count` tokens of an answer end, or none where they could go on."""
    if count and answer[count - 1] in ends:
        return "eos"
    if any(len(stop) <= count and answer[count - len(stop) : count] == stop for stop in job.stop):
        return "stop"
    return "length" if count >= job.max_tokens else None


class Given:
    """What the model gives after the prompt and the first tokens of an answer; none where it traps."""

    def __init__(self, model, job, answer):
        self.model, self.prompt, self.answer = model, job.prompt, answer
        self.sampling = {
            "temperature_milli": job.temperature,
            "top_k": job.top_k,
            "min_p": job.min_p,
            "top_p": job.top_p,
            "seed": job.seed.hex(),
        }
        self.begin()

    def after(self, count):
        logits = self.logits(count)
        if logits is None:
            return None
        return choose(logits, self.sampling, len(self.prompt) + count)


class OneByOne(Given):
    def begin(self):
        self.sequence, self.trapped = Sequence(self.model), False

    def logits(self, count):
        """Asked for 0, 1, 2 … in turn."""
        tokens = self.prompt if count == 0 else [self.answer[count - 1]]
        try:
            for token in tokens[:-1]:
                self.sequence.feed(token, wanted=False)
            return self.sequence.feed(tokens[-1])
        except Trap:
            return None


class AtOnce(Given):
    def begin(self):
        # What stands behind a token that no model gives cannot be fed, and is never asked for.
        unknown = (n for n, token in enumerate(self.answer) if token >= self.model.header.vocabulary)
        known = self.answer[: next(unknown, len(self.answer))]
        self.total, self.first, self.slice = len(self.prompt) + len(known), 0, []
        try:
            self.batch = Batch(self.model, self.prompt + known)
        except Ended:
            self.batch = None

    def logits(self, count):
        at = len(self.prompt) - 1 + count
        if self.batch is None or at >= self.batch.alive:
            return None
        if not self.first <= at < self.first + SLICE or not len(self.slice):
            self.first, end = at, min(at + SLICE, self.batch.alive)
            self.slice = self.batch.logits(at, end)
        behind = at - self.first
        return self.slice[behind] if behind < len(self.slice) else None


ROADS = [OneByOne] if numpy is None else [AtOnce, OneByOne]


def replay(model, job, answer, finish, index=None, road=ROADS[0]):
    """Says "exact", or "diverges" with a place and what belongs there, or "wrong finish" with the right one."""
    fits(model, job)
    given = road(model, job, cut(model, job, answer))
    stated = finish == "provider_stopped" or finish == "cancelled" and index == len(answer)
    for count in range(len(answer) + 1):
        end, last = ending(job, model.header.ends, answer, count), count == len(answer)
        token = None
        if end is None and not (last and stated):
            token = given.after(count)
            end = "trap" if token is None else None
        if last:
            right = stated or end == finish
            return ("exact", None, None) if right else ("wrong finish", count, end)
        if token != answer[count]:
            return "diverges", count, token
    raise AssertionError("the last turn returns")


def cut(model, job, answer):
    """An answer up to where its tokens end it: nothing behind is computed."""
    counts = range(len(answer) + 1)
    return answer[: next((n for n in counts if ending(job, model.header.ends, answer, n)), None)]
