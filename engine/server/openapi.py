"""``/openapi.json``: the API described for programs, made from the route table and the models that the handlers use."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from engine.server.access import Role, user_of
from engine.server.bodies import json_answer
from engine.server.route import Route
from engine.server.site import site_of

VERSION = "3.1.0"
REF = "#/components/schemas/{model}"
PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")
MIME = re.compile(r"[\w*-]+/[\w.*+-]+")


async def openapi(request: web.Request) -> web.Response:
    """This description."""
    from engine.server.routes import ROUTES
    from engine.server.workflows import schemas

    site = site_of(request)
    engine = await site.runtime.engine()
    saved = await asyncio.to_thread(schemas, engine, site, user_of(request).id)
    return json_answer(describe_api(ROUTES, saved))


def describe_api(routes: Sequence[Route], workflows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The document: a path for each route, the ones under ``/api`` where there are two; saved workflows among them."""
    models = sorted({model for route in routes for model in models_of(route)}, key=lambda model: model.__name__)
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    paths: dict[str, Any] = {}
    for route in routes:
        *also, path = route.paths()
        entry = operation(route, PARAMETER.findall(path))
        if also:
            entry["x-also"] = [plain(other) for other in also]
        paths.setdefault(plain(path), {})[route.method.lower()] = entry
    for name, inputs in workflows.items():
        paths[f"/api/workflows/{name}/run"] = {"post": workflow_operation(name, inputs)}
    return {
        "openapi": VERSION,
        "info": {
            "title": "Latent Loom",
            "version": "1",
            "description": "ComfyUI's HTTP API and ours. A path under /api exists without the prefix too where x-also says so.",
        },
        "paths": paths,
        "components": {
            "schemas": schema.get("$defs", {}),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "loom_session"},
            },
        },
    }


def plain(path: str) -> str:
    return PARAMETER.sub(r"{\1}", path)


def models_of(route: Route) -> list[type[BaseModel]]:
    return [model for model in (route.body, route.answer) if isinstance(model, type) and issubclass(model, BaseModel)]


def operation(route: Route, names: list[str]) -> dict[str, Any]:
    """One route as an operation."""
    about = (route.handler.__doc__ or "").strip().partition("\n")[0]
    handler = getattr(route.handler, "__name__", "handler")
    found: dict[str, Any] = {
        "summary": about,
        "operationId": f"{handler}_{route.method.lower()}",
        "tags": [getattr(route.handler, "__module__", "").rpartition(".")[2]],
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names],
        "responses": responses(route),
        "x-role": route.role.name.lower(),
    }
    if route.role > Role.ANYONE:
        found["security"] = [{}, {"token": []}, {"session": []}]
    if route.query is not None:
        found["parameters"] += query_parameters(route.query)
    if route.body is not None:
        mime = route.body if isinstance(route.body, str) else "application/json"
        found["requestBody"] = {"content": {mime: {"schema": body_schema(route.body)}}}
    return found


def query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=REF)
    needed = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": entry} for name, entry in schema["properties"].items()
    ]


def body_schema(body: Any) -> dict[str, Any]:
    if body == "multipart/form-data":
        words = {name: {"type": "string"} for name in ("type", "subfolder", "overwrite", "tags", "name")}
        return {"type": "object", "properties": {"image": {"type": "string", "format": "binary"}, **words}}
    return {"type": "string", "format": "binary"} if isinstance(body, str) else schema_of(body)


def schema_of(model: Any) -> dict[str, Any]:
    if isinstance(model, type) and issubclass(model, BaseModel):
        return {"$ref": REF.format(model=model.__name__)}
    return {} if model is object else TypeAdapter(model).json_schema()


def responses(route: Route) -> dict[str, Any]:
    told: dict[str, Any] = {"description": "Done."}
    if isinstance(route.answer, str) and MIME.fullmatch(route.answer):
        told["content"] = {route.answer: {"schema": {"type": "string"}}}
    elif route.answer is not None and not isinstance(route.answer, str):
        told["content"] = {"application/json": {"schema": schema_of(route.answer)}}
    status = "101" if route.answer == "websocket" else str(route.status)
    found = {status: told}
    for code, meaning in sorted(route.refusals.items()):
        found[str(code)] = {"description": meaning}
    found["4XX"] = {"description": "Refused: 401 not logged in, 403 not allowed, 413 too large, 422 not usable, 429 too often."}
    return found


def workflow_operation(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """A saved workflow as an operation of its own."""
    body = {"type": "object", "properties": {"inputs": inputs, "client_id": {"type": "string"}, "priority": {"type": "integer"}}}
    answer = {"schema": {"$ref": REF.format(model="RunAnswer")}}
    return {
        "summary": f"Run the workflow {name}.",
        "operationId": f"run_workflow_{re.sub(r'[^0-9a-zA-Z]+', '_', name)}",
        "tags": ["workflows"],
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": {"200": {"description": "Queued.", "content": {"application/json": answer}}},
        "x-role": "user",
        "security": [{}, {"token": []}, {"session": []}],
    }  # fmt: skip
