"""The stock Ollama client against `mutirao serve`: what an existing program does, unchanged.

Reads OLLAMA_HOST and OLLAMA_API_KEY, as programs with this client do.
"""

import json
import os

import ollama

STORY = "Tell me a story about a fox and a bell."
MESSAGES = [{"role": "user", "content": STORY}]


def main():
    key = os.environ["OLLAMA_API_KEY"]
    client = ollama.Client(headers={"Authorization": f"Bearer {key}"})

    names = [model.model for model in client.list().models]
    assert "village" in names, names
    print("models:", ", ".join(names))

    whole = client.chat("village", messages=MESSAGES)
    assert whole.done and whole.done_reason == "stop"
    assert whole.eval_count >= 40, whole
    text = whole.message.content
    print("whole:", text)

    pieces = [part.message.content for part in client.chat("village", MESSAGES, stream=True)]
    assert "".join(pieces) == text, "a stream says the same"
    assert len(pieces) > 40, "it comes in pieces"
    print("stream: the same, in", len(pieces), "pieces")

    assert client.generate("village", STORY).response == text
    options = {"temperature": 1.2, "seed": 5, "num_predict": 30}
    drawn = [client.generate("village", STORY, options=options).response for _ in range(2)]
    assert drawn[0] == drawn[1]
    print("generate: the same, and a seed repeats itself")

    assert [model.model for model in client.ps().models] == ["village"]
    shown = client.show("village")
    assert shown.modelinfo["mutirao.model_id"], shown
    print("show:", shown.modelinfo["mutirao.model_id"][:8])

    animal = {
        "type": "object",
        "properties": {"kind": {"enum": ["fox", "owl"]}, "age": {"type": "integer", "maximum": 30}},
        "required": ["kind", "age"],
    }
    formed = json.loads(client.chat("village", MESSAGES, format=animal).message.content)
    assert formed["kind"] in ("fox", "owl") and formed["age"] <= 30, formed
    print("format:", formed)

    lamp = {"type": "object", "properties": {"level": {"type": "integer", "minimum": 0, "maximum": 9}}}
    tool = {"type": "function", "function": {"name": "set_lamp", "parameters": lamp}}
    # There is no choice of tools here: the answer is the constant, unless the lamp is set.
    said = client.chat("village", MESSAGES, tools=[tool], format={"const": "no lamp"}).message
    assert said.content == '"no lamp"' or said.tool_calls[0].function.name == "set_lamp", said
    called = [{"function": {"name": "set_lamp", "arguments": {"level": 3}}}]
    turns = [{"role": "assistant", "tool_calls": called}, {"role": "tool", "content": "it is on", "tool_name": "set_lamp"}]
    assert client.chat("village", MESSAGES + turns, tools=[tool], options={"num_predict": 40}).done
    print("tools:", said.content or said.tool_calls)

    made = client.embed("village", ["What is 2 + 2?", "What is 2 + 3?"])
    older = client.embeddings("village", "What is 2 + 2?")
    assert len(made.embeddings) == 2 and list(older.embedding) == list(made.embeddings[0])
    print("embeddings: of", len(made.embeddings[0]), "numbers")

    try:
        client.chat("no-such-model", messages=MESSAGES)
        raise AssertionError("an unknown model answered")
    except ollama.ResponseError as error:
        assert error.status_code == 404, error
        print("unknown model:", error.error)
    try:
        client.chat("village", messages=MESSAGES, options={"mirostat": 2})
        raise AssertionError("an option was ignored")
    except ollama.ResponseError as error:
        assert error.status_code == 400, error
        print("option:", error.error)


if __name__ == "__main__":
    main()
