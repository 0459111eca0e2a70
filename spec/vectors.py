#!/usr/bin/env python3
"""Computes every vector of `vectors/engine` anew, from the clauses of docs/spec/engine.md:

    python3 spec/vectors.py

It says for each file whether it agrees.
"""

import json
import struct
import sys
from math import prod
from pathlib import Path
from types import SimpleNamespace

from plain.answer import answer, choose
from plain.arithmetic import COS, EXP2, SIG, Trap, gel, rnd, signed
from plain.batch import Batch
from plain.blake3 import digest
from plain.convert import attention_scale, convert
from plain.fast import numpy
from plain.model import Model
from plain.operators import angle, attend, cap, gate, norm, root, rotate, shorten
from plain.replay import ROADS, replay
from plain.sequence import Sequence


def trapping(work):
    try:
        return work()
    except Trap:
        return "trap"


def check_tables(tables):
    made = {"exp2": (EXP2, "H"), "cos": (COS, "h"), "sig": (SIG, "I")}
    for table in tables:
        entries, kind = made[table["table"]]
        assert [entries[at] for at in table["at"]] == table["entries"]
        data = struct.pack(f"<65536{kind}", *entries)
        assert digest(f"mutirao 1 table {table['table']}", [data]).hex() == table["digest"]
    return len(tables)


def linear(case):
    acc = sum(w * x for w, x in zip(case["W"], case["x"]))
    return acc == case["acc"] and rnd(acc * case["M"], case["shift"]) == case["y"]


def normalised(case):
    found = root(case["x"], case["eps"])
    v = norm(case["x"], case["gain"], case["ge"], case["fv"], case["eps"])
    return found == (case["t0"], case["r"], case["k + u/2"]) and v == case["v"]


def turned(case):
    cos, sin = angle(case["position"], int(case["frequency"], 16))
    found = trapping(lambda: list(rotate(case["a"], case["b"], cos, sin)))
    return (cos, sin) == (case["cos"], case["sin"]) and found == case["turned"]


def attended(case):
    size = len(case["q"])
    split = lambda row: [row[at : at + size] for at in range(0, len(row), size)]
    scale = case["A_M"], case["A_S"], case["fo - fc"]
    return attend(case["q"], split(case["k"]), split(case["v"]), *scale) == case["o"]


def sampled(case):
    first = case["first position"]
    return [choose(case["logits"], case, first + i) for i in range(16)] == case["chosen"]


def scaled(case):
    return attention_scale(case["dh"]) == (case["A_M"], case["A_0"])


def logit(case):
    return signed(rnd(case["acc"] * case["M"], case["shift"]), 32)


OPERATORS = {
    "rnd": lambda c: rnd(c["x"], c["s"]) == c["rnd"],
    "l2": lambda c: shorten(c["v"]) == (c["x"], c["t"]),
    "linear": linear,
    "embedding": lambda c: [rnd(w * c["M"], c["shift"]) for w in c["W"]] == c["x"],
    "residual": lambda c: trapping(lambda: signed(c["x"] + c["y"], 32)) == c["sum"],
    "rmsnorm": normalised,
    "rope": turned,
    "attention": attended,
    "swiglu": lambda c: gate(c["g"], c["u"], c["fg"]) == c["h"],
    "logits": lambda c: trapping(lambda: logit(c)) == c["logit"],
    "sampling": sampled,
    "attention_scale": scaled,
}


def check_operators(operators):
    assert set(operators) == set(OPERATORS)
    for name, cases in operators.items():
        for case in cases:
            assert OPERATORS[name](case), f"{name}: {case}"
    return sum(map(len, operators.values()))


def check_models(models):
    for entry in models:
        model = Model(bytes.fromhex(entry["file"]))
        assert (model.id.hex(), model.root.hex()) == (entry["id"], entry["weights_root"])
        assert [leaf.hex() for leaf in model.leaves] == [leaf["leaf"] for leaf in entry["tensors"]]
        sequence = Sequence(model)
        assert [sequence.feed(token) for token in entry["tokens"]] == entry["logits"], entry["name"]
        if numpy is not None:
            batch = Batch(model, entry["tokens"]).logits(0, len(entry["tokens"]))
            assert batch.tolist() == entry["logits"], entry["name"]
    return len(models)


def check_answers(answers, models):
    models = {entry["name"]: Model(bytes.fromhex(entry["file"])) for entry in models}
    for job in answers:
        expected = job["answer"], job["finish"], job["logits"]
        assert answer(models[job["model"]], job) == expected, job
        replayed(models[job["model"]], job)
    return len(answers)


def job_of(model, case):
    names = {"max_tokens": case["max_tokens"], "stop": case["stop"], "seed": bytes.fromhex(case["seed"])}
    names |= {name: case[name] for name in ("prompt", "top_k", "min_p", "top_p")}
    names |= {"model": model.id, "op_set": 1, "grammar": False}
    return SimpleNamespace(temperature=case["temperature_milli"], **names)


def replayed(model, case):
    """ENGINE-14.5, at once and one by one, of the answer and of each with one wrong token."""
    job = job_of(model, case)
    found, finish = case["answer"], case["finish"]
    for road in ROADS:
        assert replay(model, job, found, finish, road=road) == ("exact", None, None), case
        other = "length" if finish != "length" else "eos"
        assert replay(model, job, found, other, road=road)[0] == "wrong finish", case
        for at in {0, len(found) // 2, len(found) - 1} if found else ():
            wrong = found[:at] + [found[at] ^ 1] + found[at + 1 :]
            assert replay(model, job, wrong, finish, road=road) == ("diverges", at, found[at]), case
        longer = found + [0]
        assert replay(model, job, longer, finish, road=road) == ("diverges", len(found), None), case


def check_village(village, jobs):
    """Whole answers of the model that ships with the project; one by one they would take too long."""
    place = Path(__file__).parent.parent / "models" / "village"
    files = "config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"
    model = Model(convert(*((place / name).read_bytes() for name in files)))
    assert model.id.hex() == village["model"]
    for job, answer in zip(jobs, village["answers"], strict=True):
        prompt, found = job["prompt"], answer["answer"]
        replayed = replay(model, job_of(model, job), found, answer["finish"])
        assert replayed == ("exact", None, None), job
        first = len(prompt) - 1
        logits = Batch(model, prompt + found[:-1]).logits(first, first + len(found)).tolist()
        heard = [struct.pack(f"<{len(one)}i", *one) for one in logits]
        assert digest("mutirao 1 vector logits", heard).hex() == answer["logits"], job
    return len(jobs)


def check_families(families):
    """What relatives of Llama add, and a model of each."""
    data = struct.pack("<65536I", *gel())
    assert digest("mutirao 1 table gel", [data]).hex() == families["gel"]
    for case in families["cap"]:
        assert cap(case["x"], case["c"]) == case["cap"], case
    for case in families["biased"]:
        y = rnd(case["acc"] * case["M"], case["shift"] - 8) + case["B"]
        assert rnd(y, 8) == case["y"], case
    for case in families["gelu"]:
        assert gate(case["g"], case["u"], case["fg"], gel()) == case["h"], case
    operators = sum(len(families[name]) for name in ("cap", "biased", "gelu"))
    return 1 + operators + check_models(families["models"])


def check_conversion(conversion):
    """Makes the whole model files anew from the published numbers: section 15."""
    texts = [conversion[part].encode() for part in ("config", "tokenizer", "template")]
    source = texts[0], bytes.fromhex(conversion["weights"]), *texts[1:]
    for entry in conversion["files"]:
        file = bytes.fromhex(entry["file"])
        assert Model(file).id.hex() == entry["id"]
        assert convert(*source, entry["profile"] == "w4") == file, entry["profile"]
    return len(conversion["files"])


class Dice:
    """splitmix64: engine.md, section Vectors"""

    def __init__(self, seed):
        self.state = seed

    def within(self, least, most):
        self.state = (self.state + 0x9E3779B97F4A7C15) % (1 << 64)
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % (1 << 64)
        z = (z ^ z >> 27) * 0x94D049BB133111EB % (1 << 64)
        return least + (z ^ z >> 31) % (most - least + 1)


def scale(place, sides):
    """How much larger a number is than its tensor's others: engine.md, section Vectors"""
    if len(sides) == 1:
        return 16 if place == 5 else 1
    row, column = divmod(place, sides[1])
    return (8 if row % 8 == 3 else 1) / (16 if column == 5 else 8 if column % 8 == 3 else 1)


def published(case):
    """A safetensors file of random numbers: of one tensor after the other, by its name and its sides. Some
    channels are larger than others, and some columns smaller."""
    dice, index, data = Dice(case["seed"]), {}, b""
    for name, sides in case["tensors"]:
        count, unit = prod(sides), 256 if len(sides) == 1 else 512
        one = "norm" in name and not case["config"]["model_type"].startswith("gemma")
        numbers = [(dice.within(-127, 127) / unit + one) * scale(place, sides) for place in range(count)]
        start, data = len(data), data + struct.pack(f"<{count}f", *numbers)
        index[name] = {"dtype": "F32", "shape": sides, "data_offsets": [start, len(data)]}
    front = json.dumps(index).encode()
    return len(front).to_bytes(8, "little") + front + data


def check_relatives(relatives):
    """Published models of every family become the models of these ids."""
    for case in relatives:
        config, weights = json.dumps(case["config"]).encode(), published(case)
        for profile in ("w8", "w4"):
            file = convert(config, weights, b"{}", b"", profile == "w4")
            assert Model(file).id.hex() == case[profile], (case["config"], profile)
    return 2 * len(relatives)


def main():
    here = Path(__file__).parent.parent / "vectors" / "engine"
    read = lambda name: json.loads((here / name).read_text())
    models = read("models.json")
    for name, check in (
        ("tables.json", check_tables),
        ("operators.json", check_operators),
        ("models.json", check_models),
        ("answers.json", lambda answers: check_answers(answers, models)),
        ("conversion.json", check_conversion),
        ("families.json", check_families),
        ("relatives.json", check_relatives),
    ):
        print(f"{name}: {check(read(name))} agree", flush=True)
    if numpy is None:
        return print("village_answers.json: left out, for want of numpy")
    count = check_village(read("village_answers.json"), read("village_jobs.json"))
    print(f"village_answers.json: {count} agree")


if __name__ == "__main__":
    sys.exit(main())
