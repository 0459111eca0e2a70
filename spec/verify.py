#!/usr/bin/env python3
"""Judges receipts and evidence as `mutirao verify` does, without it:

    python3 spec/verify.py receipt.json [more.json …] --model models/village

The model is a directory of published files, which is converted anew, or a model file. Exit codes are the
program's: 0 when every file holds, 3 when one is refused, 1 when one cannot be judged at all.
"""

import argparse
import json
import sys
from pathlib import Path

from plain.bundle import BYTES, Bundle
from plain.convert import convert
from plain.judge import Findings
from plain.model import Model
from plain.source import Refused, Tensors, read_json, want

REFUSED, ERROR = 3, 1


def opened(place, profile):
    """A name and a model that has proven itself."""
    if place.is_file():
        return place.name, Model(place.read_bytes())
    config, tokenizer = ((place / name).read_bytes() for name in ("config.json", "tokenizer.json"))
    file = convert(config, weights(place), tokenizer, template(place), profile == "w4")
    return place.resolve().name, Model(file)


def weights(place):
    """One file, or those that an index names: ENGINE-16.1"""
    one, index = place / "model.safetensors", place / "model.safetensors.index.json"
    if one.is_file() or not index.is_file():
        return one.read_bytes()
    named = read_json(index.read_bytes()).get("weight_map", {})
    for name in named.values():
        plain = isinstance(name, str) and name not in (".", "..") and "/" not in name
        want(plain and "\\" not in name, f"{name!r} is no plain name of a file")
    files = {name: (place / name).read_bytes() for name in sorted(set(named.values()))}
    there = {tensor: name for name, data in files.items() for tensor in Tensors(data).index}
    want(there == named, "the index names other tensors than its files have")
    return list(files.values())


def template(place):
    own = place / "chat_template.jinja"
    if own.is_file():
        return own.read_bytes()
    text = json.loads((place / "tokenizer_config.json").read_text()).get("chat_template")
    if not isinstance(text, str):
        raise Refused(f"{place} has no chat template")
    return text.encode()


def judged(path, findings, as_json):
    """The exit code of one file."""
    try:
        with path.open("rb") as file:
            bundle = Bundle(file.read(BYTES + 1))
        if bundle.job.model != findings.model.id:
            model = findings.model.id.hex()[:8]
            raise Refused(f"it is about model {bundle.job.model.hex()[:8]}, this one is {model}")
        lines, holds = findings.of(bundle)
    except (OSError, Refused) as error:
        print(f"error: {path}: {error}", file=sys.stderr)
        return ERROR
    if as_json:
        print(json.dumps({"file": str(path), "holds": holds, "verdict": dict(lines)}))
    else:
        for name, text in lines:
            print(f"  {name:<10} {text}")
    return 0 if holds else REFUSED


def main():
    parser = argparse.ArgumentParser(description="Judge receipts and evidence by replay.")
    parser.add_argument("files", nargs="+", type=Path)
    village = Path(__file__).resolve().parent.parent / "models" / "village"
    parser.add_argument("--model", type=Path, default=village, help="directory or model file")
    parser.add_argument("--profile", choices=("w8", "w4"), default="w8", help="of a directory")
    parser.add_argument("--json", action="store_true", help="one JSON object a file")
    arguments = parser.parse_args()
    try:
        findings = Findings(*opened(arguments.model, arguments.profile))
    except (OSError, Refused, ValueError, KeyError) as error:
        print(f"error: the model cannot be opened: {error}", file=sys.stderr)
        return ERROR
    codes = [judged(path, findings, arguments.json) for path in arguments.files]
    return next((code for code in (REFUSED, ERROR) if code in codes), 0)


if __name__ == "__main__":
    sys.exit(main())
