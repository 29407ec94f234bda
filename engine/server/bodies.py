"""Reading what a request carries: JSON within limits, checked by a model; queries likewise."""

import asyncio
import json
import math
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.jobs.job import dump
from engine.server.refusal import Refusal, refuse

LARGE = 256 * 1024
MAX_DEPTH = 200
M = TypeVar("M", bound=BaseModel)


class Body(BaseModel):
    """A request's JSON object; fields that are not named are passed over."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, defer_build=True)


class Answer(BaseModel):
    """A response's JSON object."""

    model_config = ConfigDict(extra="allow", defer_build=True)


def parse_json(data: bytes) -> Any:
    """JSON in UTF-8, 16 or 32; ValueError for anything that is not, for numbers out of range and for nesting too deep."""
    try:
        text = data.decode(json.detect_encoding(data), "strict")
        value = json.loads(text, parse_constant=no_constant, parse_float=finite)
    except RecursionError:
        raise ValueError(f"It is nested deeper than {MAX_DEPTH} levels.") from None
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and depth_exceeds(value, MAX_DEPTH):
        raise ValueError(f"It is nested deeper than {MAX_DEPTH} levels.")
    return value


def no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON.")


def finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"The number {digits[:40]} is too large.")
    return value


def depth_exceeds(value: object, limit: int) -> bool:
    """Whether lists and objects are nested deeper than ``limit``; walks level by level, without recursion."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


async def read_json(request: web.Request, *, empty: Any = None) -> Any:
    """The request's body as JSON; 400 where it is none, 413 where it is too large."""
    data = await read_bytes(request)
    if not data.strip():
        if empty is not None:
            return empty
        raise refuse(400, "Expected JSON, but the body is empty.")
    try:
        return parse_json(data) if len(data) < LARGE else await asyncio.to_thread(parse_json, data)
    except ValueError as problem:
        raise refuse(400, f"Expected JSON: {problem}") from None


async def read_bytes(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise refuse(413, "The body is larger than this server takes (--max-upload-size).") from None


async def read_body(request: web.Request, model: type[M], *, empty: Any = None) -> M:
    """The request's body, checked; 400 where it does not fit, naming the field."""
    return check(model, await read_json(request, empty=empty))


def read_query(request: web.Request, model: type[M]) -> M:
    return check(model, dict(request.query))


def check(model: type[M], data: Any) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as problem:
        raise refuse(400, explain(problem)) from None
    except RecursionError:
        raise refuse(400, "It is nested too deeply.") from None


def explain(problem: ValidationError) -> str:
    """The first few faults in one line."""
    faults = [f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in problem.errors(include_url=False)[:5]]
    return "; ".join(faults)


def json_answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dump(value).encode(), content_type="application/json", charset="utf-8")


def json_text(text: str, status: int = 200) -> web.Response:
    """An answer whose JSON is written already."""
    return web.Response(status=status, body=text.encode("utf-8", "replace"), content_type="application/json", charset="utf-8")


def need(value: Any, status: int = 404, body: str | dict[str, Any] | None = None) -> Any:
    if value is None:
        raise Refusal(status, body)
    return value
