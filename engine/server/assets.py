"""``/api/assets``: files by id, with tags and the hash of their content."""

import asyncio
import datetime
import mimetypes
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from engine.folders import MissingFileError, PathError
from engine.server.access import Role, User, scope, user_of
from engine.server.bodies import Answer, Body, explain, json_answer, read_json
from engine.server.files import disposition, plain_file
from engine.server.paths import below, file_name
from engine.server.refusal import Refusal, refuse_asset
from engine.server.site import Site, site_of
from engine.server.uploads import Form, place, read_form

if TYPE_CHECKING:
    from engine.jobs.assets import Asset, Assets

MODEL_TYPE = "model_type:"
BLOCK = 1024 * 1024
TAG = re.compile(r"[^\s,][^,\x00-\x1f]{0,199}")


class AssetsQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=500)
    offset: int = Field(default=0, ge=0, le=2**62)
    after: str = ""
    tags_all: str = ""
    tags_any: str = ""
    tags_none: str = ""
    include_tags: str = ""
    exclude_tags: str = ""
    name_contains: str = Field(default="", max_length=500)
    hash: str = ""
    sort: str = "created_at"
    order: str = "desc"


class AssetAnswer(Answer):
    id: str
    name: str
    asset_hash: str
    size: int
    mime_type: str
    tags: list[str]


class AssetsAnswer(Answer):
    assets: list[AssetAnswer]
    total: int
    has_more: bool
    next_cursor: str | None = None


class AssetChange(Body):
    name: str | None = Field(default=None, max_length=500)
    user_metadata: dict[str, Any] | None = None


def assets_of(site: Site) -> "Assets":
    from engine.jobs.assets import Assets

    return Assets(site.store)


def described(asset: "Asset") -> dict[str, Any]:
    return {
        "id": asset.id, "name": asset.name, "asset_hash": asset.hash, "hash": asset.hash, "size": asset.size,
        "mime_type": asset.mime_type, "tags": list(asset.tags), "user_metadata": asset.user_metadata,
        "created_at": moment(asset.created), "updated_at": moment(asset.updated),
        "preview_url": f"/api/assets/{asset.id}/content" if asset.mime_type.startswith("image/") else None,
    }  # fmt: skip


def moment(milliseconds: int) -> str:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).isoformat().replace("+00:00", "Z")


def words(text: str) -> list[str]:
    found = [word.strip() for word in text.split(",") if word.strip()]
    if len(found) > 50:
        raise refuse_asset(400, "INVALID_TAG_FILTER", "At most 50 tags can be asked for.")
    return found


async def body_of(request: web.Request, model: type[Any]) -> Any:
    try:
        return model.model_validate(await read_json(request))
    except ValidationError as problem:
        raise refuse_asset(400, "INVALID_BODY", explain(problem)) from None


async def list_assets(request: web.Request) -> web.Response:
    """Assets, a page at a time; ``after`` is the ``next_cursor`` of the page before."""
    from engine.jobs.assets import SORTS, Filter

    try:
        query = AssetsQuery.model_validate(dict(request.query))
    except ValidationError as problem:
        raise refuse_asset(400, "INVALID_QUERY", explain(problem)) from None
    if query.sort not in SORTS or query.order not in ("asc", "desc"):
        raise refuse_asset(400, "INVALID_QUERY", f"sort is one of {', '.join(SORTS)}; order is asc or desc.")
    wanted = Filter(
        scope(request), words(query.tags_all) + words(query.include_tags), words(query.tags_any),
        words(query.tags_none) + words(query.exclude_tags), query.name_contains, query.hash, query.after, query.sort,
        query.order == "desc", query.limit, query.offset,
    )  # fmt: skip
    try:
        found, total, more = await asyncio.to_thread(assets_of(site_of(request)).page, wanted)
    except LookupError:
        raise refuse_asset(400, "INVALID_CURSOR", "The cursor is none of ours.") from None
    cursor = found[-1].id if more and found else None
    return json_answer({"assets": [described(a) for a in found], "total": total, "has_more": more, "next_cursor": cursor})


async def post_asset(request: web.Request) -> web.Response:
    """Upload a file with its tags: ``input``, ``output`` or ``models`` first, which say where it goes."""
    site, user = site_of(request), user_of(request)
    form = await read_form(request)
    if form.data is None:
        raise refuse_asset(400, "MISSING_INPUT", "Expected a file in the form.")
    digest = await asyncio.to_thread(hash_bytes, form.data)
    claimed = form.fields.get("hash", "")
    if claimed and claimed != digest:
        raise refuse_asset(400, "HASH_MISMATCH", "The file has another hash.", {"expected": claimed, "received": digest})
    tags = check_tags(words(form.fields.get("tags", "input")) or ["input"])
    folder, root = destination(site, user, tags)
    path = await asyncio.to_thread(place, root / (file_name(form.fields.get("name") or form.name) or "file"), form.data, False)
    asset = await asyncio.to_thread(register, site, user, path, root, folder, form, digest, tags)
    return json_answer(described(asset), 201)


def check_tags(tags: list[str]) -> list[str]:
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise refuse_asset(400, "INVALID_TAG_FILTER", f"{tag[:50]!r} is no tag.")
    return tags


def destination(site: Site, user: User, tags: list[str]) -> tuple[str, Path]:
    """Where a file with these tags goes: a work folder of the user, or a model folder (administrators only)."""
    if "models" in tags:
        kind = next((tag.removeprefix(MODEL_TYPE) for tag in tags if tag.startswith(MODEL_TYPE)), "")
        if user.role < Role.ADMIN:
            raise refuse_asset(403, "FORBIDDEN", "Only an administrator may add models.")
        if kind not in site.folders.kinds():
            raise refuse_asset(400, "MISSING_INPUT", f"Expected a tag {MODEL_TYPE}FOLDER that names a model folder.")
        return kind, site.folders.roots(kind)[0]
    kind = "output" if "output" in tags else "input"
    return kind, site.folders_of(user.id).work(kind)


def register(site: Site, user: User, path: Path, root: Path, folder: str, form: Form, digest: str, tags: list[str]) -> "Asset":
    from engine.jobs.assets import new_asset

    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    below_root = path.relative_to(root).as_posix()
    name = form.fields.get("name") or path.name
    return assets_of(site).add(new_asset(user.id, name, digest, folder, below_root, mime, path.stat().st_size, tags))


async def register_upload(site: Site, user: User, path: Path, kind: str, data: bytes) -> dict[str, Any] | None:
    """An uploaded picture as an asset; what ``/upload/image`` tells of it."""
    root = site.folders_of(user.id).work(kind)
    digest = await asyncio.to_thread(hash_bytes, data)
    asset = await asyncio.to_thread(register, site, user, path, root, kind, Form(name=path.name), digest, [kind])
    found = described(asset)
    return {name: found[name] for name in ("id", "name", "asset_hash", "size", "mime_type", "tags")}


def hash_bytes(data: bytes) -> str:
    from blake3 import blake3

    return f"blake3:{blake3(data).hexdigest()}"


def hash_file(path: Path) -> str:
    from blake3 import blake3

    return f"blake3:{blake3().update_mmap(path).hexdigest()}"


async def asset_at(request: web.Request) -> "Asset":
    found = await asyncio.to_thread(assets_of(site_of(request)).get, request.match_info["id"], scope(request))
    if found is None:
        raise refuse_asset(404, "ASSET_NOT_FOUND", "There is no such asset.")
    return found


def file_of(site: Site, asset: "Asset") -> Path:
    """Where an asset's file is; 404 where it is gone."""
    try:
        if asset.folder in ("input", "output", "temp"):
            path = below(site.folders_of(asset.owner).work(asset.folder), asset.path)
        else:
            path = site.folders.find(asset.folder, asset.path)
    except (MissingFileError, PathError):
        raise refuse_asset(404, "ASSET_NOT_FOUND", "The asset's file is gone.") from None
    if not path.is_file():
        raise refuse_asset(404, "ASSET_NOT_FOUND", "The asset's file is gone.")
    return path


async def get_asset(request: web.Request) -> web.Response:
    """One asset."""
    return json_answer(described(await asset_at(request)))


async def put_asset(request: web.Request) -> web.Response:
    """Change an asset's name or what is noted of it."""
    asset = await asset_at(request)
    change: AssetChange = await body_of(request, AssetChange)
    site = site_of(request)
    await asyncio.to_thread(assets_of(site).change, asset.id, name=change.name, user_metadata=change.user_metadata)
    return json_answer(described(await asset_at(request)))


async def delete_asset(request: web.Request) -> web.Response:
    """Forget an asset; ``delete_content=true`` deletes its file too."""
    site, asset = site_of(request), await asset_at(request)
    if request.query.get("delete_content", "").lower() in ("true", "1"):
        if asset.folder not in ("input", "output", "temp") and user_of(request).role < Role.ADMIN:
            raise refuse_asset(403, "FORBIDDEN", "Only an administrator may delete models.")
        file_of(site, asset).unlink(missing_ok=True)
    await asyncio.to_thread(assets_of(site).remove, asset.id)
    return web.Response(status=204)


async def asset_content(request: web.Request) -> web.StreamResponse:
    """An asset's file."""
    asset = await asset_at(request)
    response = plain_file(file_of(site_of(request), asset))
    if request.query.get("disposition") == "attachment":
        response.headers["Content-Disposition"] = "attachment; " + disposition(asset.name)["Content-Disposition"]
    return response


async def path_of_hash(site: Site, user: User, name: str) -> Path:
    """The file of a hash, among the user's assets."""
    owner = None if user.sees_all else user.id
    asset = await asyncio.to_thread(assets_of(site).by_hash, name, owner)
    if asset is None:
        raise Refusal(404)
    return file_of(site, asset)
