"""``/api/assets``: finding files by hash, and tagging them."""

import asyncio
import re
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from engine.server.access import scope, user_of
from engine.server.assets import asset_at, assets_of, body_of, check_tags, described, destination, file_of
from engine.server.bodies import Answer, Body, explain, json_answer
from engine.server.paths import file_name
from engine.server.refusal import refuse_asset
from engine.server.site import site_of
from engine.server.uploads import place

HASH = re.compile(r"blake3:[0-9a-f]{64}")


class TagsQuery(BaseModel):
    prefix: str = Field(default="", max_length=200)
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=2**62)


class TagsAnswer(Answer):
    tags: list[dict[str, Any]]
    total: int
    has_more: bool


class FromHash(Body):
    hash: str
    name: str = Field(max_length=500)
    tags: list[str] = Field(default_factory=list, max_length=100)


class TagChange(Body):
    tags: list[str] = Field(min_length=1, max_length=100)


async def head_hash(request: web.Request) -> web.Response:
    """Whether a file of that hash is there."""
    digest = request.match_info["hash"]
    if not HASH.fullmatch(digest):
        return web.Response(status=404)
    found = await asyncio.to_thread(assets_of(site_of(request)).by_hash, digest, scope(request))
    return web.Response(status=404 if found is None else 200)


async def from_hash(request: web.Request) -> web.Response:
    """Another asset of a file that is there already."""
    from engine.jobs.assets import new_asset

    site, user = site_of(request), user_of(request)
    wanted: FromHash = await body_of(request, FromHash)
    known = await asyncio.to_thread(assets_of(site).by_hash, wanted.hash, scope(request))
    if known is None:
        raise refuse_asset(404, "ASSET_NOT_FOUND", "There is no file of that hash.")
    data = await asyncio.to_thread(file_of(site, known).read_bytes)
    tags = check_tags(wanted.tags) or ["input"]
    folder, root = destination(site, user, tags)
    path = await asyncio.to_thread(place, root / (file_name(wanted.name) or "file"), data, False)
    below_root = path.relative_to(root).as_posix()
    asset = new_asset(user.id, wanted.name, known.hash, folder, below_root, known.mime_type, known.size, tags)
    return json_answer(described(await asyncio.to_thread(assets_of(site).add, asset)), 201)


async def add_tags(request: web.Request) -> web.Response:
    """Add tags to an asset."""
    asset = await asset_at(request)
    wanted: TagChange = await body_of(request, TagChange)
    await asyncio.to_thread(assets_of(site_of(request)).tag, asset.id, add=check_tags(wanted.tags))
    now_there = (await asset_at(request)).tags
    added = [tag for tag in wanted.tags if tag not in asset.tags]
    present = sorted(set(wanted.tags) - set(added))
    return json_answer({"added": added, "already_present": present, "total_tags": list(now_there)})


async def remove_tags(request: web.Request) -> web.Response:
    """Take tags from an asset."""
    asset = await asset_at(request)
    wanted: TagChange = await body_of(request, TagChange)
    await asyncio.to_thread(assets_of(site_of(request)).tag, asset.id, remove=wanted.tags)
    now_there = (await asset_at(request)).tags
    removed = [tag for tag in wanted.tags if tag in asset.tags]
    absent = sorted(set(wanted.tags) - set(removed))
    return json_answer({"removed": removed, "not_present": absent, "total_tags": list(now_there)})


async def list_tags(request: web.Request) -> web.Response:
    """The tags in use, most used first."""
    try:
        query = TagsQuery.model_validate(dict(request.query))
    except ValidationError as problem:
        raise refuse_asset(400, "INVALID_QUERY", explain(problem)) from None
    found, total = await asyncio.to_thread(
        assets_of(site_of(request)).tags, scope(request), query.prefix, query.limit, query.offset
    )
    shown = [{"name": name, "count": count} for name, count in found]
    return json_answer({"tags": shown, "total": total, "has_more": query.offset + len(found) < total})
