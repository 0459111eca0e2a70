"""A stock agent framework (`openai-agents`) against `mutirao serve`: it asks, its tool is called, it goes on, and its
last answer has the form that it wants. Once over `/v1/responses`, once over `/v1/chat/completions`.
"""

import asyncio
from typing import Literal

import agents
import openai
import pydantic

calls = []


@agents.function_tool
def weather(place: Literal["river", "mill"], days: Literal[1, 2, 3]) -> str:
    """Tells the weather of a place."""
    calls.append((place, days))
    return "It will rain."


class Advice(pydantic.BaseModel):
    take: Literal["an umbrella", "a hat"]


async def run(model):
    agent = agents.Agent(
        name="Neighbour",
        instructions="Look at the weather, then give advice.",
        model=model,
        tools=[weather],
        model_settings=agents.ModelSettings(tool_choice="required", max_tokens=200),
        output_type=Advice,
    )
    before = len(calls)
    result = await agents.Runner.run(agent, "What shall I take to the river?", max_turns=4)
    assert isinstance(result.final_output, Advice), result.final_output
    assert len(calls) > before, "the tool was called"
    return result.final_output.take, calls[before:]


async def main():
    agents.set_tracing_disabled(True)
    client = openai.AsyncOpenAI(max_retries=0)
    for kind in (agents.OpenAIResponsesModel, agents.OpenAIChatCompletionsModel):
        take, made = await run(kind(model="village", openai_client=client))
        print(f"{kind.__name__}: take {take}, after {made}")


if __name__ == "__main__":
    asyncio.run(main())
