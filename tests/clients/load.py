"""Many clients at once against `mutirao serve`, some of whom hang up: does it leak, is anybody stuck,
who waits for how long?

Standard library only. Every whole answer must be the one that the first client got: one prompt, one
answer, whoever else is asking. Reads OPENAI_BASE_URL and OPENAI_API_KEY. Clients are the owner's; with
`--keys` each line of a file is another client's own key, with `--wallets` each folder in there is the
home of one that has no key and pays for each request with `mutirao fetch` (the program is MUTIRAO).

Waiting time: from the moment that a request is sent (the one with the payment, where it is paid for)
until the first piece of text of its answer is there; of answers in pieces that came to their end. Each
client asks its next question when the last one is over, so those who wait are all but the ones that are
answered.
"""

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
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
PATH = BASE.path + "/chat/completions"
OWN_KEY = os.environ["OPENAI_API_KEY"]
# A client that does not want to wait leaves after so many seconds at most.
IMPATIENT = 4.0
KINDS = ["owner", "key", "paid"]
COUNTED = ["whole", "hung up", "told to wait"]


class Tally:
    """What all clients together saw."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {kind: dict.fromkeys(COUNTED, 0) for kind in KINDS}
        self.waits = {kind: [] for kind in KINDS}
        self.answers, self.wrong = {}, []

    def count(self, kind, what):
        with self.lock:
            self.counts[kind][what] += 1

    def whole(self, kind, question, answer, first):
        with self.lock:
            self.counts[kind]["whole"] += 1
            if first is not None:
                self.waits[kind].append(first)
            if self.answers.setdefault(question, answer) != answer:
                self.wrong.append(f"{kind}: {question!r}: {answer!r}")

    def failed(self, why):
        with self.lock:
            self.wrong.append(why)

    def total(self, what):
        return sum(counts[what] for counts in self.counts.values())


class HungUp(Exception):
    """It was this client that ended it."""


class Full(Exception):
    """It was told to come again, after so many seconds."""


def body(question, stream):
    asked = {"model": "village", "messages": [{"role": "user", "content": question}]}
    return json.dumps({**asked, "stream": stream})


def pieces(lines):
    """The pieces of a streamed answer; ends only with the mark of the end."""
    for line in lines:
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


class Keyed:
    """A client with a key, the owner's or its own."""

    def __init__(self, kind, key, patience):
        self.kind, self.patience = kind, patience
        self.headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}

    def ask(self, question, stream, soon, later):
        """The answer and when its first piece came; gives up after `soon` seconds without one, or after
        `later` pieces."""
        patience = self.patience if soon is None else soon
        connection = http.client.HTTPConnection(BASE.hostname, BASE.port, timeout=patience)
        began, first, text = time.monotonic(), None, []
        try:
            connection.request("POST", PATH, body(question, stream), self.headers)
            response = connection.getresponse()
            if response.status in (429, 503):
                raise Full(float(response.getheader("Retry-After")))
            if response.status != 200:
                raise RuntimeError(f"{response.status} {response.read()[:200]!r}")
            if not stream:
                return json.load(response)["choices"][0]["message"]["content"], None
            for piece in pieces(response):
                first = first or time.monotonic() - began
                text.append(piece)
                if later is not None and len(text) > later:
                    raise HungUp
            return "".join(text), first
        except TimeoutError:
            if soon is not None:
                raise HungUp from None
            raise
        finally:
            connection.close()


class Tap:
    """Stands between a paying client and the door, and reads the clock when the paid request goes by."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.reset()
        threading.Thread(target=self.accept, daemon=True).start()

    def reset(self):
        self.began = self.first = None
        self.seen = b""

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection((BASE.hostname, BASE.port))
            for pair in [(near, far, self.sent), (far, near, self.said)]:
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source, target, hear):
        try:
            while data := source.recv(65536):
                hear(data)
                target.sendall(data)
        except OSError:
            pass
        # Whoever hangs up on one side has hung up on the other.
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()

    def sent(self, data):
        if self.began is None:
            self.seen = self.seen[-64:] + data
            if b"authorization: payment " in self.seen.lower():
                self.began, self.seen = time.monotonic(), b""

    def said(self, data):
        if self.began is not None and self.first is None:
            self.seen = self.seen[-64:] + data
            if b'"content":"' in self.seen.replace(b'"content":""', b""):
                self.first = time.monotonic()


class Paying:
    """A client without a key that pays for each request out of a wallet of its own."""

    kind = "paid"

    def __init__(self, home, patience):
        self.home, self.patience, self.tap = home, patience, Tap()

    def ask(self, question, stream, soon, later):
        self.tap.reset()
        command = [os.environ["MUTIRAO"], "--data-dir", self.home, "fetch"]
        command += [f"http://127.0.0.1:{self.tap.port}{PATH}", "--data", body(question, stream)]
        command += ["--max-price", "1", "--max-price-per-day", "1000"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        limit = threading.Timer(self.patience if soon is None else soon, process.kill)
        limit.start()
        text = []
        try:
            for piece in pieces(process.stdout):
                if soon is None:
                    limit.cancel()
                text.append(piece)
                if later is not None and len(text) > later:
                    raise HungUp
            return "".join(text), self.tap.first - self.tap.began
        except RuntimeError:
            why = process.stderr.read().decode(errors="replace")
            if process.wait() == -signal.SIGKILL and soon is not None:
                raise HungUp from None
            if " says 429" in why or " says 503" in why:
                raise Full(1.0) from None
            raise RuntimeError(why) from None
        finally:
            limit.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()


def once(who, dice, tally, streamed):
    question, stream = dice.choice(QUESTIONS), dice.random() < streamed
    leaves = dice.random() < 0.3
    in_the_line = leaves and (not stream or dice.random() < 0.5)
    soon = dice.uniform(0.01, IMPATIENT) if in_the_line else None
    later = dice.randrange(12) if leaves and not in_the_line else None
    try:
        tally.whole(who.kind, question, *who.ask(question, stream, soon, later))
    except HungUp:
        tally.count(who.kind, "hung up")
    except Full as full:
        tally.count(who.kind, "told to wait")
        time.sleep(min(full.args[0], 2.0))
    except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
        tally.failed(f"{who.kind}: {question!r}, streamed {stream}: {error!r}")


def client(number, who, until, tally, streamed):
    dice = random.Random(number)
    while time.monotonic() < until:
        once(who, dice, tally, streamed)


def children(pid):
    """What a process started, and what that started."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as listed:
                found += [int(child) for child in listed.read().split()]
    except FileNotFoundError:
        pass  # a thread or the process has just ended
    return found + [later for child in found for later in children(child)]


def workers(pid):
    """The processes that models are in."""
    found = []
    for process in children(pid):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as command:
                found += [process] if command.read().split(b"\0")[1:2] == [b"worker"] else []
        except FileNotFoundError:
            continue
    return found


def resident(pid):
    """Of the server and all that it started, in MiB."""
    size = 0
    for process in [pid, *children(pid)]:
        try:
            with open(f"/proc/{process}/status") as status:
                lines = [line for line in status if line.startswith("VmRSS")]
        except FileNotFoundError:
            continue
        size += sum(int(line.split()[1]) for line in lines)
    return size / 1024


def floor(sizes):
    """What is held when little is being served: answers in the making come and go by megabytes, a leak
    stays."""
    return sorted(sizes)[len(sizes) // 10]


def idle():
    """Whether the server says that nobody is being served."""
    connection = http.client.HTTPConnection(BASE.hostname, BASE.port, timeout=10)
    connection.request("GET", "/metrics", headers={"Authorization": "Bearer " + OWN_KEY})
    text = connection.getresponse().read().decode()
    wanted = ("mutirao_num_requests_running", "mutirao_num_requests_waiting")
    found = [line.split() for line in text.splitlines() if line.startswith(wanted)]
    assert len(found) == 2, found
    return all(float(value) == 0 for _, value in found)


def crowd(wanted):
    """Everybody who asks: those with keys of their own, those who pay, and the owner's."""
    keys, homes = [], []
    if wanted.keys:
        with open(wanted.keys) as lines:
            keys = lines.read().split()
    if wanted.wallets:
        homes = sorted(entry.path for entry in os.scandir(wanted.wallets))
    owners = wanted.clients - len(keys) - len(homes)
    assert owners >= 0, "more keys and wallets than clients"
    all_of_them = [Keyed("owner", OWN_KEY, wanted.patience) for _ in range(owners)]
    all_of_them += [Keyed("key", key, wanted.patience) for key in keys]
    return all_of_them + [Paying(home, wanted.patience) for home in homes]


def spread(waits):
    """Median, nineteen of twenty, the longest, and how many medians that is."""
    waits = sorted(waits)
    middle, most = waits[len(waits) // 2], waits[-1]
    return middle, waits[len(waits) * 19 // 20], most, most / middle


def table(tally):
    """Prints who got what; the longest wait of all in medians."""
    head = ["", *COUNTED, "wait: median", "95 %", "longest", "longest/median"]
    print(" | ".join(head))
    everybody = [wait for waits in tally.waits.values() for wait in waits]
    rows = [(kind, tally.counts[kind], tally.waits[kind]) for kind in KINDS]
    rows.append(("all", {what: tally.total(what) for what in COUNTED}, everybody))
    for kind, counts, waits in rows:
        if any(counts.values()):
            middle, most_of, most, ratio = spread(waits) if waits else [float("nan")] * 4
            row = [f"{kind:5}", *(f"{counts[what]:5}" for what in COUNTED)]
            print(" | ".join([*row, f"{middle:.2f} s", f"{most_of:.2f} s", f"{most:.2f} s", f"{ratio:.2f}"]))
    return spread(everybody)[3] if everybody else float("inf")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--patience", type=int, default=60, help="seconds without a byte")
    parser.add_argument("--pid", type=int, required=True, help="the server's process")
    parser.add_argument("--keys", help="a file of keys, one a line")
    parser.add_argument("--wallets", help="a folder of homes with wallets")
    parser.add_argument("--streamed", type=float, default=0.7, help="the part of answers in pieces")
    parser.add_argument("--kill", action="store_true", help="kill the model's process meanwhile, twice")
    parser.add_argument("--wait-most", type=float, help="the longest wait allowed, in medians")
    wanted = parser.parse_args()

    tally, everybody = Tally(), crowd(wanted)
    until = time.monotonic() + wanted.seconds
    threads = [
        threading.Thread(target=client, args=(number, who, until, tally, wanted.streamed))
        for number, who in enumerate(everybody)
    ]
    for thread in threads:
        thread.start()
    sizes, killed = [], []
    while any(thread.is_alive() for thread in threads):
        sizes.append(resident(wanted.pid))
        if wanted.kill and len(sizes) in (wanted.seconds // 3, 2 * wanted.seconds // 3):
            for worker in workers(wanted.pid):
                killed.append(worker)
                os.kill(worker, signal.SIGKILL)
        time.sleep(1)
    for _ in range(50):
        if idle():
            break
        time.sleep(0.1)

    fifth = len(sizes) // 5
    floors = [floor(sizes[part * fifth : (part + 1) * fifth]) for part in range(5)]
    early, late = floors[1], floors[4]
    print(f"{wanted.clients} clients, {wanted.seconds} s")
    ratio = table(tally)
    print("memory at low tide, in fifths of the time:", ", ".join(f"{size:.1f}" for size in floors), "MiB")
    for wrong in tally.wrong[:10]:
        print("WRONG", wrong)
    stuck = not idle()
    if wanted.kill:
        print("killed meanwhile: processes", ", ".join(map(str, killed)))
    print("somebody is still being served" if stuck else "nobody is left waiting")
    # A server that has just started is still filling its pools.
    grown = wanted.seconds >= 120 and late > early * 1.05
    unfair = wanted.wait_most is not None and ratio >= wanted.wait_most
    if unfair:
        print(f"WRONG the longest wait is {ratio:.2f} medians")
    # A slow machine may not come to everybody in a few seconds.
    kinds = [tally.counts[kind]["whole"] for kind in {who.kind for who in everybody}]
    served = all(kinds) if wanted.seconds >= 120 else any(kinds)
    unkilled = wanted.kill and len(set(killed)) < 2
    sys.exit(bool(tally.wrong) or unkilled or stuck or grown or unfair or not served)


if __name__ == "__main__":
    main()
