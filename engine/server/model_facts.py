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


class MadeFor(Answer):
    """Settings for a sampler; null where the file says nothing of it. With other ones, pictures of ``few_steps`` models spoil."""

    steps: int | None
    cfg: float | None
    sampler: str | None
    scheduler: str | None
    width: int | None
    height: int | None
    few_steps: bool


class Facts(Answer):
    kind: str
    family: str | None
    prediction: str | None
    parts: list[Network]
    made_for: MadeFor | None
    hashes: dict[str, str]


async def model_pictures(request: web.Request) -> web.Response:
    """The files of a folder that have a picture, beside them or inside."""
    site = site_of(request)
    kind = known_kind(site, request)

    def pictured() -> list[str]:
        return [name for name in site.folders.names(kind) if has_preview(site.folders.find(kind, name))]

    return json_answer(await asyncio.to_thread(pictured))


async def model_facts(request: web.Request) -> web.Response:
    """What a file is and is made for, told from its header; with ``hash`` also SHA-256, which reads the whole file."""
    site = site_of(request)
    query = read_query(request, FactsQuery)
    kind = known_kind(site, request)

    def read() -> tuple[tuple[str, int, int], dict[str, Any]]:
        path = site.folders.find(kind, query.filename)
        stat = path.stat()
        mark = (str(path), stat.st_size, stat.st_mtime_ns)
        return mark, dict(facts(*mark))

    try:
        mark, found = await asyncio.to_thread(read)
    except (MissingFileError, PathError, OSError):
        raise Refusal(404) from None
    except ValueError as problem:
        raise refuse(422, f"{Path(query.filename).name} cannot be read: {problem}") from None
    known = _hashed.get(mark)
    if known is None and query.hash:
        known = _hashed[mark] = await asyncio.to_thread(hashed, Path(mark[0]))
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
    said = report.defaults or {}
    made_for = {name: said.get(name) for name in MadeFor.model_fields} | {"few_steps": bool(said.get("few_steps"))}
    told = {"kind": report.kind, "family": report.family, "prediction": report.prediction, "parts": parts}
    return {**told, "made_for": made_for if said else None}


def hashed(path: Path) -> dict[str, str]:
    from engine.diffusion.inspection import hashes

    return hashes(path)
