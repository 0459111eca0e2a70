"""Many clients at once against `mutirao serve`, some of whom hang up: does it leak, is anybody stuck?

Standard library only. Every whole answer must be the one that the first client got: one prompt, one
answer, whoever else is asking. Reads OPENAI_BASE_URL and OPENAI_API_KEY.
"""

import argparse
import http.client
import json
import os
import random
import sys
import threading
import time
import urllib.parse

QUESTIONS = [
    "What is 17 + 25?",
    "Tell me a story about a fox and a bell.",
    "Extract the order: Ana wants 3 apples.",
    "What is Mutirão?",
    "What is the boiling point of tungsten?",
]
BASE = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
HEADERS = {
    "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"],
    "Content-Type": "application/json",
}


class Tally:
    """What all clients together saw."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = dict.fromkeys(["whole", "hung up", "told to wait"], 0)
        self.waits, self.answers, self.wrong = [], {}, []

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def whole(self, question, answer, first):
        with self.lock:
            self.counts["whole"] += 1
            self.waits.append(first)
            if self.answers.setdefault(question, answer) != answer:
                self.wrong.append(f"{question!r}: {answer!r}")

    def failed(self, why):
        with self.lock:
            self.wrong.append(why)


def ask(connection, question, stream):
    body = {"model": "village", "messages": [{"role": "user", "content": question}]}
    body = json.dumps({**body, "stream": stream})
    connection.request("POST", BASE.path + "/chat/completions", body, HEADERS)
    return connection.getresponse()


def pieces(response):
    """The pieces of a streamed answer; ends only with the mark of the end."""
    for line in response:
        line = line.strip()
        if line == b"data: [DONE]":
            return
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            if "error" in event:
                raise RuntimeError(event["error"])
            for choice in event["choices"]:
                yield choice["delta"].get("content") or ""
    raise RuntimeError("the stream ended without [DONE]")


def once(dice, tally, patience):
    question, stream = dice.choice(QUESTIONS), dice.random() < 0.7
    leaves = dice.randrange(12) if dice.random() < 0.3 else None
    connection = http.client.HTTPConnection(BASE.hostname, BASE.port, timeout=patience)
    began = time.monotonic()
    try:
        if leaves is not None and not stream:
            body = json.dumps({"model": "village", "messages": [{"role": "user", "content": question}]})
            connection.request("POST", BASE.path + "/chat/completions", body, HEADERS)
            time.sleep(leaves / 20)
            return tally.count("hung up")
        response = ask(connection, question, stream)
        if response.status in (429, 503):
            tally.count("told to wait")
            return time.sleep(min(float(response.getheader("Retry-After")), 2.0))
        if response.status != 200:
            return tally.failed(f"{response.status} {response.read()[:200]!r}")
        if not stream:
            answer = json.load(response)["choices"][0]["message"]["content"]
            return tally.whole(question, answer, time.monotonic() - began)
        text, first = [], None
        for piece in pieces(response):
            first = first or time.monotonic() - began
            text.append(piece)
            if leaves is not None and len(text) > leaves:
                return tally.count("hung up")
        tally.whole(question, "".join(text), first)
    except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
        tally.failed(f"{question!r}, streamed {stream}: {error!r}")
    finally:
        connection.close()


def client(number, until, tally, patience):
    dice = random.Random(number)
    while time.monotonic() < until:
        once(dice, tally, patience)


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def floor(sizes):
    """What is held when little is being served: answers in the making come and go by megabytes, a leak
    stays."""
    return sorted(sizes)[len(sizes) // 10]


def idle():
    """Whether the server says that nobody is being served."""
    connection = http.client.HTTPConnection(BASE.hostname, BASE.port, timeout=10)
    connection.request("GET", "/metrics", headers=HEADERS)
    text = connection.getresponse().read().decode()
    wanted = ("mutirao_num_requests_running", "mutirao_num_requests_waiting")
    found = [line.split() for line in text.splitlines() if line.startswith(wanted)]
    assert len(found) == 2, found
    return all(float(value) == 0 for _, value in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--patience", type=int, default=60, help="seconds without a byte")
    parser.add_argument("--pid", type=int, required=True, help="the server's process")
    wanted = parser.parse_args()

    tally, until = Tally(), time.monotonic() + wanted.seconds
    threads = [
        threading.Thread(target=client, args=(number, until, tally, wanted.patience))
        for number in range(wanted.clients)
    ]
    for thread in threads:
        thread.start()
    sizes = []
    while any(thread.is_alive() for thread in threads):
        sizes.append(resident(wanted.pid))
        time.sleep(1)
    for _ in range(50):
        if idle():
            break
        time.sleep(0.1)

    fifth = len(sizes) // 5
    early, late = floor(sizes[fifth : 2 * fifth]), floor(sizes[-fifth:])
    waits = sorted(tally.waits)
    print(f"{wanted.clients} clients, {wanted.seconds} s: {tally.counts}")
    print(f"first byte: median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s")
    print(f"memory: {early:.1f} MiB in the second fifth, {late:.1f} MiB in the last, at their low tide")
    for wrong in tally.wrong[:10]:
        print("WRONG", wrong)
    stuck = not idle()
    print("somebody is still being served" if stuck else "nobody is left waiting")
    # A server that has just started is still filling its pools.
    grown = wanted.seconds >= 120 and late > early * 1.05
    sys.exit(bool(tally.wrong) or stuck or grown or not tally.counts["whole"])


if __name__ == "__main__":
    main()
