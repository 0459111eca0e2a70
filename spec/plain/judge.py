"""A whole file judged: what `mutirao verify` says, line by line."""

from .bundle import ATTESTED, PROVEN, Verdict, judge, short
from .replay import replay
from .source import Refused
from .text import ROLES, TextLayer, Unknown

# The version of the text layer whose rules `text` follows.
STACK = "mutirao-text/1 tokenizers/0.22.2 minijinja/2.24.0"


class Findings:
    def __init__(self, name, model):
        self.name, self.model, self.lines, self.holds = name, model, [], False
        try:
            self.text = TextLayer(model)
        except Unknown as unknown:
            self.text = unknown

    def of(self, bundle):
        """Name and finding of each line, and whether the file holds."""
        lines = [("format", bundle.format)]
        model = f"{self.name} ({short(bundle.job.model)})"
        try:
            if bundle.evidence:
                lines += [("accused", bundle.offer.provider.hex()), ("model", model)]
                self.evidence(bundle, lines)
            else:
                lines.append(("receipt", bundle.receipt.id().hex()))
                lines += [("provider", bundle.receipt.provider.hex()), ("model", model)]
                self.receipt(bundle, lines)
        except Verdict as refusal:
            return lines + [("refused", str(refusal))], False
        return lines, True

    def receipt(self, bundle, lines):
        bundle.check(self.model)
        lines.append(("signature", "signed by the certified receipt key"))
        lines.append(("finish", bundle.receipt.finish))
        verdict, place, _ = self.replay(bundle, bundle.receipt.finish)
        there = "replay gives another token there"
        judge(verdict != "diverges", f"tokens: diverge at {place}: {there}")
        other = "finish: the answer does not end as the receipt says (replay ends otherwise)"
        judge(verdict == "exact", other)
        lines.append(("tokens", f"exact ({len(bundle.answer)} replayed)"))
        found = self.text_of(bundle)
        lines.append(("text", found))
        lines.append(("proven", PROVEN))
        lines.append(("attested", f"{ATTESTED} (the signer's word)"))
        judge(not found.startswith("DIFF"), "text: it is not what these tokens say")

    def evidence(self, bundle, lines):
        try:
            bundle.check(self.model)
        except Verdict as refusal:
            raise Verdict(f"the evidence does not hold: {refusal}") from None
        finish = bundle.receipt.finish if bundle.receipt else "cancelled"
        verdict, place, _ = self.replay(bundle, finish)
        judge(verdict != "exact", "not guilty: every signed token is the model's")
        lines.append(("verdict", f"guilty: token {place} is signed and not the model's"))

    def replay(self, bundle, finish):
        try:
            index = bundle.receipt.index if bundle.receipt else len(bundle.answer)
            return replay(self.model, bundle.job, bundle.answer, finish, index)
        except Refused as error:
            raise Verdict(f"replay: {error}") from None

    def text_of(self, bundle):
        text = bundle.text
        if text is None:
            return "none in the opening"
        if isinstance(self.text, Unknown):
            return f"not checked: {self.text} is not read here"
        layer, prompt = self.text, bundle.job.prompt
        try:
            matches = all(role in ROLES for role, _ in text.messages)
            matches = matches and layer.tokenizer.decode(bundle.answer) == text.answer
            # Where this Python does not know a character, a lie must not hide behind it.
            matches = matches and layer.spells(text.messages, prompt)
            matches = matches and layer.prompt(text.messages) == prompt
        except Refused:
            matches = False
        except Unknown as unknown:
            return f"not checked: {unknown} is not read here"
        if matches:
            return "matches: rendered and tokenised again"
        if text.stack != STACK:
            return f"other text-stack version ({text.stack}); not judged"
        return "DIFFERS: the messages or the answer are not those of the tokens"
