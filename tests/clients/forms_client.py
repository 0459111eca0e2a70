"""The stock OpenAI client against `mutirao serve`: JSON after a schema, tools, and many calls of them.

Reads OPENAI_BASE_URL and OPENAI_API_KEY, as every program with this client does. Every call of CALLS is
held against the schema of its tool by the package `jsonschema`.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import jsonschema
import openai
import pydantic

CALLS = int(os.environ.get("CALLS", "500"))
ROOMS = ["kitchen", "hall", "cellar", "attic"]
LAMP = {
    "type": "object",
    "properties": {
        "room": {"enum": ROOMS},
        "level": {"type": "integer", "minimum": 0, "maximum": 100},
        "colour": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
        "until": {"type": "string", "format": "date"},
        "note": {"type": "string", "maxLength": 12},
    },
    "required": ["room", "level"],
    "additionalProperties": False,
}
ROUTE = {
    "type": "object",
    "properties": {
        "stops": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"$ref": "#/$defs/stop"},
        }
    },
    "required": ["stops"],
    "$defs": {
        "stop": {
            "type": "object",
            "properties": {"at": {"enum": ["river", "mill", "bell"]}, "minutes": {"type": "integer"}},
            "required": ["at"],
            "additionalProperties": False,
        }
    },
}
SCHEMAS = {"set_lamp": LAMP, "plan_route": ROUTE, "ring": {"type": "object", "additionalProperties": False}}
TOOLS = [
    {"type": "function", "function": {"name": "set_lamp", "description": "Sets a lamp.", "parameters": LAMP}},
    {"type": "function", "function": {"name": "plan_route", "parameters": ROUTE}},
    {"type": "function", "function": {"name": "ring"}},
]


class Animal(pydantic.BaseModel):
    kind: Literal["fox", "owl"]
    age: int = pydantic.Field(ge=0, le=30)
    friends: list[Literal["bell", "mill"]] = pydantic.Field(max_length=2)


def ask(client, number, **more):
    return client.chat.completions.create(
        model="village",
        messages=[{"role": "user", "content": f"Neighbour {number} asks for light and a bell."}],
        temperature=1.0,
        seed=number,
        max_tokens=300,
        **more,
    )


def valid_calls(client, number):
    """The calls of one answer, all of them valid."""
    answer = ask(client, number, tools=TOOLS, tool_choice="required", parallel_tool_calls=number % 2 == 0)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls", (number, choice)
    for call in choice.message.tool_calls:
        jsonschema.validate(json.loads(call.function.arguments), SCHEMAS[call.function.name])
    return len(choice.message.tool_calls)


def conversation(client):
    """A call, what the tool says, and an answer in a form."""
    messages = [{"role": "user", "content": "Light in the hall, please."}]
    asked = client.chat.completions.create(
        model="village",
        messages=messages,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "set_lamp"}},
    )
    message = asked.choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["set_lamp"], message
    messages.append(message)
    messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "it is on"})
    parsed = client.chat.completions.parse(
        model="village", messages=messages, response_format=Animal
    )
    assert isinstance(parsed.choices[0].message.parsed, Animal), parsed
    print("conversation:", parsed.choices[0].message.parsed)


def streamed(client):
    """Calls in a stream are the same, as the client puts them together."""
    whole = ask(client, 4, tools=TOOLS, tool_choice="required").choices[0].message
    chunks = ask(client, 4, tools=TOOLS, tool_choice="required", stream=True)
    deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    same = [(call.function.name, call.function.arguments) for call in deltas]
    assert same == [(call.function.name, call.function.arguments) for call in whole.tool_calls], deltas
    response = client.responses.parse(model="village", input="An animal, please.", text_format=Animal)
    assert isinstance(response.output_parsed, Animal), response
    print("stream:", len(same), "calls, the same")


def main():
    client = openai.OpenAI(max_retries=0)
    conversation(client)
    streamed(client)
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda number: valid_calls(client, number), range(CALLS)))
    print(f"tools: {CALLS} answers, {sum(counts)} calls, all valid")
    try:
        ask(client, 1, tools=[{"type": "function", "function": {"name": "x", "parameters": {"$ref": "#/no"}}}])
        raise AssertionError("a schema that leads nowhere was taken")
    except openai.BadRequestError as error:
        print("bad schema:", error.body["message"])


if __name__ == "__main__":
    main()
