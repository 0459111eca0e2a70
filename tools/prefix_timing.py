#!/usr/bin/env python3
"""Whether one caller of a door can tell from times what another caller asked.

    cargo build --release && python3 tools/prefix_timing.py target/release/mutirao

Two keys, many rounds. In each, Ana asks a long prompt that is new. Then Rui asks the same prompt, and another that
nobody asked; and Ana asks hers again. If what was read for Ana served Rui, his first time would be the shorter one, as
Ana's second is: that one is the control, without which the test could not find anything. Differences within rounds are
held against those that chance gives when their signs are drawn (a permutation test, one-sided, 95 %).
"""

import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request

ROUNDS = 60
DRAWS = 20_000


def ask(door, key, prompt):
    """Seconds until an answer of one token is whole."""
    body = {"model": "village", "max_tokens": 1, "messages": [{"role": "user", "content": prompt}]}
    request = urllib.request.Request(door + "/chat/completions", json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {key}")
    request.add_header("Content-Type", "application/json")
    began = time.perf_counter()
    with urllib.request.urlopen(request) as reply:
        reply.read()
    return time.perf_counter() - began


def prompt(draw):
    words = ["apples", "bells", "foxes", "herons", "stones", "lamps"]
    first = " ".join(draw.choice(words) for _ in range(6))
    lines = [f"Ana walks to the river with {draw.randrange(98)} {draw.choice(words)}." for _ in range(80)]
    return first + ". " + " ".join(lines)


def chance(draw, differences):
    """How often drawn signs give a mean that is as large: small where the difference is real."""
    found = sum(differences)
    signs = (sum(d if draw.random() < 0.5 else -d for d in differences) for _ in range(DRAWS))
    return sum(total >= found for total in signs) / DRAWS


def key(program, place, name):
    made = subprocess.run(
        [program, "key", "add", name, "--data-dir", place, "--json"], capture_output=True, text=True, check=True
    )
    return json.loads(made.stdout)["api_key"]


def rounds(door, ana, rui, draw):
    for _ in range(ROUNDS):
        asked, fresh = prompt(draw), prompt(draw)
        ask(door, ana, asked)
        turns = [("seen", rui, asked), ("fresh", rui, fresh), ("own", ana, asked)]
        draw.shuffle(turns)
        yield {name: ask(door, key, text) for name, key, text in turns}


def main():
    program, draw = sys.argv[1], random.Random(7)
    with tempfile.TemporaryDirectory() as place:
        ana, rui = key(program, place, "ana"), key(program, place, "rui")
        server = subprocess.Popen(
            [program, "serve", "--http", "127.0.0.1:0", "--data-dir", place, "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            door = json.loads(server.stdout.readline())["base_url"]
            ask(door, ana, "Hello.")
            times = list(rounds(door, ana, rui, draw))
        finally:
            server.terminate()
            server.wait()
    median = lambda name: sorted(t[name] for t in times)[ROUNDS // 2] * 1000
    print("median ms: " + ", ".join(f"{name} {median(name):.2f}" for name in ("seen", "fresh", "own")))
    leak = chance(draw, [t["fresh"] - t["seen"] for t in times])
    control = chance(draw, [t["fresh"] - t["own"] for t in times])
    print(f"another's prompt is quicker: p = {leak:.4f} (a leak below 0.05)")
    print(f"one's own prompt is quicker: p = {control:.4f} (the control, below 0.05)")
    sys.exit(not (leak >= 0.05 and control < 0.05))


if __name__ == "__main__":
    main()
