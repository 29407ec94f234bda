"""``/object_info``: the node types as ComfyUI's editor and clients read them."""

import asyncio

from aiohttp import web

from engine.jobs.job import dump
from engine.server.access import user_of
from engine.server.bodies import json_answer, json_text
from engine.server.site import site_of
from engine.workflow.definitions import describe_all


async def get_object_info(request: web.Request) -> web.Response:
    """Every node type: inputs, outputs, titles, help."""
    site = site_of(request)
    engine = await site.runtime.engine()
    folders = site.folders_of(user_of(request).id)
    return json_text(await asyncio.to_thread(lambda: dump(describe_all(engine.specs, folders))))


async def get_object_info_of(request: web.Request) -> web.Response:
    """One node type; an empty object for one that is not known."""
    site = site_of(request)
    engine = await site.runtime.engine()
    spec = engine.specs.get(request.match_info["node_class"])
    folders = site.folders_of(user_of(request).id)
    return json_answer(describe_all({} if spec is None else {spec.type: spec}, folders))
