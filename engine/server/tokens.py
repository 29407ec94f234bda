"""How long a prompt is, as the text encoders count."""

import asyncio
import re

from aiohttp import web
from pydantic import Field

from engine.server.bodies import Answer, Body, json_answer, read_body

EMBEDDING = re.compile(r"(?<![^\s(,])embedding:[^\s,():]+")


class Text(Body):
    text: str = Field(max_length=100_000)


class Length(Answer):
    tokens: int
    rows: int


async def count_tokens(request: web.Request) -> web.Response:
    """CLIP's tokens in a prompt without weights and brackets, an embedding as one, and the rows of 75 that they fill."""
    body = await read_body(request, Text)
    tokens, rows = await asyncio.to_thread(length, body.text)
    return json_answer({"tokens": tokens, "rows": rows})


def length(text: str) -> tuple[int, int]:
    from engine.diffusion.text.bpe import END, ClipBpe
    from engine.diffusion.text.chunks import Token, groups, rows

    named = len(EMBEDDING.findall(text))
    runs = groups(EMBEDDING.sub(" ", text), ClipBpe(), None, "", 0) + [[Token(END)] for _ in range(named)]
    return sum(len(run) for run in runs), len(rows(runs, END))
