"""``/api/workflows``: every saved workflow is an endpoint with named, typed inputs."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import Field

from engine.folders import PROJECT
from engine.server.access import user_of
from engine.server.bodies import Answer, Body, check, json_answer, read_json
from engine.server.paths import below
from engine.server.prompts import PromptAnswer, PromptBody, queue_prompt
from engine.server.refusal import refuse
from engine.server.runtime import Engine
from engine.server.site import Site, site_of
from engine.workflow.definitions import describe_all
from engine.workflow.files import Written, read_file
from engine.workflow.interface import Input, Unknown, fill, inputs_of
from engine.workflow.reading import WorkflowError

MAX_LISTED = 2000
SCHEMAS_SHOWN = 100


class RunBody(Body):
    """The workflow's inputs by name, and how to queue it."""

    inputs: dict[str, Any] | None = None
    client_id: str | None = Field(default=None, max_length=200)
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    front: bool = False
    title: str | None = Field(default=None, max_length=10_000)


class RunAnswer(PromptAnswer):
    urls: dict[str, str]


class WorkflowEntry(Answer):
    name: str
    source: str
    thumbnail: bool


class WorkflowList(Answer):
    workflows: list[WorkflowEntry]


def folders(site: Site, owner: str) -> Iterator[tuple[str, Path]]:
    """Where workflows are: the user's own, then those that ship with the program."""
    yield "user", site.userdata(owner) / "workflows"
    yield "shipped", PROJECT / "workflows"


def names(site: Site, owner: str) -> dict[str, tuple[str, Path]]:
    """Every workflow by name; the user's own hides a shipped one of the same name."""
    found: dict[str, tuple[str, Path]] = {}
    for source, folder in folders(site, owner):
        if folder.is_dir():
            for path in sorted(folder.rglob("*.json"))[:MAX_LISTED]:
                name = path.relative_to(folder).with_suffix("").as_posix()
                if not any(part.startswith(".") for part in name.split("/")):
                    found.setdefault(name, (source, path))
    return found


async def list_workflows(request: web.Request) -> web.Response:
    """The workflows that can be run by name."""
    site = site_of(request)
    found = await asyncio.to_thread(names, site, user_of(request).id)
    shown = [
        {"name": name, "source": source, "thumbnail": path.with_suffix(".webp").is_file()}
        for name, (source, path) in found.items()
    ]
    return json_answer({"workflows": shown})


async def thumbnail(request: web.Request) -> web.StreamResponse:
    """A workflow's picture: the WebP file beside it."""
    path = find(site_of(request), user_of(request).id, request.match_info["name"]).with_suffix(".webp")
    if not path.is_file():
        raise refuse(404, "This workflow has no thumbnail.")
    return web.FileResponse(path, headers={"Content-Type": "image/webp", "Cache-Control": "private, max-age=60"})


async def loaded(request: web.Request) -> tuple[Engine, Written, dict[str, Any], dict[str, Input]]:
    """The workflow that the URL names: engine, file, prompt and inputs."""
    site, owner = site_of(request), user_of(request).id
    engine = await site.runtime.engine()
    path = find(site, owner, request.match_info["name"])
    try:
        return engine, *await asyncio.to_thread(interface, engine, path, site, owner)
    except WorkflowError as problem:
        raise refuse(422, f"The workflow cannot be read: {problem}") from None


def find(site: Site, owner: str, name: str) -> Path:
    for _, folder in folders(site, owner):
        path = below(folder, f"{name.removesuffix('.json')}.json", 404)
        if path.is_file():
            return path
    raise refuse(404, f"There is no workflow {name[:200]!r}.")


def interface(engine: Engine, path: Path, site: Site, owner: str) -> tuple[Written, dict[str, Any], dict[str, Input]]:
    written = read_file(path)
    definitions = describe_all(engine.specs, site.folders_of(owner))
    prompt = written.as_prompt(definitions)
    return written, prompt, inputs_of(prompt, definitions, written.workflow)


def schema(inputs: Mapping[str, Input]) -> dict[str, Any]:
    """What ``run`` takes, as JSON Schema."""
    properties = {name: entry.schema() for name, entry in inputs.items()}
    return {"type": "object", "properties": properties, "additionalProperties": True}


async def get_workflow(request: web.Request) -> web.Response:
    """One workflow: its inputs as JSON Schema, and the file."""
    _, written, prompt, inputs = await loaded(request)
    name = request.match_info["name"].removesuffix(".json")
    return json_answer({"name": name, "inputs": schema(inputs), "prompt": prompt, "workflow": written.workflow})


async def run_workflow(request: web.Request) -> web.Response:
    """Queue a saved workflow with the given inputs; those not given keep their saved values."""
    site = site_of(request)
    data = await read_json(request, empty={})
    body = check(RunBody, data)
    given = body.inputs
    if given is None:
        given = {name: value for name, value in data.items() if name not in RunBody.model_fields}
    engine, written, prompt, inputs = await loaded(request)
    try:
        filled = fill(prompt, inputs, given)
    except Unknown as problem:
        raise refuse(422, str(problem)) from None
    extra = {"extra_pnginfo": dict(written.extra) | ({"workflow": written.workflow} if written.workflow else {})}
    name = request.match_info["name"].removesuffix(".json")
    wanted = PromptBody(
        prompt=filled, client_id=body.client_id, priority=body.priority, front=body.front,
        title=body.title or name, extra_data=extra,
    )  # fmt: skip
    job, errors = await queue_prompt(site, engine, wanted, request)
    urls = {kind: f"/api/jobs/{job.id}{rest}" for kind, rest in (("self", ""), ("events", "/events"), ("cancel", "/cancel"))}
    return json_answer({"prompt_id": job.id, "number": job.number, "node_errors": errors, "urls": urls})


def schemas(engine: Engine, site: Site, owner: str) -> dict[str, dict[str, Any]]:
    """The inputs of every workflow that can be read, for the API's description."""
    found = {}
    for name, (_, path) in list(names(site, owner).items())[:SCHEMAS_SHOWN]:
        try:
            found[name] = schema(interface(engine, path, site, owner)[2])
        except (WorkflowError, OSError):
            continue
    return found
