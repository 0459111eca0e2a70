"""The stock OpenAI client against `mutirao serve`: what an existing program does, unchanged.

Reads OPENAI_BASE_URL and OPENAI_API_KEY, as every program with this client does.
"""

import openai

STORY = [{"role": "user", "content": "Tell me a story about a fox and a bell."}]


def main():
    client = openai.OpenAI(max_retries=0)

    models = [model.id for model in client.models.list()]
    assert "village" in models, models
    assert client.models.retrieve("village").id == "village"
    print("models:", ", ".join(models))

    whole = client.chat.completions.create(model="village", messages=STORY)
    text = whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.completion_tokens >= 40, whole.usage
    assert whole.system_fingerprint.endswith("-op1")
    print("whole:", text)

    stream = client.chat.completions.create(
        model="village", messages=STORY, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == text, "a stream says the same"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len([piece for piece in pieces if piece]) > 20, "it comes in pieces"
    print("stream: the same, in", len(pieces), "pieces")

    with client.chat.completions.stream(model="village", messages=STORY) as helper:
        final = helper.get_final_completion()
    assert final.choices[0].message.content == text
    print("stream helper: the same")

    response = client.responses.create(model="village", input=STORY)
    assert response.output_text == text and response.status == "completed"
    with client.responses.stream(model="village", input=STORY) as events:
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == text == events.get_final_response().output_text
    print("responses: the same, in", len(deltas), "pieces")

    by_hand = f"<|bos|><|user|>{STORY[0]['content']}<|end|><|assistant|>"
    completed = client.completions.create(model="village", prompt=by_hand, max_tokens=1024)
    assert completed.choices[0].text == text, completed
    print("completions: the same, from a prompt written by hand")

    asked = {"model": "village", "messages": STORY, "logprobs": True, "top_logprobs": 3}
    scored = client.chat.completions.create(**asked).choices[0]
    tokens = scored.logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode().startswith(text), tokens
    # Greedy: what was written is what was most probable.
    assert all(token.top_logprobs[0].bytes == token.bytes for token in tokens)
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in tokens)
    said = [chunk.choices[0] for chunk in client.chat.completions.create(stream=True, **asked)]
    streamed = [entry for choice in said if choice.logprobs for entry in choice.logprobs.content]
    assert streamed == tokens, "a stream has the same probabilities"
    scored = client.completions.create(model="village", prompt=by_hand, max_tokens=9, logprobs=2)
    places = scored.choices[0].logprobs
    assert "".join(places.tokens) == scored.choices[0].text and places.text_offset[0] == 0
    print("logprobs: of", len(tokens), "tokens, whole and streamed")

    texts = ["What is 2 + 2?", "What is 2 + 3?", "Tell me a story about a fox."]
    made = client.embeddings.create(model="village", input=texts)
    vectors = [entry.embedding for entry in made.data]
    plain = client.embeddings.create(model="village", input=texts[0], encoding_format="float")
    assert vectors[0] == plain.data[0].embedding, "bytes and numbers say the same"
    near, far = (sum(a * b for a, b in zip(vectors[0], other)) for other in vectors[1:])
    assert near > far and abs(sum(a * a for a in vectors[0]) - 1) < 1e-4, (near, far)
    assert made.usage.prompt_tokens > 10
    print(f"embeddings: of {len(vectors[0])} numbers; sums are alike {near:.3f}, a story less {far:.3f}")

    drawn = [
        client.chat.completions.create(
            model="village", messages=STORY, temperature=1.2, seed=5, max_tokens=30
        )
        for _ in range(2)
    ]
    assert drawn[0].choices[0].message.content == drawn[1].choices[0].message.content
    assert drawn[0].choices[0].finish_reason == "length"
    print("seed: repeats itself")

    stopped = client.chat.completions.create(model="village", messages=STORY, stop=["bell"])
    assert "bell" not in stopped.choices[0].message.content

    try:
        client.chat.completions.create(model="no-such-model", messages=STORY)
        raise AssertionError("an unknown model answered")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found", error
        print("unknown model:", error.body["message"])
    try:
        client.chat.completions.create(model="village", messages=STORY, n=2)
        raise AssertionError("two answers were promised")
    except openai.BadRequestError as error:
        assert error.param == "n", error
    try:
        openai.OpenAI(api_key="wrong", max_retries=0).models.list()
        raise AssertionError("a wrong key was let in")
    except openai.AuthenticationError as error:
        print("wrong key:", error.code)


if __name__ == "__main__":
    main()
