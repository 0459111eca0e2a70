"""Messages to tokens and tokens to text, for tokenizers and templates of the plainest kind; for any other
`Unknown` is raised, and the text of a receipt is then said to be unchecked, never to match.

Known are: byte-level BPE without normaliser, cut by one pattern, and templates that are loops, conditions and
joined texts. That is the shipped model, and nothing that a library would be needed for.
"""

import re
import unicodedata
from functools import lru_cache

from .source import Refused, read_json

PATTERN = " ?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+|\\s+"
# The characters with the property White_Space.
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
ROLES = ("system", "developer", "user", "assistant", "tool")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
SPLIT = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}


class Unknown(Exception):
    """Nothing wrong, but more than this file reads."""


def known(holds, what):
    if not holds:
        raise Unknown(what)


def byte_characters():
    """Each byte as a visible character: itself where it is one, else the next from 256 on."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    pairs = [(byte, chr(byte)) for byte in visible]
    return dict(pairs + [(byte, chr(256 + at)) for at, byte in enumerate(hidden)])


CHARACTER = byte_characters()
BYTE = {character: byte for byte, character in CHARACTER.items()}


def kind(character):
    """What the pattern tells apart: white, letter or mark, number, anything else."""
    if character in SPACES:
        return "s"
    category = unicodedata.category(character)
    known(category != "Cn", "a character that this Python's Unicode does not have")
    return {"L": "l", "M": "l", "N": "n"}.get(category[0], "o")


def words(text):
    """The matches of PATTERN, which leave nothing out."""
    kinds, at = "".join(map(kind, text)), 0
    while at < len(text):
        body = at + (text[at] == " " and kinds[at + 1 : at + 2] in ("l", "o"))
        if kinds[body] == "n":
            end = body + 1
        else:
            end = body
            while kinds[end : end + 1] == kinds[body]:
                end += 1
        yield text[at:end]
        at = end


class Tokenizer:
    def __init__(self, file):
        read = read_json(file)
        for field in ("normalizer", "post_processor"):
            known(read.get(field) is None, field)
        steps = read.get("pre_tokenizer") or {}
        same = steps == {"type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL]}
        known(same and read.get("decoder") == BYTE_LEVEL, "this pre_tokenizer or decoder")
        model = dict(read["model"])
        self.ids, merges = model.pop("vocab"), model.pop("merges")
        known(model.pop("type") == "BPE" and not any(model.values()), "this kind of BPE")
        known(all(c in self.ids for c in BYTE), "a byte without a token")
        pairs = (tuple(m.split(" ") if isinstance(m, str) else m) for m in merges)
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self.special = {}
        for added in read["added_tokens"]:
            plain = not any(added[flag] for flag in ("single_word", "lstrip", "rstrip", "normalized"))
            fine = plain and added["special"] and self.ids.get(added["content"]) == added["id"]
            known(fine, "an added token of this kind")
            self.special[added["content"]] = added["id"]
        self.texts = {number: text for text, number in self.ids.items()}
        # Longest first, so that of two that begin alike the longer is found.
        self.control = sorted(self.special, key=lambda text: (-len(text.encode()), text.encode()))
        self.word = lru_cache(maxsize=None)(self.merge)

    def merge(self, word):
        parts = [CHARACTER[byte] for byte in word.encode()]
        while len(parts) > 1:
            ranks = [self.ranks.get(pair, 1 << 62) for pair in zip(parts, parts[1:])]
            least = min(ranks)
            if least == 1 << 62:
                break
            at = ranks.index(least)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [self.ids[part] for part in parts]

    def encode(self, text, control=True):
        found = []
        pattern = "|".join(map(re.escape, self.control)) if control else ""
        for piece in re.split(f"({pattern})", text) if pattern else [text]:
            if control and piece in self.special:
                found.append(self.special[piece])
            else:
                for word in words(piece):
                    found += self.word(word)
        return found

    def spelling(self, tokens, control=True):
        """The bytes of tokens, with control tokens or without."""
        data = []
        for token in tokens:
            text = self.texts.get(token)
            if text is None:
                raise Refused(f"token {token} is not in the vocabulary")
            if text in self.special:
                data.append(text.encode() if control else b"")
            else:
                whole = all(c in BYTE for c in text)
                data.append(bytes(BYTE[c] for c in text) if whole else text.encode())
        return b"".join(data)

    def decode(self, tokens):
        return self.spelling(tokens, control=False).decode("utf-8", "replace")


# --- Templates: texts, `for`, `if`, joined strings, `trim` -------------------------------------------


class Template:
    def __init__(self, source):
        try:
            source = source.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unknown(str(error)) from None
        source = source.removesuffix("\n")
        parts = re.split(r"(\{\{-?.*?-?\}\}|\{%-?.*?-?%\}|\{#.*?#\})", source, flags=re.S)
        self.parts = []
        for at, part in enumerate(parts):
            if at % 2:
                known(part[1] != "#", "a comment in the template")
                inner = part[2:-2].removeprefix("-").removesuffix("-").strip()
                self.parts.append(("say" if part[1] == "{" else "do", inner))
            else:
                left = at > 0 and parts[at - 1][-3] == "-"
                right = at + 1 < len(parts) and parts[at + 1][2] == "-"
                part = part.lstrip(SPACES) if left else part
                self.parts.append(("text", part.rstrip(SPACES) if right else part))
        self.at = 0
        self.tree = self.block(())
        known(self.at == len(self.parts), "the end of the template")

    def block(self, ends):
        found = []
        while self.at < len(self.parts):
            what, content = self.parts[self.at]
            if what == "do" and content.split(" ")[0] in ends:
                return found
            self.at += 1
            if what == "text":
                found.append(("text", content))
            elif what == "say":
                found.append(("say", Expression(content).tree))
            elif match := re.fullmatch(r"for (\w+) in (\w+)", content):
                body = self.block(("endfor",))
                known(self.parts[self.at : self.at + 1] == [("do", "endfor")], "a loop's end")
                self.at += 1
                found.append(("for", *match.groups(), body))
            elif content.startswith("if "):
                found.append(self.condition(content[3:]))
            else:
                raise Unknown(f"{content!r} in the template")
        return found

    def condition(self, test):
        branches = []
        while True:
            branches.append((Expression(test).tree, self.block(("elif", "else", "endif"))))
            known(self.at < len(self.parts), "a condition's end")
            content = self.parts[self.at][1]
            self.at += 1
            if content == "endif":
                return "if", branches
            known(content.startswith("elif ") or content == "else", content)
            test = content[5:] if content != "else" else "true"

    def render(self, given):
        out = []
        run(self.tree, given, out)
        return "".join(out)


def run(tree, names, out):
    for what, *more in tree:
        if what == "text":
            out.append(more[0])
        elif what == "say":
            value = evaluate(more[0], names)
            known(isinstance(value, str), "a value that is no text")
            out.append(value)
        elif what == "for":
            variable, over, body = more
            known(isinstance(names.get(over), list), f"a loop over {over}")
            for item in names[over]:
                run(body, names | {variable: item}, out)
        else:
            branch = (body for test, body in more[0] if truth(evaluate(test, names)))
            run(next(branch, []), names, out)


class Expression:
    """`or`, `and`, `==`, `+`, a dot, the filter `trim`, texts, names and parentheses."""

    def __init__(self, text):
        pieces = re.findall(r"\s*('[^'\\]*'|\"[^\"\\]*\"|\w+|==|[.+|()])\s*", text)
        known("".join(pieces) == "".join(unquoted_spaces(text)), f"{text!r} in the template")
        self.pieces, self.at = pieces, 0
        self.tree = self.chain(0)
        known(self.at == len(pieces), f"{text!r} in the template")

    def next(self):
        return self.pieces[self.at] if self.at < len(self.pieces) else ""

    def chain(self, level):
        signs = ("or", "and", "==", "+")
        if level == len(signs):
            return self.filtered()
        left = self.chain(level + 1)
        while self.next() == signs[level]:
            self.at += 1
            left = signs[level], left, self.chain(level + 1)
        return left

    def filtered(self):
        value = self.single()
        while self.next() in (".", "|"):
            sign, name = self.next(), self.pieces[self.at + 1 : self.at + 2]
            known(name and (sign == "." or name == ["trim"]), f"the filter {name}")
            value, self.at = (sign, value, name[0]), self.at + 2
        return value

    def single(self):
        piece = self.next()
        self.at += 1
        if piece == "(":
            value = self.chain(0)
            known(self.next() == ")", "a parenthesis without its end")
            self.at += 1
            return value
        known(piece, "an empty expression")
        if piece[0] in "'\"":
            return "text", piece[1:-1]
        known(re.fullmatch(r"[a-z_]+", piece) and piece not in ("not", "in", "is", "if"), piece)
        return "name", piece


def unquoted_spaces(text):
    """The characters of an expression without the spaces outside of its texts."""
    for quoted, bare in re.findall(r"('[^']*'|\"[^\"]*\")|([^'\"]+)", text):
        yield quoted or "".join(bare.split())


def truth(value):
    known(isinstance(value, (bool, str)), "a condition of this kind")
    return bool(value)


def evaluate(tree, names):
    sign, *sides = tree
    if sign == "text":
        return sides[0]
    if sign == "name":
        constants = {"true": True, "false": False}
        known(sides[0] in names or sides[0] in constants, f"the name {sides[0]}")
        return names[sides[0]] if sides[0] in names else constants[sides[0]]
    left = evaluate(sides[0], names)
    if sign == ".":
        known(isinstance(left, dict) and sides[1] in left, f"the field {sides[1]}")
        return left[sides[1]]
    if sign == "|":
        known(isinstance(left, str), "trim of what is no text")
        return left.strip(SPACES)
    if sign in ("or", "and"):
        return left if truth(left) == (sign == "or") else evaluate(sides[1], names)
    right = evaluate(sides[1], names)
    known(isinstance(left, str) and isinstance(right, str), f"{sign} of what is no text")
    return left == right if sign == "==" else left + right


# --- Both -----------------------------------------------------------------------------------------


class TextLayer:
    def __init__(self, model):
        self.tokenizer, self.template = Tokenizer(model.tokenizer), Template(model.template)

    def pieces(self, messages):
        """What the template makes of messages: texts, and whether each stands for a control spelling.

        What a person wrote never becomes a control token. Its spellings of one are replaced by characters
        that occur nowhere, and encoded as ordinary text after the template ran."""
        contents, control = [content for _, content in messages], self.tokenizer.control
        spelt = any(text in content for text in control for content in contents)
        used = set("".join(contents))
        free = (chr(n) for n in range(0xF0000, 0xFFFFE) if chr(n) not in used)
        seals = dict(zip(free, control)) if spelt else {}

        def sealed(text):
            for seal, spelling in seals.items():
                text = text.replace(spelling, seal)
            return text

        given = [{"role": role, "content": sealed(content)} for role, content in messages]
        rendered = self.template.render({"messages": given, "add_generation_prompt": True})
        cut = re.split(f"([{''.join(seals)}])", rendered) if seals else [rendered]
        return [(seals.get(piece, piece), piece in seals) for piece in cut]

    def prompt(self, messages):
        encode = self.tokenizer.encode
        parts = [encode(text, not plain) for text, plain in self.pieces(messages)]
        return [token for part in parts for token in part]

    def spells(self, messages, prompt):
        """Whether the tokens of a prompt say what the template makes of messages, however it was cut into
        tokens: needs no knowledge of characters."""
        rendered = "".join(text for text, _ in self.pieces(messages))
        return self.tokenizer.spelling(prompt) == rendered.encode()
