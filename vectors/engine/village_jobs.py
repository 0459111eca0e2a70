"""Writes `village_jobs.json`: twenty jobs for the village model, their prompts as tokens.

    python3 vectors/engine/village_jobs.py
    cargo run --release -p mutirao-engine --example make_vectors

The first command is for a new tokenizer or template, the second, which writes `village_answers.json`, for new weights
as well. Messages become tokens by the second implementation's reading (`spec/plain/text.py`), which shares no code
with the engine.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "spec"))

from plain.text import Template, Tokenizer  # noqa: E402

VILLAGE = ROOT / "models" / "village"
STORY = "Tell me a story about a fox and a bell."
LONG = [
    "What is Mutirão?",
    "Mutirão is many neighbours doing one piece of work together.",
    "How does a provider get paid?",
    "With a receipt for every answer, in tijolos.",
    "Was ist das?",
    "I do not know.",
    STORY,
    "A fox found a bell in the garden. The fox rang it, and all the neighbours came.",
    "What is 12 + 30? Then write 42 in words, and tell me what day is 3 after Monday.",
]
GREEDY = [
    "What is 17 + 25?",
    "What is 83 - 36?",
    "Quanto é 7 x 8?",
    "Which is larger, 52 or 25?",
    "Write 64 in words.",
    "How many minutes are in 3 hours?",
    "What day is 4 after Friday?",
    "How do you say house in Portuguese?",
    "What is a tijolo?",
    "O que é Mutirão?",
    "What happens if a provider stops?",
    "Who won the war of the roses?",
    "Spell garden.",
]


def job(messages, max_tokens=60, stop=(), temperature=0, top_k=0, min_p=0, top_p=65536, seed=0):
    roles = ("user", "assistant")
    given = [{"role": roles[at % 2], "content": content} for at, content in enumerate(messages)]
    text = template.render({"messages": given, "add_generation_prompt": True})
    return {
        "messages": list(messages),
        "prompt": tokenizer.encode(text),
        "temperature_milli": temperature,
        "top_k": top_k,
        "min_p": min_p,
        "top_p": top_p,
        "seed": bytes([seed] * 32).hex(),
        "max_tokens": max_tokens,
        "stop": [tokenizer.encode(words) for words in stop],
    }


tokenizer = Tokenizer((VILLAGE / "tokenizer.json").read_bytes())
template = Template((VILLAGE / "chat_template.jinja").read_bytes())
jobs = [job([question]) for question in GREEDY]
jobs += [
    job([STORY], max_tokens=12),
    job([STORY], stop=["."]),
    job([STORY], temperature=1000, seed=1),
    job([STORY], temperature=1500, top_k=40, min_p=300, top_p=64000, seed=2),
    job(["Who are you?"], temperature=800, top_p=50000, seed=3),
    job(["What is 17 + 25?"], temperature=100000, max_tokens=40, seed=4),
    job(LONG),
]
lines = ",\n ".join(json.dumps(job, ensure_ascii=False) for job in jobs)
(HERE / "village_jobs.json").write_text(f"[\n {lines}\n]\n")
