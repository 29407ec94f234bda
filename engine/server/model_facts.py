"""What a model file is, and what it is called by its content."""

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from engine.folders import MissingFileError, PathError
from engine.server.bodies import Answer, json_answer, read_query
from engine.server.models import has_preview, known_kind
from engine.server.refusal import Refusal, refuse
from engine.server.site import site_of

REMEMBERED = 4096


class FactsQuery(BaseModel):
    filename: str = ""
    hash: bool = False


class Network(Answer):
    role: str
    parameters: int
    types: list[str]


class Facts(Answer):
    kind: str
    family: str | None
    prediction: str | None
    parts: list[Network]
    hashes: dict[str, str]


async def model_pictures(request: web.Request) -> web.Response:
    """The files of a folder that have a picture, beside them or inside."""
    site = site_of(request)
    kind = known_kind(site, request)

    def pictured() -> list[str]:
        return [name for name in site.folders.names(kind) if has_preview(site.folders.find(kind, name))]

    return json_answer(await asyncio.to_thread(pictured))


async def model_facts(request: web.Request) -> web.Response:
    """Kind, family and networks of a file, told from its header; with ``hash`` also SHA-256, which reads the whole file."""
    site = site_of(request)
    query = read_query(request, FactsQuery)
    try:
        path = site.folders.find(known_kind(site, request), query.filename)
    except (MissingFileError, PathError, OSError):
        raise Refusal(404) from None
    stat = path.stat()
    mark = (str(path), stat.st_size, stat.st_mtime_ns)
    try:
        found = dict(await asyncio.to_thread(facts, *mark))
    except ValueError as problem:
        raise refuse(422, f"{path.name} cannot be read: {problem}") from None
    known = _hashed.get(mark)
    if known is None and query.hash:
        known = _hashed[mark] = await asyncio.to_thread(hashed, path)
        while len(_hashed) > REMEMBERED:
            del _hashed[next(iter(_hashed))]
    return json_answer({**found, "hashes": known or {}})


_hashed: dict[tuple[str, int, int], dict[str, str]] = {}


@lru_cache(REMEMBERED)
def facts(name: str, size: int, modified: int) -> dict[str, Any]:
    """Size and time are there to read a changed file again."""
    from engine.diffusion.containers import CheckpointError
    from engine.diffusion.inspection import inspect

    try:
        report = inspect(Path(name))
    except CheckpointError as problem:
        raise ValueError(str(problem)) from None
    parts = [{"role": part.role, "parameters": part.parameters, "types": list(part.types)} for part in report.parts]
    return {"kind": report.kind, "family": report.family, "prediction": report.prediction, "parts": parts}


def hashed(path: Path) -> dict[str, str]:
    from engine.diffusion.inspection import hashes

    return hashes(path)
